//! When to let news gather before acting on them.
//!
//! Acting on each request the moment it comes is dear when many come: every look at the kernel brings
//! one or two, and every answer wakes a peer that had just fallen asleep. A short pause makes one
//! batch of them, as network cards do with their interrupts. It is made only while many come: then
//! it costs each a few hundredths of a millisecond, and more are served, for a seventh less.

use std::time::Duration;

use policy::time::Moment;

/// The pause.
pub(super) const PAUSE: Duration = Duration::from_micros(60);

/// A look that brought as many is a batch already.
const BATCH: usize = 24;

/// Over this span news are counted …
const SPAN: Duration = Duration::from_millis(2);

/// … and fewer in it call for no pause: about 8,000 requests a second.
const BUSY: usize = 32;

/// A pause that brings fewer than so many, on average, only costs time: there are few connections, and
/// all of them wait for us …
const WORTH: usize = 4;

/// … so none is made for this long.
const REST: Duration = Duration::from_millis(20);

/// How much comes.
#[derive(Debug, Default)]
pub(super) struct Gather {
    since: Moment,
    counted: usize,
    busy: bool,
    /// What pauses brought of late, in sixteenths.
    gain: usize,
    rest_until: Moment,
}

impl Gather {
    /// A look brought so much: is it worth a pause?
    pub(super) fn is_worth_a_pause(&mut self, news: usize, now: Moment) -> bool {
        let span = now.since(self.since);
        if span >= SPAN {
            self.busy = self.counted >= BUSY && span < SPAN * 2;
            (self.since, self.counted) = (now, 0);
        }
        self.counted += news;
        self.busy && news > 0 && news < BATCH && now >= self.rest_until
    }

    /// A pause has brought so much.
    pub(super) fn on_pause(&mut self, news: usize, now: Moment) {
        self.counted += news;
        self.gain = self.gain - self.gain / 4 + news * 4;
        if self.gain < WORTH * 16 {
            self.rest_until = now + REST;
            self.gain = WORTH * 2 * 16;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether any look is worth a pause where `news` come every `micros` for 20 ms.
    fn pauses(news: usize, micros: u64) -> bool {
        let mut gather = Gather::default();
        let looks = (0..20_000 / micros).map(|n| Moment::from_nanos(1_000_000_000 + n * micros * 1000));
        looks.filter(|&now| gather.is_worth_a_pause(news, now)).count() > 0
    }

    #[test]
    fn a_pause_is_made_where_many_come_one_by_one() {
        assert!(pauses(2, 20));
    }

    #[test]
    fn few_are_never_kept_waiting() {
        assert!(!pauses(1, 500), "2,000 a second");
        assert!(!pauses(1, 100), "10,000 news are 2,500 requests a second");
    }

    #[test]
    fn pauses_that_bring_nothing_are_given_up_for_a_while() {
        let mut gather = Gather::default();
        let at = |micros: u64| Moment::from_nanos(1_000_000_000 + micros * 1000);
        let mut pauses = 0;
        for n in 0..10_000 {
            if gather.is_worth_a_pause(2, at(n * 20)) {
                pauses += 1;
                gather.on_pause(1, at(n * 20));
            }
        }
        assert!((1..100).contains(&pauses), "{pauses} in 200 ms");
    }

    #[test]
    fn a_batch_is_not_made_larger() {
        assert!(!pauses(64, 300));
    }

    #[test]
    fn after_silence_nobody_waits() {
        let mut gather = Gather::default();
        let at = |micros: u64| Moment::from_nanos(1_000_000_000 + micros * 1000);
        for n in 0..1000 {
            gather.is_worth_a_pause(2, at(n * 20));
        }
        assert!(!gather.is_worth_a_pause(1, at(1_000_000)));
    }
}
