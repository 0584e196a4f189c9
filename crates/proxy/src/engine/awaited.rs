//! Short sleeps while answers are waited for, so that a freeze of the thread shows.
//!
//! Of a long sleep that news end nobody can tell for how much of it the thread was kept from running.

use std::cell::Cell;
use std::marker::PhantomData;
use std::time::Duration;

use policy::time::Moment;

/// How long a sleep may be …
const BEAT: Duration = Duration::from_millis(50);

/// … as long as there were news within this time. An answer that takes longer is none that a freeze makes late.
const BEATS_FOR: Duration = Duration::from_secs(1);

thread_local! {
    static AWAITED: Cell<u32> = const { Cell::new(0) };
}

/// An answer, or a place in a queue, that somebody on this thread waits for, while it lives.
#[derive(Debug)]
pub(crate) struct Awaited {
    /// It counts on its own thread.
    stays: PhantomData<*const ()>,
}

impl Awaited {
    pub(crate) fn begin() -> Self {
        AWAITED.set(AWAITED.get() + 1);
        Self { stays: PhantomData }
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        AWAITED.set(AWAITED.get() - 1);
    }
}

/// Bounds the engine's sleeps.
#[derive(Debug, Default)]
pub(super) struct Heartbeat {
    /// There were news in the last turn.
    fresh: bool,
    until: Moment,
}

impl Heartbeat {
    /// So much news came.
    pub(super) fn saw(&mut self, news: usize) {
        self.fresh |= news > 0;
    }

    /// How long to sleep instead of `timeout`.
    pub(super) fn bound(&mut self, timeout: Option<Duration>, now: Moment) -> Option<Duration> {
        if std::mem::take(&mut self.fresh) {
            self.until = now + BEATS_FOR;
        }
        if AWAITED.get() == 0 || self.until <= now {
            return timeout;
        }
        Some(timeout.map_or(BEAT, |timeout| timeout.min(BEAT)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleeps_are_short_while_an_answer_is_awaited_and_news_are_fresh() {
        let (mut heartbeat, at) = (Heartbeat::default(), Moment::from_millis);
        heartbeat.saw(1);
        assert_eq!(heartbeat.bound(None, at(10)), None, "nobody waits");
        let awaited = Awaited::begin();
        assert_eq!(heartbeat.bound(None, at(20)), Some(BEAT));
        assert_eq!(
            heartbeat.bound(Some(Duration::ZERO), at(20)),
            Some(Duration::ZERO)
        );
        assert_eq!(heartbeat.bound(None, at(1010)), None, "a long poll");
        heartbeat.saw(1);
        assert_eq!(heartbeat.bound(None, at(5000)), Some(BEAT));
        drop(awaited);
        assert_eq!(heartbeat.bound(None, at(5001)), None);
    }
}
