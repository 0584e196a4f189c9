//! How long an endpoint or a route usually takes: quantiles of the last minute or so, and what hangs on
//! them: the wait before a hedge, the automatic timeout, the cost of an endpoint.
//!
//! An attempt that was given up is to be recorded too, with the time that it was waited for: left out,
//! the slowest would be missing, and a timeout that follows these figures would tighten itself.

mod auto_timeout;
mod peak;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::plan::HedgePlan;
use crate::time::Moment;

pub use auto_timeout::{AutoAnswer, AutoReason, auto_timeout};
pub use peak::PeakEwma;

/// With fewer samples no quantile is told.
pub const SAMPLES_MIN: u32 = 50;

/// Steps within an octave, as a power of two: sixteen, so that a quantile is at most 1/16 too high.
const STEP_BITS: u32 = 4;
const STEPS: u64 = 1 << STEP_BITS;
/// Ten minutes. What takes longer counts as this.
const MICROS_MAX: u64 = 600_000_000;
const BUCKETS: usize = bucket(MICROS_MAX) + 1;

/// A window is at least this long, so what was recorded weighs for one to two of it.
const WINDOW: Duration = Duration::from_secs(30);
/// A window that lacks samples is not waited for longer.
const WINDOW_MAX: Duration = Duration::from_secs(600);

/// Latencies, in buckets that are one microsecond wide up to 16 us and a sixteenth of their octave
/// above. Under 4 KiB, whatever is recorded; recording takes the same time, whatever was recorded.
///
/// ```text
///   |---- former window, whole ----|---- present window, filling ----|
///                                                         ^ recorded here
///     quantiles are taken of both ----------------------->|
/// ```
/// The present one becomes the former after 30 s, or later if it has fewer than [`SAMPLES_MIN`] samples,
/// but after 10 min in any case.
#[derive(Clone, Debug)]
pub struct Latencies {
    windows: [[u32; BUCKETS]; 2],
    counts: [u32; 2],
    present: usize,
    began: Moment,
}

impl Latencies {
    /// Without samples.
    #[must_use]
    pub fn new(now: Moment) -> Self {
        Self {
            windows: [[0; BUCKETS]; 2],
            counts: [0; 2],
            present: 0,
            began: now,
        }
    }

    /// An answer took so long, or was waited for so long and did not come.
    pub fn record(&mut self, latency: Duration, now: Moment) {
        self.turn(now);
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        let cell = &mut self.windows[self.present][bucket(micros.min(MICROS_MAX))];
        *cell = cell.saturating_add(1);
        self.counts[self.present] = self.counts[self.present].saturating_add(1);
    }

    /// The time within which this share (0 to 1) of the answers came: the upper edge of its bucket, so
    /// at most 1/16 or 1 us too long and never too short. `None` below [`SAMPLES_MIN`] samples.
    ///
    /// It walks the buckets (some hundreds): where each request asks, use [`Remembered`].
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let count = self.count();
        if count < u64::from(SAMPLES_MIN) {
            return None;
        }
        let rank = (share.clamp(0.0, 1.0) * count as f64).ceil().max(1.0) as u64;
        let mut passed = 0;
        let [one, two] = &self.windows;
        let cells = one
            .iter()
            .zip(two)
            .map(|(&one, &two)| u64::from(one) + u64::from(two));
        let at = cells.into_iter().position(|cell| {
            passed += cell;
            passed >= rank
        });
        at.map(|at| Duration::from_micros(upper_edge(at)))
    }

    /// Samples that quantiles are taken of.
    #[must_use]
    pub fn count(&self) -> u64 {
        u64::from(self.counts[0]) + u64::from(self.counts[1])
    }

    /// Begins a new window if the present one is over.
    fn turn(&mut self, now: Moment) {
        let age = now.since(self.began);
        let full = age >= WINDOW && self.counts[self.present] >= SAMPLES_MIN;
        if full || age >= WINDOW_MAX {
            self.present = 1 - self.present;
            self.windows[self.present] = [0; BUCKETS];
            self.counts[self.present] = 0;
            self.began = now;
        }
    }
}

/// One quantile that many ask for: looked up ten times a second at most.
#[derive(Clone, Copy, Debug, Default)]
pub struct Remembered {
    value: Option<Duration>,
    share: f64,
    until: Moment,
}

/// How long a looked up quantile is good for.
const REMEMBERED: Duration = Duration::from_millis(100);

impl Remembered {
    /// The quantile as of the last tenth of a second; see [`Latencies::quantile`].
    pub fn quantile(&mut self, latencies: &Latencies, share: f64, now: Moment) -> Option<Duration> {
        if self.until <= now || self.share != share {
            self.value = latencies.quantile(share);
            self.share = share;
            self.until = now + REMEMBERED;
        }
        self.value
    }
}

/// How long to wait for an answer before a hedge is sent; `None` while too little is known to tell a
/// slow answer from a usual one. `quantile` is that of `plan.quantile`.
#[must_use]
pub fn hedge_wait(plan: &HedgePlan, quantile: Option<Duration>) -> Option<Duration> {
    quantile.map(|usual| usual.max(plan.least))
}

const fn bucket(micros: u64) -> usize {
    if micros < STEPS {
        return micros as usize;
    }
    let octave = micros.ilog2() - STEP_BITS;
    let step = (micros >> octave) - STEPS;
    ((octave as u64 + 1) * STEPS + step) as usize
}

/// The longest time, in whole microseconds, that is counted in this bucket, and the rest of that
/// microsecond.
const fn upper_edge(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < STEPS {
        return bucket + 1;
    }
    let octave = bucket / STEPS - 1;
    (bucket % STEPS + STEPS + 1) << octave
}
