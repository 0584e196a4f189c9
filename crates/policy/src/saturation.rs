//! Whether an endpoint is saturated, where no limit was configured: requests queue inside it, so that more
//! in flight means later answers and no more of them. Then, and only then, what is in flight is bounded.
//!
//! What is taken for saturation has to look like it in every respect, look after look: requests in flight
//! grow, answers come as fast as before and no faster, without a gap, and even the quick ones take a
//! multiple of what they took. Slow kinds of requests, long polls, stalls and outages each miss one.

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::time::Moment;

/// The machine of one endpoint.
///
/// ```text
///   Watches --four looks in a row say so--> Bounds { limit } --no request met the bound for 5 s--> Watches
///      ^                                        |
///      '--- answers became fewer by the bound: it was none; not again for 60 s, then longer
/// ```
#[derive(Clone, Debug)]
pub(crate) struct Saturation {
    look: Look,
    /// A quick answer's latency without a queue, in nanoseconds; 0 before it is known.
    calm: u64,
    /// Answers a second meanwhile, smoothed.
    calm_rate: f64,
    /// The last look.
    last: Option<Seen>,
    /// Looks in a row that say so.
    row: u32,
    /// Their answers a second, added up.
    row_rates: f64,
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
    /// Answers a second.
    rate: f64,
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

/// Without an answer for this long nothing is known any more: it is a stall, or there is nothing to do.
const SILENCE: Duration = Duration::from_millis(300);

/// So many looks in a row.
const ROW: u32 = 4;

/// With fewer in flight nothing is bounded, and no bound is lower.
const IN_FLIGHT_MIN: f64 = 12.0;

/// Answers that are quicker than this are good, whatever they took before.
const QUICK: u64 = 100_000_000;

/// Requests in flight grow from look to look by this factor at least.
const GROWTH: f64 = 1.05;

/// The bound is so many times what the endpoint serves at once: what waits inside it keeps it busy.
const BEYOND_KNEE: f64 = 1.6;

/// A bound ends when nothing has met it for so long.
const UNMET: Duration = Duration::from_secs(5);

/// After a bound that was a mistake none is set for this long; twice as long after the next, and so on.
const MISTAKEN: Duration = Duration::from_secs(60);
const MISTAKES_MAX: u32 = 6;

impl Saturation {
    pub(crate) fn new(now: Moment) -> Self {
        Self {
            look: Look::begin(now),
            calm: 0,
            calm_rate: 0.0,
            last: None,
            row: 0,
            row_rates: 0.0,
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
        if f64::from(in_flight) < bound.limit {
            return true;
        }
        (bound.met, bound.met_in_look) = (now, true);
        false
    }

    /// The bound, while there is one.
    pub(crate) fn limit(&self) -> Option<u32> {
        self.bound.map(|bound| bound.limit as u32)
    }

    /// An answer came after so long, with so many in flight, itself included.
    pub(crate) fn on_answer(&mut self, latency: Duration, in_flight: u32, now: Moment) {
        if now.since(self.look.last) > SILENCE {
            self.forget(now);
        }
        let look = &mut self.look;
        look.micros[look.samples as usize % SAMPLES] = u32::try_from(latency.as_micros()).unwrap_or(u32::MAX);
        look.samples += 1;
        look.in_flight += u64::from(in_flight);
        look.last = now;
        if look.samples as usize >= SAMPLES && now.since(look.began) >= LOOK_MIN {
            let seen = look.seen(now);
            self.look = Look::begin(now);
            self.learn(seen, now);
        }
    }

    /// After a silence. A bound is kept only as long as answers show that it is right.
    fn forget(&mut self, now: Moment) {
        self.look = Look::begin(now);
        (self.calm, self.calm_rate, self.last, self.row, self.bound) = (0, 0.0, None, 0, None);
    }

    fn learn(&mut self, seen: Seen, now: Moment) {
        let last = self.last.replace(seen);
        match self.bound {
            Some(bound) => self.adjust(bound, seen, now),
            None => {
                let says_so = last.is_some_and(|last| self.says_so(last, seen));
                if says_so {
                    (self.row, self.row_rates) = (self.row + 1, self.row_rates + seen.rate);
                } else {
                    (self.row, self.row_rates) = (0, 0.0);
                }
                let rate = self.row_rates / f64::from(self.row.max(1));
                // Requests that are slow by themselves are answered less often while they pile up.
                let as_many = rate >= self.calm_rate * 0.9;
                if self.row >= ROW && as_many && now >= self.not_before {
                    (self.row, self.row_rates) = (0, 0.0);
                    // What the endpoint serves at once, by Little's law, and some that wait there.
                    let knee = rate * self.calm as f64 / 1e9;
                    self.bound = Some(Bound {
                        limit: (knee * BEYOND_KNEE).max(IN_FLIGHT_MIN),
                        rate,
                        met: now,
                        met_in_look: false,
                    });
                    return;
                }
                // Quicker than ever is believed at once, slower by and by, and not while it may be a queue.
                if self.calm == 0 || seen.quick < self.calm {
                    self.calm = seen.quick.max(1);
                } else if !says_so {
                    self.calm += (seen.quick - self.calm) / CALM_FOLLOWS;
                }
                if !says_so {
                    let known = if self.calm_rate > 0.0 {
                        self.calm_rate
                    } else {
                        seen.rate
                    };
                    self.calm_rate = known + (seen.rate - known) / 8.0;
                }
            }
        }
    }

    /// Whether a look after the last one says that requests queue inside the endpoint.
    fn says_so(&self, last: Seen, seen: Seen) -> bool {
        let grows = seen.in_flight >= last.in_flight * GROWTH && seen.in_flight >= IN_FLIGHT_MIN;
        let no_faster = seen.rate <= last.rate * 1.25 && seen.rate >= last.rate * 0.75;
        let later = seen.quick > last.quick && seen.quick >= QUICK && seen.quick >= self.calm + self.calm / 4;
        // In a queue all wait, so the quick are not much quicker than the slow.
        let all = seen.quick * 2 >= seen.slow;
        grows && no_faster && later && all
    }

    /// Moves the bound by what a look under it has seen, or ends it.
    fn adjust(&mut self, mut bound: Bound, seen: Seen, now: Moment) {
        let met = std::mem::take(&mut bound.met_in_look);
        if met && seen.rate < bound.rate * 0.6 {
            // Fewer are answered because fewer are let in: they did not stand in each other's way.
            self.mistakes = (self.mistakes + 1).min(MISTAKES_MAX);
            self.not_before = now + MISTAKEN * (1 << (self.mistakes - 1));
            (self.bound, self.row, self.calm) = (None, 0, 0);
            return;
        }
        if now.since(bound.met) >= UNMET {
            self.bound = None;
            return;
        }
        // Only once what was let in before has drained do latencies tell of the bound.
        if seen.in_flight <= bound.limit * 1.2 {
            let factor = seen.quick as f64 / self.calm.max(1) as f64;
            if factor > BEYOND_KNEE * 1.2 {
                bound.limit = (bound.limit * 0.95).max(IN_FLIGHT_MIN);
            } else if factor < BEYOND_KNEE * 0.85 && met {
                bound.limit *= 1.05;
            }
        }
        bound.rate = bound.rate.max(seen.rate * 0.9);
        self.bound = Some(bound);
    }
}

/// A slower look moves what is taken for calm by this part of the difference.
const CALM_FOLLOWS: u64 = 32;

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
            rate: f64::from(self.samples) / now.since(self.began).as_secs_f64(),
            quick: u64::from(micros[SAMPLES / 4]) * 1000,
            slow: u64::from(micros[SAMPLES * 3 / 4]) * 1000,
            in_flight: self.in_flight as f64 / f64::from(self.samples),
        }
    }
}
