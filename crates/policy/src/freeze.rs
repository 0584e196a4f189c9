//! Spans in which our own process, or a thread of it, did not run: it was stopped, its core was taken away,
//! its machine stood still. What seems to have taken long then says nothing of an endpoint.

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::time::Moment;

/// A thread that runs this much later than it asked to was frozen.
pub const NOTICED: Duration = Duration::from_millis(50);

/// What gathered meanwhile comes at once afterwards, and may take as long again, but no longer than this.
const SETTLES_WITHIN: Duration = Duration::from_secs(1);

/// Freezes that follow each other sooner have no time to settle counted to them: a process that is stopped
/// all the time would never learn anything.
const SETTLES_AFTER: Duration = Duration::from_secs(1);

/// One such span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freeze {
    /// When the thread was to run, which is no later than it stopped.
    pub began: Moment,
    /// When it ran.
    pub ended: Moment,
}

/// What a cluster knows of freezes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Freezes {
    /// The last one's end.
    ended: Moment,
    /// What gathered during it has been dealt with by then.
    settled: Moment,
}

impl Freeze {
    /// The freeze of a thread that was to run at `due` and runs at `now`, if it was one.
    #[must_use]
    pub fn seen(due: Moment, now: Moment) -> Option<Self> {
        (now.since(due) >= NOTICED).then_some(Self {
            began: due,
            ended: now,
        })
    }
}

impl Freezes {
    /// A thread was frozen. Returns how much of it was not known yet, from another thread of the same process.
    pub(crate) fn note(&mut self, freeze: Freeze) -> Duration {
        let new = freeze.ended.since(freeze.began.max(self.ended));
        if new == Duration::ZERO {
            return new;
        }
        let again = freeze.began.since(self.ended) < SETTLES_AFTER && self.ended != Moment::default();
        let settles = if again && freeze.began > self.ended {
            Duration::ZERO
        } else {
            freeze.ended.since(freeze.began).min(SETTLES_WITHIN)
        };
        self.settled = self.settled.max(freeze.ended + settles);
        self.ended = freeze.ended;
        new
    }

    /// The end of the last one.
    pub(crate) fn ended(&self) -> Moment {
        self.ended
    }

    /// Until when what comes may have gathered during the last one.
    pub(crate) fn settled(&self) -> Moment {
        self.settled
    }

    /// Whether what began then may have taken longer for a freeze's sake than for the endpoint's.
    pub(crate) fn touches(&self, begun: Moment) -> bool {
        begun < self.settled
    }

    /// Whether what is seen only now may have happened at any time of the last freeze.
    pub(crate) fn hides(&self, now: Moment) -> bool {
        now < self.hides_until()
    }

    /// Until when it does.
    pub(crate) fn hides_until(&self) -> Moment {
        if self.ended == Moment::default() {
            return self.ended;
        }
        self.ended + NOTICED
    }
}
