//! When does this endpoint close idle connections? Hints, closes and survivals of its idle
//! connections become a reuse limit and a price of risk.
//!
//! Ages are counted from the last byte received, by our clock. A timer of the endpoint that fires
//! at age T is seen here at age T, one half of a round trip later than it fired; a request that is
//! written at age `a` arrives at the endpoint's age `a` plus one whole round trip. So a connection
//! is fit for use up to T less one round trip, less the plan's margin.

mod table;
mod wall;

use std::time::Duration;

use crate::cluster::Resend;
use crate::plan::{KeepAlivePlan, Learning};
use crate::time::Moment;

use table::Survival;
pub use wall::Band;
use wall::Watch;

/// What was learned of one endpoint's idle connections.
///
/// ```text
///   hint (each response) -----------------------------.
///   close (age) ---> watch: suspect --> wall ----------+--> Limit { reuse, safe, source }
///           '------> survival table: 1000 survived ----+
///   survival (age) --^         ^ refutes suspects and walls
/// ```
#[derive(Clone, Debug)]
pub struct Learner {
    survival: Survival,
    watch: Watch,
    hint: Option<Duration>,
    /// Responses in a row without a hint, since the last one with.
    unhinted: u32,
    resets: u64,
    /// The age up to which survivals alone say that closes are rarer than one in a thousand.
    survived: Duration,
    /// Survivals since `survived` was last computed.
    stale: u32,
}

/// How a close by the endpoint looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// A FIN.
    Fin,
    /// An RST without a FIN: it leaves no proof behind.
    Reset,
}

/// Where a reuse limit comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The configured idle timeout.
    Configured,
    /// `Keep-Alive: timeout=N` of the endpoint's responses.
    Hint,
    /// Closes that were seen.
    Learned {
        /// How many closes agreed.
        closes: u32,
        /// The youngest age at which they came.
        wall: Duration,
    },
}

/// Up to which idle age a connection may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Past this age it is not used again.
    pub reuse: Duration,
    /// Up to this age a close within a round trip and the margin is rarer than one in a thousand,
    /// on evidence. Never above `reuse`.
    pub safe: Duration,
    /// Past this age a request that could not be sent again gets a fresh connection. Between
    /// `safe` and `reuse`.
    pub proof: Duration,
    /// What set `reuse`.
    pub source: Source,
}

/// What using a connection of some idle age risks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Risk {
    /// A close in the next moments is rarer than one in a thousand, on evidence.
    Safe,
    /// Nothing speaks against it, too little for it.
    Unsure,
    /// Beyond the limit.
    Past,
}

impl Limit {
    /// What a request of this kind risks on a connection of this idle age.
    #[must_use]
    pub fn risk(&self, age: Duration, resend: Resend) -> Risk {
        let most = match resend {
            Resend::Safe => self.reuse,
            Resend::NeedsProof => self.proof,
        };
        if age > most {
            Risk::Past
        } else if age <= self.safe {
            Risk::Safe
        } else {
            Risk::Unsure
        }
    }
}

/// Everything the admin and the log tell of what was learned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Knowledge {
    /// The limit in force.
    pub limit: Limit,
    /// The last hint.
    pub hint: Option<Duration>,
    /// The wall: the band of ages at which the endpoint closes, and how many closes agreed.
    pub wall: Option<Band>,
    /// Closes of idle connections that were seen (a burst counts once).
    pub closes: u32,
    /// … of these, at ages that agree with no wall.
    pub scatter: u32,
    /// Closes by a bare RST.
    pub resets: u64,
}

impl Default for Learner {
    fn default() -> Self {
        Self::new()
    }
}

impl Learner {
    /// A learner that knows nothing.
    #[must_use]
    pub fn new() -> Self {
        Self {
            survival: Survival::new(),
            watch: Watch::new(),
            hint: None,
            unhinted: 0,
            resets: 0,
            survived: Duration::ZERO,
            stale: 0,
        }
    }

    /// A response came, with this `Keep-Alive: timeout`. Returns whether the limit may have
    /// changed.
    pub fn on_response(&mut self, hint: Option<Duration>) -> bool {
        if hint.is_some() {
            self.unhinted = 0;
            return std::mem::replace(&mut self.hint, hint) != hint;
        }
        self.unhinted = self.unhinted.saturating_add(1);
        self.unhinted == HINT_RESPONSES && self.hint.take().is_some()
    }

    /// The endpoint closed a connection that had been idle for `age`. Returns whether the limit
    /// may have changed.
    pub fn on_closed(&mut self, age: Duration, how: Sign, now: Moment) -> bool {
        let before = (self.watch.wall(), self.watch.suspect());
        if how == Sign::Reset {
            self.resets += 1;
        }
        if self.watch.on_closed(age, now) {
            self.survival.closed(age);
        }
        self.settle(before.0);
        before != (self.watch.wall(), self.watch.suspect())
    }

    /// A connection that had been idle for `age` was alive: a request was answered on it, it was
    /// retired alive, or it is a probe that has got this far. Returns whether the limit may have
    /// changed.
    pub fn on_survived(&mut self, age: Duration) -> bool {
        self.survival.survived(age);
        self.stale += 1;
        if !self.watch.passes(age) {
            if self.stale >= REFRESH_SURVIVALS {
                self.refresh();
            }
            return false;
        }
        let before = self.watch.wall();
        self.watch.on_passed(age);
        self.settle(before);
        before != self.watch.wall()
    }

    /// Endpoints of the same cluster share a wall: start with it as a suspicion, if nothing of our
    /// own speaks for or against it.
    pub fn suggest(&mut self, wall: Band) {
        if !self.survival.beyond(wall.top(), 1.0) {
            self.watch.suggest(wall);
        }
    }

    /// The wall, if one is known.
    #[must_use]
    pub fn wall(&self) -> Option<Band> {
        self.watch.wall()
    }

    /// Up to which idle age a connection may be used, `round_trip` away from the endpoint.
    #[must_use]
    pub fn limit(&self, plan: &KeepAlivePlan, round_trip: Duration) -> Limit {
        let idle = plan.idle_timeout;
        if plan.learning == Learning::Off {
            return Limit {
                reuse: idle,
                safe: idle.min(YOUNG),
                proof: idle,
                source: Source::Configured,
            };
        }
        let ahead = round_trip + plan.margin;
        let (mut reuse, mut source) = (idle, Source::Configured);
        let wall = self.watch.wall();
        if let Some(hint) = self.hint {
            let bound = hint_bound(hint, wall).saturating_sub(ahead).max(YOUNG);
            if bound < reuse {
                (reuse, source) = (bound, Source::Hint);
            }
        }
        if let Some(wall) = wall {
            let bound = wall.prudent().saturating_sub(ahead);
            if bound < reuse {
                (reuse, source) = (
                    bound,
                    Source::Learned {
                        closes: wall.closes,
                        wall: wall.lo,
                    },
                );
            }
        }
        let known = self.hint.is_some() || wall.is_some();
        let young = if self.survival.closed_to(YOUNG) {
            Duration::ZERO
        } else {
            YOUNG
        };
        let mut safe = if known {
            reuse
        } else {
            young.max(self.survived.saturating_sub(ahead)).min(reuse)
        };
        let mut proof = reuse;
        if let Some(suspect) = self.doubt() {
            let bound = suspect.prudent().saturating_sub(ahead);
            safe = safe.min(bound);
            if self.resets > 0 {
                proof = proof.min(bound);
            }
        }
        Limit {
            reuse,
            safe,
            proof,
            source,
        }
    }

    /// What the admin and the log tell.
    #[must_use]
    pub fn knowledge(&self, plan: &KeepAlivePlan, round_trip: Duration) -> Knowledge {
        let closes = self.watch.closes();
        let wall = self.watch.wall();
        Knowledge {
            limit: self.limit(plan, round_trip),
            hint: self.hint,
            wall,
            closes,
            scatter: closes.saturating_sub(wall.map_or(0, |wall| wall.closes)),
            resets: self.resets,
        }
    }

    /// A suspicion that a request without a second chance must heed: two closes, or one with
    /// hardly a survivor beyond it.
    fn doubt(&self) -> Option<Band> {
        self.watch
            .suspect()
            .filter(|suspect| suspect.closes > 1 || !self.survival.beyond(suspect.top(), DOUBT_SURVIVORS))
    }

    /// A new wall, or a fallen one, makes what the table held of the other time untrue.
    fn settle(&mut self, before: Option<Band>) {
        match (before, self.watch.wall()) {
            (None, Some(wall)) => self.survival.forget_beyond(wall.top()),
            (Some(old), Some(wall)) if wall.top() < old.lo => self.survival.forget_beyond(wall.top()),
            (Some(_), None) => self.survival.forget_closes(),
            _ => {}
        }
        self.refresh();
    }

    fn refresh(&mut self) {
        self.stale = 0;
        self.survived = self.survival.safe();
    }
}

impl Knowledge {
    /// One plain sentence on what was learned, for people.
    #[must_use]
    pub fn sentence(&self) -> String {
        let limit = Seconds(self.limit.reuse);
        match (self.limit.source, self.wall) {
            (Source::Learned { closes, wall }, _) => format!(
                "closes idle connections after {}, as {closes} of {} closes; connections are reused up to {limit}",
                Seconds(wall),
                self.closes
            ),
            (Source::Hint, Some(wall)) => format!(
                "announces to close after {}, closes after {}; connections are reused up to {limit}",
                Seconds(self.hint.unwrap_or_default()),
                Seconds(wall.lo)
            ),
            (Source::Hint, None) => format!(
                "announces to close idle connections after {}; connections are reused up to {limit}",
                Seconds(self.hint.unwrap_or_default())
            ),
            (Source::Configured, _) if self.closes == 0 => {
                format!("has not been seen to close an idle connection; connections are reused up to {limit}")
            }
            (Source::Configured, _) => format!(
                "closed {} idle connections at no fixed age; connections are reused up to {limit}",
                self.closes
            ),
        }
    }
}

/// A duration as people read it: `5.001 s`, `397 ms`.
#[derive(Clone, Copy, Debug)]
pub struct Seconds(pub Duration);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 < Duration::from_secs(1) {
            write!(f, "{} ms", self.0.as_millis())
        } else {
            write!(f, "{:.3} s", self.0.as_secs_f64())
        }
    }
}

/// What a hint allows before round trip and margin. It has whole seconds only, and servers round
/// it either way (one announces 5 and closes at 6.0, others close at 5.0), so up to one second is
/// taken off, until closes have shown that the endpoint keeps its word.
fn hint_bound(hint: Duration, wall: Option<Band>) -> Duration {
    if wall.is_some_and(|wall| wall.lo + wall.lo / 50 >= hint) {
        return hint;
    }
    hint.saturating_sub(HINT_ROUNDING.min(hint / 2))
}

/// A connection idle for no longer than this is safe while no close was seen at such ages: every
/// server in use waits longer, and what ends younger connections is a crash, which no age tells.
/// A hint never lowers the limit below it either (`timeout=0` means "less than a second").
const YOUNG: Duration = Duration::from_millis(100);

/// See [`hint_bound`].
const HINT_ROUNDING: Duration = Duration::from_secs(1);

/// After this many responses without a hint, the last hint no longer holds.
const HINT_RESPONSES: u32 = 100;

/// How often survivals are folded into the safe age; one pass over the table each.
const REFRESH_SURVIVALS: u32 = 256;

/// A single close is no reason for care when this many have lived on beyond it.
const DOUBT_SURVIVORS: f32 = 10.0;

#[cfg(test)]
mod tests;
