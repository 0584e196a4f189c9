//! An average of latency that believes bad news at once and good news slowly.

use std::time::Duration;

use crate::time::Moment;

/// After this without news, 63 % of what was known is forgotten.
const MEMORY: Duration = Duration::from_secs(10);

/// What an endpoint costs that was given requests and has not answered one yet: more than any that is
/// known to answer within a second, so that it is not flooded while nothing is known of it.
const UNKNOWN: Duration = Duration::from_secs(1);

/// The latency of one endpoint as Finagle's peak EWMA has it.
///
/// ```text
///   latency   *
///             |\                         a slower answer than the average: the average jumps to it
///     average | `-.  *                   a faster one: it moves towards it, the more the longer
///   ----------'    `--._                 the last news is ago (time constant 10 s)
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct PeakEwma {
    nanos: f64,
    news: Moment,
}

impl PeakEwma {
    /// An answer took so long, or was waited for so long and did not come.
    pub fn observe(&mut self, latency: Duration, now: Moment) {
        let sample = latency.as_nanos() as f64;
        self.nanos = if sample >= self.nanos {
            sample
        } else {
            let kept = self.kept(now);
            self.nanos * kept + sample * (1.0 - kept)
        };
        self.news = self.news.max(now);
    }

    /// What it costs to send one more request to it while so many are in flight, in nanoseconds: the
    /// average times all of them, this one included. The average fades while there is no news, so that
    /// an endpoint that was slow is tried again. 0 for one that was never asked.
    #[must_use]
    pub fn cost(&self, in_flight: u32, now: Moment) -> u64 {
        if self.nanos == 0.0 {
            let known = UNKNOWN.as_nanos() as u64;
            return known.saturating_mul(u64::from(in_flight));
        }
        (self.nanos * self.kept(now) * (f64::from(in_flight) + 1.0)) as u64
    }

    /// The average as of its last news; `None` without any.
    #[must_use]
    pub fn average(&self) -> Option<Duration> {
        (self.nanos > 0.0).then(|| Duration::from_nanos(self.nanos as u64))
    }

    /// Which share of the average counts at `now`.
    fn kept(&self, now: Moment) -> f64 {
        let silence = now.since(self.news).as_secs_f64();
        (-silence / MEMORY.as_secs_f64()).exp()
    }
}
