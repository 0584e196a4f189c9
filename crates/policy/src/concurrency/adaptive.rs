//! How many requests in flight an endpoint bears, from its latency: while it answers about as fast as
//! at rest, one more is let in after the other; once requests queue up there, the limit goes down.

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::plan::AdaptivePlan;
use crate::time::Moment;

/// The limit before anything is known.
const START: f64 = 32.0;
/// A look at the latency takes at least this long and so many samples: fewer say nothing of a mean.
const LOOK: Duration = Duration::from_millis(100);
const SAMPLES_MIN: u32 = 20;
/// The latency at rest is measured anew after this, as the endpoint may have become another; and not
/// before twenty times what the last measurement took, as that was time with less in flight.
const REST_LASTS: Duration = Duration::from_secs(10);
const REST_LASTS_TIMES: u32 = 20;
/// A measurement takes so many samples for each request that may be in flight meanwhile: the first that
/// are answered of those that begin together are the fast ones.
const MEASURE_ROUNDS: u32 = 4;
/// A measurement is given up after this, or four times the present latency if that is longer.
const MEASURE_MAX: Duration = Duration::from_secs(3);
/// However slow it becomes, a look does no more than halve the limit.
const GRADIENT_MIN: f64 = 0.5;
/// What a look with a drop leaves of the limit.
const AFTER_DROP: f64 = 0.8;
/// A measurement that was disturbed by a stall must not make us believe that a stall is rest.
const REST_RISE_MAX: f64 = 2.0;

/// The limit of one endpoint.
///
/// ```text
///                    10 s later: as few in flight as can hardly queue
///   Follows ---------------------------------------------------------> Measures
///      ^       each look: limit = limit * gradient + sqrt(limit),          |
///      |       gradient = tolerance * at rest / now, 0.5 to 1              |
///      |       a look with drops: limit = limit * 0.8                      |
///      '-------------------------------------------------------------------'
///         four rounds of samples that began since (their mean is the latency
///         at rest), or a drop, or 3 s: the limit is what it was
/// ```
/// The square root is the queue that is allowed to form: it is the room to grow in, and it keeps a limit
/// that is right from starving the endpoint. It is added only if half of the limit was in use: what
/// nobody needs says nothing of what the endpoint bears.
///
/// Where `k` requests at once are what it can serve, the limit settles at `tolerance * k` and a root
/// above it. For a measurement it goes down to `limit / (2 * tolerance)`: if even then requests queue,
/// the gradient is still a half, so the next measurement finds fewer.
#[derive(Clone, Debug)]
pub struct Adaptive {
    limit: f64,
    phase: Phase,
    look: Look,
    /// The latency at present, smoothed over looks, in nanoseconds.
    short: Option<f64>,
    /// The latency at rest, in nanoseconds.
    rest: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Until rest is to be measured.
    Follows { until: Moment },
    /// From the look's begin, at the latest until then.
    Measures { until: Moment },
}

/// What was seen since it began.
#[derive(Clone, Copy, Debug)]
struct Look {
    began: Moment,
    nanos: f64,
    samples: u32,
    /// The most that were in flight.
    peak: u32,
    dropped: bool,
}

/// One answered attempt.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// When it was sent.
    pub begun: Moment,
    /// From then to the response's head.
    pub latency: Duration,
    /// Requests in flight to the endpoint when it was answered, itself included.
    pub in_flight: u32,
}

impl Adaptive {
    /// Of an endpoint of which nothing is known.
    #[must_use]
    pub fn new(now: Moment) -> Self {
        Self {
            limit: START,
            phase: Phase::Measures {
                until: now + MEASURE_MAX,
            },
            look: Look::begin(now),
            short: None,
            rest: None,
        }
    }

    /// Requests that may be in flight to the endpoint now.
    #[must_use]
    pub fn limit(&self, plan: &AdaptivePlan) -> u32 {
        let limit = match self.phase {
            Phase::Follows { .. } => self.limit,
            Phase::Measures { .. } => self.limit / (2.0 * plan.tolerance.max(1.0)),
        };
        bounded(limit, plan) as u32
    }

    /// The latency at rest, as measured last; `None` before the first time.
    #[must_use]
    pub fn at_rest(&self) -> Option<Duration> {
        self.rest.map(|nanos| Duration::from_nanos(nanos as u64))
    }

    /// A response came.
    pub fn on_response(&mut self, sample: &Sample, plan: &AdaptivePlan, now: Moment) {
        let measures = matches!(self.phase, Phase::Measures { .. });
        // What began under the higher limit may have queued.
        if !measures || sample.begun >= self.look.began {
            self.look.nanos += sample.latency.as_nanos() as f64;
            self.look.samples += 1;
        }
        self.look.peak = self.look.peak.max(sample.in_flight);
        self.advance(plan, now);
    }

    /// A request was dropped for overload: its time was up, or the endpoint said that it has too much.
    pub fn on_drop(&mut self, plan: &AdaptivePlan, now: Moment) {
        self.look.dropped = true;
        self.advance(plan, now);
    }

    fn advance(&mut self, plan: &AdaptivePlan, now: Moment) {
        let age = now.since(self.look.began);
        match self.phase {
            Phase::Measures { until } => {
                let rounds = self.limit(plan).saturating_mul(MEASURE_ROUNDS);
                let enough = self.look.samples >= rounds.max(SAMPLES_MIN);
                if enough || self.look.dropped || until <= now {
                    self.end_measurement(plan, age, now);
                }
            }
            Phase::Follows { until } => {
                let enough = self.look.samples >= SAMPLES_MIN;
                if age < LOOK || !(enough || self.look.dropped) {
                    return;
                }
                self.follow(plan);
                self.look = Look::begin(now);
                if until <= now {
                    let usual = Duration::from_nanos(self.short.unwrap_or_default() as u64);
                    self.phase = Phase::Measures {
                        until: now + MEASURE_MAX.max(usual * 4),
                    };
                }
            }
        }
    }

    fn end_measurement(&mut self, plan: &AdaptivePlan, took: Duration, now: Moment) {
        if self.look.dropped {
            self.limit = bounded(self.limit * AFTER_DROP, plan);
        } else if self.look.samples >= SAMPLES_MIN {
            let most = self.rest.map_or(f64::INFINITY, |rest| rest * REST_RISE_MAX);
            self.rest = Some(self.look.mean().min(most));
        }
        self.phase = Phase::Follows {
            until: now + REST_LASTS.max(took.saturating_mul(REST_LASTS_TIMES)),
        };
        self.look = Look::begin(now);
    }

    /// Moves the limit by what a look has seen.
    fn follow(&mut self, plan: &AdaptivePlan) {
        if self.look.dropped {
            self.limit = bounded(self.limit * AFTER_DROP, plan);
            return;
        }
        let mean = self.look.mean();
        let short = self.short.map_or(mean, |short| (short + mean) / 2.0);
        // Faster than at rest: some of it is chance, so it is believed by and by.
        let rest = self.rest.map_or(short, |rest| rest.min(rest * 0.9 + short * 0.1));
        let gradient = (plan.tolerance.max(1.0) * rest / short.max(1.0)).clamp(GRADIENT_MIN, 1.0);
        let moved = self.limit * gradient + self.limit.sqrt();
        let used = f64::from(self.look.peak) * 2.0 >= self.limit;
        self.limit = bounded(if used { moved } else { moved.min(self.limit) }, plan);
        (self.short, self.rest) = (Some(short), Some(rest));
    }
}

impl Look {
    fn begin(now: Moment) -> Self {
        Self {
            began: now,
            nanos: 0.0,
            samples: 0,
            peak: 0,
            dropped: false,
        }
    }

    /// Of at least one sample.
    fn mean(&self) -> f64 {
        self.nanos / f64::from(self.samples)
    }
}

fn bounded(limit: f64, plan: &AdaptivePlan) -> f64 {
    let least = f64::from(plan.least.max(1));
    limit.clamp(least, f64::from(plan.most).max(least))
}
