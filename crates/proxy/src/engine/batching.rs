//! Adaptive batching: whether to delay `epoll_wait`, so that more events are handled together.
//!
//! Acting on each request the moment it comes is dear when many come: every look at the kernel brings
//! one or two, and every answer wakes a peer that had just fallen asleep. A short pause makes one
//! batch of them, as network cards do with their interrupts. It costs each a tenth of a millisecond or so, and takes
//! up to a quarter off the work. So it is made only while there is more work than the core can be at leisure about:
//! a core that sleeps a good part of its time has nothing to gain, and its clients a tenth of a millisecond to lose.
//!
//! Where a few connections wait for us before they go on, a pause only delays them. So it is tried out: a
//! period with pauses is compared to one without, now and then, and pauses are made as long as they
//! leave as many requests to be served.

use std::cell::Cell;
use std::time::Duration;

use policy::time::Moment;

/// A pause is so long that so many requests come meanwhile …
const EXPECTED: u32 = 4;

/// … but not shorter than this, which is little more than the kernel needs to let us sleep and wake …
const SHORTEST: Duration = Duration::from_micros(60);

/// … and not longer than this.
const LONGEST: Duration = Duration::from_micros(120);

/// A look that brought as many news is a batch already.
const BATCH: usize = 24;

/// Requests are counted over this long …
const PERIOD: Duration = Duration::from_millis(10);

/// … and fewer in it call for no pause: 8,000 a second.
const BUSY: u32 = 80;

/// A worker that is asleep for more than one part in so many, pauses apart, needs none.
const LEISURE: u32 = 4;

/// Pauses are worth it that leave this much of the rate of requests. Not all of it, since periods differ by
/// chance as well.
const WORTH: f32 = 0.875;

/// The other way is tried for a period after so many, and after twice as many each time that it was not
/// better …
const TRIAL_AFTER: u32 = 8;

/// … but at least once in so many.
const TRIAL_AFTER_MOST: u32 = 64;

thread_local! {
    /// Requests that this thread has begun to serve.
    static BEGUN: Cell<u32> = const { Cell::new(0) };
}

/// A request begins to be served on this thread.
pub(crate) fn count_request() {
    BEGUN.set(BEGUN.get().wrapping_add(1));
}

/// Requests that this thread has begun to serve so far.
pub(super) fn requests() -> u32 {
    BEGUN.get()
}

/// How much comes, and what pauses do to it.
#[derive(Debug)]
pub(super) struct Batching {
    /// The period began then, with so many requests behind it.
    since: Moment,
    before: u32,
    /// The worker was asleep for so much of it, since there was nothing to do.
    asleep: Duration,
    /// Whether pauses are made in this period …
    pausing: bool,
    /// … to see how it goes, or because it is better.
    trial: bool,
    /// Periods until the next trial, and how many there were to be after the last one.
    trial_in: u32,
    trial_after: u32,
    /// Requests a second in the last period that was none.
    rate: u32,
    /// The rate with pauses over that without, smoothed.
    worth: Option<f32>,
    pause: Duration,
}

impl Default for Batching {
    fn default() -> Self {
        Self {
            since: Moment::default(),
            before: 0,
            asleep: Duration::ZERO,
            pausing: false,
            trial: false,
            trial_in: 0,
            trial_after: TRIAL_AFTER,
            rate: 0,
            worth: None,
            pause: LONGEST,
        }
    }
}

impl Batching {
    /// The worker was asleep for so long, until there were news.
    pub(super) fn slept(&mut self, span: Duration) {
        self.asleep += span;
    }

    /// A look brought so many news, and so many requests were begun so far: the pause that it is worth.
    pub(super) fn delay(&mut self, news: usize, requests: u32, now: Moment) -> Option<Duration> {
        let span = now.since(self.since);
        if span >= PERIOD {
            self.end_period(requests.wrapping_sub(self.before), span);
            (self.since, self.before, self.asleep) = (now, requests, Duration::ZERO);
        }
        (self.pausing && news > 0 && news < BATCH).then_some(self.pause)
    }

    fn end_period(&mut self, served: u32, span: Duration) {
        if served < BUSY || span >= PERIOD * 2 || self.asleep > span / LEISURE {
            *self = Self::default();
            return;
        }
        let rate = (served as f32 / span.as_secs_f32()) as u32;
        self.pause = (Duration::from_secs(1) * EXPECTED / rate).clamp(SHORTEST, LONGEST);
        if self.trial {
            self.end_trial(rate);
        } else {
            self.rate = rate;
            self.trial = self.trial_in == 0;
            self.pausing ^= self.trial;
            self.trial_in = self.trial_in.saturating_sub(1);
        }
    }

    /// One way has had `rate`, the one before it the last period's.
    fn end_trial(&mut self, rate: u32) {
        let (with, without) = match self.pausing {
            true => (rate, self.rate),
            false => (self.rate, rate),
        };
        let found = with as f32 / without as f32;
        let worth = self.worth.map_or(found, |known| (known * 3.0 + found) / 4.0);
        self.worth = Some(worth);
        let surprising = (found >= WORTH) == self.pausing;
        self.trial_after = match surprising {
            true => TRIAL_AFTER,
            false => TRIAL_AFTER_MOST.min(self.trial_after * 2),
        };
        (self.pausing, self.trial, self.trial_in) = (worth >= WORTH, false, self.trial_after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A worker that takes 15 µs for a request, for a while.
    struct Run {
        batching: Batching,
        micros: u64,
        served: u32,
        pauses: u32,
    }

    const WORK: u64 = 15;

    impl Run {
        fn new() -> Self {
            Self {
                batching: Batching::default(),
                micros: 1_000_000,
                served: 0,
                pauses: 0,
            }
        }

        /// Looks once, finds `news`, and says how long it pauses.
        fn look(&mut self, news: u32) -> u64 {
            let now = Moment::from_nanos(self.micros * 1000);
            let pause = self.batching.delay(news as usize, self.served, now);
            self.pauses += u32::from(pause.is_some());
            pause.map_or(0, |pause| pause.as_micros() as u64)
        }

        fn sleep_until(&mut self, due: u64) {
            let asleep = due.saturating_sub(self.micros);
            self.batching.slept(Duration::from_micros(asleep));
            self.micros += asleep;
        }

        /// Requests come every `gap` µs, whatever becomes of the others. Says the share of looks that were
        /// worth a pause.
        fn open_loop(&mut self, gap: u64, millis: u64) -> f64 {
            let (end, mut due, mut looks) = (self.micros + millis * 1000, self.micros, 0);
            self.pauses = 0;
            while self.micros < end {
                self.sleep_until(due);
                looks += 1;
                self.micros += self.look(1);
                while due <= self.micros {
                    due += gap;
                    self.served += 1;
                    self.micros += WORK.min(gap - 1);
                }
            }
            f64::from(self.pauses) / f64::from(looks)
        }

        /// So many connections ask again 20 µs after each answer.
        fn closed_loop(&mut self, connections: u32, millis: u64) -> f64 {
            let (end, mut looks) = (self.micros + millis * 1000, 0);
            let mut due: Vec<u64> = vec![self.micros; connections as usize];
            self.pauses = 0;
            while self.micros < end {
                let first = due.iter().copied().min().unwrap_or(end);
                self.sleep_until(first);
                looks += 1;
                let here = due.iter().filter(|&&at| at <= self.micros).count();
                self.micros += self.look(here as u32);
                let now = self.micros;
                for at in due.iter_mut().filter(|at| **at <= now) {
                    self.micros += WORK;
                    self.served += 1;
                    *at = self.micros + 20;
                }
            }
            f64::from(self.pauses) / f64::from(looks)
        }
    }

    /// Work of 15 µs every so many: the worker is never at leisure.
    const FULL: u64 = 17;

    #[test]
    fn a_pause_is_made_where_many_come_one_by_one() {
        let share = Run::new().open_loop(FULL, 2000);
        assert!(share > 0.3, "{share}");
    }

    #[test]
    fn a_worker_that_has_time_makes_none() {
        assert_eq!(
            Run::new().open_loop(50, 2000),
            0.0,
            "20,000 a second, a third of what it can"
        );
        let mut run = Run::new();
        run.open_loop(FULL, 2000);
        run.open_loop(25, 1000);
        assert_eq!(run.open_loop(25, 1000), 0.0, "three fifths of what it can");
    }

    #[test]
    fn few_are_never_kept_waiting() {
        assert_eq!(Run::new().open_loop(500, 2000), 0.0, "2,000 a second");
        assert_eq!(Run::new().open_loop(130, 2000), 0.0, "7,700 a second");
    }

    #[test]
    fn connections_that_all_wait_for_us_are_hardly_kept_waiting() {
        let mut run = Run::new();
        run.closed_loop(2, 1000);
        let share = run.closed_loop(2, 2000);
        assert!(share < 0.05, "{share}");
    }

    #[test]
    fn what_is_best_is_found_again_when_the_load_changes() {
        let mut run = Run::new();
        run.closed_loop(2, 2000);
        run.open_loop(FULL, 2000);
        let share = run.open_loop(FULL, 1000);
        assert!(share > 0.3, "{share}");
    }

    #[test]
    fn a_batch_is_not_made_larger() {
        let mut run = Run::new();
        run.open_loop(FULL, 1000);
        assert!(run.look(1) > 0);
        assert_eq!(run.look(64), 0);
    }

    #[test]
    fn after_silence_nobody_waits() {
        let mut run = Run::new();
        run.open_loop(FULL, 1000);
        run.micros += 1_000_000;
        assert_eq!(run.look(1), 0);
    }
}
