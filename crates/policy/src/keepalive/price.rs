//! What a request that can not be sent again without proof stakes on a reused connection, and when
//! proof is worth its price. docs/race.md, "The risk model", derives it.
//!
//! ```text
//!   written at once     fails with the chance  close * unproven
//!   in two steps        costs one round trip more, and hardly ever fails
//!   on a fresh one      costs one round trip more and a connection, so it is never cheaper
//! ```
//! A failed request is taken to be worth [`FAILURE_ROUND_TRIPS`] round trips of waiting. So proof is
//! bought where `close * unproven` is above one in so many, however long the path is.

use std::time::Duration;

/// How an endpoint's closes leave proof, as far as they have been seen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Manners {
    closes: f32,
    unproven: f32,
}

impl Manners {
    pub(super) fn closed(&mut self, proven: bool) {
        if self.closes >= CLOSES_MAX {
            (self.closes, self.unproven) = (self.closes / 2.0, self.unproven / 2.0);
        }
        self.closes += 1.0;
        self.unproven += f32::from(u8::from(!proven));
    }

    /// Closes that are remembered, and those of them that left no proof.
    pub(super) fn counts(&self) -> (f32, f32) {
        (self.closes, self.unproven)
    }

    /// Starts from what another process counted.
    pub(super) fn recall(&mut self, closes: f32, unproven: f32) {
        self.closes = closes.clamp(0.0, CLOSES_MAX);
        self.unproven = unproven.clamp(0.0, self.closes);
    }

    /// The chance that a close leaves no proof: what was seen, and [`PRIOR_CLOSES`] closes of a
    /// server like any other.
    pub(super) fn unproven(&self) -> f32 {
        (self.unproven + PRIOR_CLOSES * PRIOR_UNPROVEN) / (self.closes + PRIOR_CLOSES)
    }

    /// Whether a request that needs proof is better written in two steps, if a close crosses it with
    /// this chance.
    pub(super) fn worth_proof(&self, close: f32) -> bool {
        self.bears(close) < 1.0
    }

    /// How much of a chance of a close, up to all of it, is taken before proof is worth its price.
    pub(super) fn bears(&self, close: f32) -> f32 {
        (close * self.unproven() * FAILURE_ROUND_TRIPS).recip().min(1.0)
    }
}

/// A failed request is worth so many round trips of others' waiting: what is promised is that fewer
/// than one in so many fails.
const FAILURE_ROUND_TRIPS: f32 = 10_000.0;

/// The share of its closes that an unknown server makes without proof: measured, nginx, Node and
/// uvicorn under 1 %, gunicorn 1.5 %, none that half-closes (an RST over a request received and not yet
/// read).
const PRIOR_UNPROVEN: f32 = 0.01;

/// What that is worth against what the endpoint itself shows.
const PRIOR_CLOSES: f32 = 10.0;

/// Closes that are remembered; at so many all are halved.
const CLOSES_MAX: f32 = 4096.0;

/// The chance that a close crosses a request of an age that no request has survived. Servers ship with
/// timers of whole seconds (2, 5, 6, 15, 60, 75), and pauses are like that, too; one in twenty is what
/// a timer somewhere between a tenth of a second and a minute makes of a window of 40 ms at an age of 0.13 s, and
/// much for older ones. Explorations are few, so it costs little to be wrong on this side.
pub(super) const CLOSE_UNEXPLORED: f32 = 0.05;

/// … of an age near one at which closes are suspected to come by a timer.
pub(super) const CLOSE_NEAR_SUSPECT: f32 = 0.5;

/// The chance that a few closes alike come from a timer that is looked at now and then, at least [`SWEEP`] apart, so
/// that others may come younger: three of thirteen servers that were measured do so (gunicorn, lighttpd, Tomcat).
pub(super) const CLOSE_SWEPT: f32 = 3.0 / 13.0;
pub(super) const SWEEP: Duration = Duration::from_secs(1);
