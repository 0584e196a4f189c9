//! The greatest idle age that a request has survived.

use std::time::Duration;

use crate::time::Moment;

/// The oldest survival of the last [`GENERATION`], and of the one before: an endpoint may be restarted
/// with another timer, and a pause of last month says nothing about it.
///
/// A request of a greater age than any before explores. Of n requests whose ages are of one kind
/// about ln n do, whatever that kind is, so caution for those costs nearly nothing: four of the
/// first sixty, and one in a hundred from then on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Explored {
    began: Moment,
    now: Duration,
    before: Duration,
}

impl Explored {
    pub(super) fn age(&self) -> Duration {
        self.now.max(self.before)
    }

    /// A request survived on a connection of this idle age. Returns whether that is a record.
    pub(super) fn survived(&mut self, age: Duration, now: Moment) -> bool {
        if now.since(self.began) >= GENERATION {
            (self.began, self.before, self.now) = (now, self.now, Duration::ZERO);
        }
        let record = age > self.age();
        self.now = self.now.max(age);
        record
    }

    /// What was beyond this age belongs to a time that is over.
    pub(super) fn forget_beyond(&mut self, age: Duration) {
        (self.now, self.before) = (self.now.min(age), self.before.min(age));
    }
}

/// How long a survival counts at least.
const GENERATION: Duration = Duration::from_secs(1800);
