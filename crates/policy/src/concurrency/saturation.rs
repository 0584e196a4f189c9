//! Whether an endpoint is saturated, where no limit was configured: requests queue inside it, so that more
//! in flight means later answers and no more of them. Then, and only then, what is in flight is bounded.
//!
//! What is taken for saturation has to look like it in every respect, look after look: more requests come
//! than are answered, answers come as fast as before and no faster, without a gap, and even the quick ones
//! take a multiple of what they took. Slow kinds of requests, long polls, stalls and outages each miss one.
//! An endpoint that only becomes slower may miss none. So a bound has to prove itself: it is lifted for a
//! moment now and then, and where more are answered then, it is gone.

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::time::Moment;

/// The machine of one endpoint.
///
/// ```text
///   Watches --four looks in a row say so--> Bounds { limit } --no request met the bound for 5 s--> Watches
///      ^                                        |     ^
///      |                     every so often: limit * 1.5, for a trial
///      |                                        v     | as many are answered: it is right
///      |                                     Tries ---'
///      |                                        | more are answered
///      '--- answers became fewer by the bound --'-> it was a mistake; none for 60 s, then longer
/// ```
#[derive(Clone, Debug)]
pub(crate) struct Saturation {
    look: Look,
    /// Looks since it began, or since a silence.
    looks: u32,
    /// A quick answer's latency without a queue, in nanoseconds; 0 before it is known.
    calm: u64,
    /// Answers a second meanwhile, smoothed; 0 before they are known.
    calm_rate: f64,
    /// The last look.
    last: Option<Seen>,
    /// Looks in a row that say so.
    row: u32,
    /// What they have seen together.
    row_sum: Period,
    bound: Option<Bound>,
    /// After a mistake: not before then, and how often there was one.
    not_before: Moment,
    mistakes: u32,
}

#[derive(Clone, Copy, Debug)]
struct Bound {
    limit: f64,
    /// Answers a second when it began.
    rate: f64,
    /// When a request last met it.
    met: Moment,
    /// A request has met it since the last look.
    met_in_look: bool,
    /// What was let in before it has drained.
    drained: bool,
    /// What was seen since the last judgement.
    period: Period,
    trial: Trial,
}

/// Whether the bound holds more back than a queue.
#[derive(Clone, Copy, Debug)]
enum Trial {
    /// So many judgements to go.
    In(u32),
    /// The limit is half as high again; without that so many were answered a second.
    Runs { rate: f64, settled: bool },
}

/// Looks added up.
#[derive(Clone, Copy, Debug, Default)]
struct Period {
    samples: u32,
    took: Duration,
}

/// What was seen since it began: the last latencies, in microseconds.
#[derive(Clone, Debug)]
struct Look {
    began: Moment,
    last: Moment,
    samples: u32,
    micros: [u32; SAMPLES],
    in_flight: u64,
}

/// What a look came to.
#[derive(Clone, Copy, Debug)]
struct Seen {
    samples: u32,
    took: Duration,
    /// The latency that three of four exceed, in nanoseconds.
    quick: u64,
    /// The latency that one of four exceeds.
    slow: u64,
    /// Requests in flight, on average.
    in_flight: f64,
}

/// Samples of a look.
const SAMPLES: usize = 16;

/// A look takes at least this long.
const LOOK_MIN: Duration = Duration::from_millis(100);

/// Without an answer for this long, or three times as long as a quick one takes, nothing is known any more: it
/// is a stall, or there is nothing to do.
const SILENCE: Duration = Duration::from_millis(300);

/// Longer answers than this make no look longer.
const CALM_COUNTS_MAX: Duration = Duration::from_secs(1);

/// So many looks in a row.
const ROW: u32 = 4;

/// The first look after a silence begins with an answer, so it takes the rate for higher than it is.
const LOOKS_UNSURE: u32 = 1;

/// With fewer in flight nothing is bounded, and no bound is lower.
const IN_FLIGHT_MIN: f64 = 12.0;

/// Answers that are quicker than this are good, whatever they took before.
const QUICK: u64 = 100_000_000;

/// From look to look this share of what is answered comes in addition at least. An endpoint that becomes
/// slower by itself as fast as that answers fewer, as many more are in it.
const EXCESS: f64 = 0.2;

/// The bound is so many times what the endpoint serves at once: what waits inside it keeps it busy.
const BEYOND_KNEE: f64 = 1.6;

/// A bound ends when nothing has met it for so long.
const UNMET: Duration = Duration::from_secs(5);

/// A bound is judged by so many answers, and this much time.
const JUDGED_BY: u32 = 64;
const JUDGED_WITHIN: Duration = Duration::from_millis(800);

/// A bound that leaves less than this of the answers was a mistake.
const LEFT_MIN: f64 = 0.7;

/// A trial raises the limit so far, and shows a mistake if answers rise by this much.
const TRIAL_RAISES: f64 = 1.5;
const TRIAL_GAINS: f64 = 1.2;

/// The first trial comes at once, the others after so many judgements.
const TRIAL_EVERY: u32 = 12;

/// After a bound that was a mistake none is set for this long; twice as long after the next, and so on.
const MISTAKEN: Duration = Duration::from_secs(60);
const MISTAKES_MAX: u32 = 6;

impl Saturation {
    pub(crate) fn new(now: Moment) -> Self {
        Self {
            look: Look::begin(now),
            looks: 0,
            calm: 0,
            calm_rate: 0.0,
            last: None,
            row: 0,
            row_sum: Period::default(),
            bound: None,
            not_before: Moment::default(),
            mistakes: 0,
        }
    }

    /// Whether one more request may be in flight beside so many.
    pub(crate) fn bears_more(&mut self, in_flight: u32, now: Moment) -> bool {
        let Some(bound) = &mut self.bound else {
            return true;
        };
        if f64::from(in_flight) < bound.now() {
            return true;
        }
        (bound.met, bound.met_in_look) = (now, true);
        false
    }

    /// The bound, while there is one.
    pub(crate) fn limit(&self) -> Option<u32> {
        self.bound.map(|bound| bound.now() as u32)
    }

    /// An answer came after so long, with so many in flight, itself included.
    pub(crate) fn on_answer(&mut self, latency: Duration, in_flight: u32, now: Moment) {
        let silence = self.at_least(SILENCE, 3);
        if now.since(self.look.last) > silence {
            self.forget(now);
        }
        let takes = self.at_least(LOOK_MIN, 1);
        let look = &mut self.look;
        look.micros[look.samples as usize % SAMPLES] = u32::try_from(latency.as_micros()).unwrap_or(u32::MAX);
        look.samples += 1;
        look.in_flight += u64::from(in_flight);
        look.last = now;
        if look.samples as usize >= SAMPLES && now.since(look.began) >= takes {
            let seen = look.seen(now);
            self.look = Look::begin(now);
            self.learn(seen, now);
        }
    }

    /// So long, or so many times as long as a quick answer takes: workers that began together answer together.
    fn at_least(&self, span: Duration, times: u32) -> Duration {
        let calm = Duration::from_nanos(self.calm).min(CALM_COUNTS_MAX);
        span.max(calm * times)
    }

    /// After a silence. A bound is kept only as long as answers show that it is right.
    fn forget(&mut self, now: Moment) {
        self.look = Look::begin(now);
        (self.calm, self.calm_rate, self.last, self.bound) = (0, 0.0, None, None);
        (self.looks, self.row, self.row_sum) = (0, 0, Period::default());
    }

    fn learn(&mut self, seen: Seen, now: Moment) {
        self.looks = self.looks.saturating_add(1);
        let last = self.last.replace(seen);
        if let Some(bound) = self.bound {
            self.bound = self.adjust(bound, seen, now);
            return;
        }
        if self.looks <= LOOKS_UNSURE {
            self.calm = seen.quick.max(1);
            return;
        }
        let sure = last.filter(|_| self.looks > LOOKS_UNSURE + 1);
        if sure.is_some_and(|last| self.says_so(last, seen)) {
            self.row += 1;
            self.row_sum.add(seen);
            // Requests that are slow by themselves are answered less often while they pile up.
            let rate = self.row_sum.rate();
            if self.row >= ROW && rate >= self.calm_rate * 0.9 && now >= self.not_before {
                (self.row, self.row_sum) = (0, Period::default());
                self.bound = Some(Bound::new(rate, self.calm, now));
            }
            return;
        }
        (self.row, self.row_sum) = (0, Period::default());
        // Quicker than ever is believed at once, slower by and by.
        if seen.quick < self.calm {
            self.calm = seen.quick.max(1);
        } else {
            self.calm += (seen.quick - self.calm) / CALM_FOLLOWS;
        }
        // While it becomes slower, what it answers is no measure.
        if seen.quick > QUICK.max(self.calm + self.calm / 4) {
            return;
        }
        let known = if self.calm_rate > 0.0 {
            self.calm_rate
        } else {
            seen.rate()
        };
        // A rate that falls may be the first sign of an endpoint that becomes slower: that is believed slowly.
        let part = if seen.rate() < known { 64.0 } else { 8.0 };
        self.calm_rate = known + (seen.rate() - known) / part;
    }

    /// Whether a look after the last one says that requests queue inside the endpoint.
    fn says_so(&self, last: Seen, seen: Seen) -> bool {
        let more = seen.in_flight - last.in_flight >= f64::from(seen.samples) * EXCESS;
        let many = seen.in_flight >= IN_FLIGHT_MIN;
        let no_faster = seen.rate() <= last.rate() * 1.25 && seen.rate() >= last.rate() * 0.75;
        let later = seen.quick > last.quick && seen.quick >= QUICK && seen.quick >= self.calm + self.calm / 4;
        // In a queue all wait, so the quick are not much quicker than the slow.
        let all = seen.quick * 2 >= seen.slow;
        more && many && no_faster && later && all
    }

    /// Moves the bound by what a look under it has seen, or ends it.
    fn adjust(&mut self, mut bound: Bound, seen: Seen, now: Moment) -> Option<Bound> {
        let met = std::mem::take(&mut bound.met_in_look);
        if now.since(bound.met) >= UNMET {
            return None;
        }
        bound.drained |= seen.in_flight <= bound.limit * 1.2;
        // What is answered while nobody is held back says nothing of the bound; nor do latencies, until what
        // was let in before has drained.
        if !bound.drained || !met {
            bound.period = Period::default();
            return Some(bound);
        }
        bound.period.add(seen);
        if let Trial::Runs {
            settled: settled @ false,
            ..
        } = &mut bound.trial
        {
            (*settled, bound.period) = (true, Period::default());
        } else if bound.period.samples >= JUDGED_BY && bound.period.took >= self.at_least(JUDGED_WITHIN, 5) {
            let rate = std::mem::take(&mut bound.period).rate();
            let factor = seen.quick as f64 / self.calm.max(1) as f64;
            if matches!(bound.trial, Trial::Runs { rate: before, .. } if rate > before * TRIAL_GAINS)
                && factor < BEYOND_KNEE * 0.85
            {
                // It bears more than it did, and is as quick as in calm times.
                (bound.limit, bound.rate) = (bound.now(), rate);
                bound.trial = Trial::In(0);
            } else if bound.is_mistake(rate) {
                self.mistakes = (self.mistakes + 1).min(MISTAKES_MAX);
                self.not_before = now + MISTAKEN * (1 << (self.mistakes - 1));
                (self.calm, self.calm_rate, self.looks) = (0, 0.0, 0);
                return None;
            } else {
                bound.trial = match bound.trial {
                    Trial::Runs { .. } => Trial::In(TRIAL_EVERY),
                    Trial::In(0) => Trial::Runs { rate, settled: false },
                    Trial::In(more) => Trial::In(more - 1),
                };
            }
        } else if matches!(bound.trial, Trial::In(_)) {
            let factor = seen.quick as f64 / self.calm.max(1) as f64;
            if factor > BEYOND_KNEE * 1.2 {
                bound.limit = (bound.limit * 0.95).max(IN_FLIGHT_MIN);
            } else if factor < BEYOND_KNEE * 0.85 {
                bound.limit *= 1.05;
            }
        }
        Some(bound)
    }
}

/// A slower look moves what is taken for calm by this part of the difference.
const CALM_FOLLOWS: u64 = 32;

impl Bound {
    /// What the endpoint serves at once, by Little's law, and some that wait there.
    fn new(rate: f64, calm: u64, now: Moment) -> Self {
        let knee = rate * calm as f64 / 1e9;
        Self {
            limit: (knee * BEYOND_KNEE).max(IN_FLIGHT_MIN),
            rate,
            met: now,
            met_in_look: false,
            drained: false,
            period: Period::default(),
            trial: Trial::In(0),
        }
    }

    fn now(&self) -> f64 {
        match self.trial {
            Trial::In(_) => self.limit,
            Trial::Runs { .. } => self.limit * TRIAL_RAISES,
        }
    }

    /// Whether so many answers a second show that what it bounds are no requests in a queue.
    fn is_mistake(&mut self, rate: f64) -> bool {
        match self.trial {
            Trial::Runs { rate: before, .. } => rate > before * TRIAL_GAINS,
            Trial::In(_) => {
                let fewer = rate < self.rate * LEFT_MIN;
                self.rate += (rate - self.rate) / 8.0;
                fewer
            }
        }
    }
}

impl Period {
    fn add(&mut self, seen: Seen) {
        self.samples += seen.samples;
        self.took += seen.took;
    }

    /// Answers a second.
    fn rate(self) -> f64 {
        f64::from(self.samples) / self.took.as_secs_f64()
    }
}

impl Seen {
    /// Answers a second.
    fn rate(self) -> f64 {
        f64::from(self.samples) / self.took.as_secs_f64()
    }
}

impl Look {
    fn begin(now: Moment) -> Self {
        Self {
            began: now,
            last: now,
            samples: 0,
            micros: [0; SAMPLES],
            in_flight: 0,
        }
    }

    fn seen(&self, now: Moment) -> Seen {
        let mut micros = self.micros;
        micros.sort_unstable();
        Seen {
            samples: self.samples,
            took: now.since(self.began),
            quick: u64::from(micros[SAMPLES / 4]) * 1000,
            slow: u64::from(micros[SAMPLES * 3 / 4]) * 1000,
            in_flight: self.in_flight as f64 / f64::from(self.samples),
        }
    }
}
