//! When does this endpoint close idle connections? Hints, closes and survivals of its idle
//! connections become a reuse limit and a price of risk.
//!
//! Ages are counted from the last byte received, by our clock. A timer of the endpoint that fires
//! at age T is seen here at age T, one half of a round trip later than it fired; a request that is
//! written at age `a` arrives at the endpoint's age `a` plus one whole round trip. So a connection
//! is fit for use up to T less one round trip, less the plan's margin.

mod explored;
mod knowledge;
mod learned;
mod limit;
mod price;
pub(crate) mod silence;
mod table;
mod wall;

use std::time::Duration;

use crate::plan::{KeepAlivePlan, Learning};
use crate::time::Moment;

use explored::Explored;
pub use knowledge::{Knowledge, Seconds};
pub use learned::{Learned, Silent};
pub use limit::{Ages, Limit, Risk, Source};
use price::Manners;
use table::Survival;
pub use wall::Band;
use wall::Watch;

/// What was learned of one endpoint's idle connections.
///
/// ```text
///   hint (each response) -----------------------------.
///   close (age) ---> watch: suspect --> wall ----------+--> Limit { reuse, safe, wary, source }
///       |   '------> survival table: scatter ----------+
///       '----------> manners: with proof or without ---+
///   survival (age) --> explored: the oldest so far ----'
///           '--> survival table; refutes suspects and walls
/// ```
#[derive(Clone, Debug)]
pub struct Learner {
    survival: Survival,
    watch: Watch,
    hint: Option<Duration>,
    /// Responses in a row without a hint, since the last one with.
    unhinted: u32,
    resets: u64,
    explored: Explored,
    manners: Manners,
    /// The youngest age at which a request met a close that the wall did not explain, lately.
    surprised: Option<Duration>,
}

/// How a close by the endpoint looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// A FIN.
    Fin,
    /// An RST without a FIN: it leaves no proof behind.
    Reset,
    /// Bytes that answer no request. The connection is of no use from then on, and they leave no proof either.
    Unsolicited,
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
            explored: Explored::default(),
            manners: Manners::default(),
            surprised: None,
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

    /// The endpoint closed a connection that had been idle for `age`, or made it useless. Returns whether
    /// the limit may have changed.
    pub fn on_closed(&mut self, age: Duration, how: Sign, now: Moment) -> bool {
        if how == Sign::Unsolicited && age < YOUNG {
            return false; // More likely the end of the response before than what a timer says.
        }
        let before = (self.watch.wall(), self.watch.suspect());
        let proven = how == Sign::Fin;
        self.resets += u64::from(how == Sign::Reset);
        let event = self.watch.on_closed(age, now);
        if event {
            self.survival.closed(age);
        }
        // What closes together is one event, but each that leaves no proof can fail a request.
        if event || !proven {
            self.manners.closed(proven);
        }
        self.settle(before.0);
        before != (self.watch.wall(), self.watch.suspect())
    }

    /// A close met a request on a connection that had been idle for `written`, and left no proof. The endpoint had closed at that age or soon after, whenever its FIN would have been
    /// here: so FINs come late here, or a timer has spread. Returns whether the limit may have
    /// changed; it is to be reported besides the close itself.
    pub fn on_surprise(&mut self, written: Duration, how: Sign) -> bool {
        if how == Sign::Fin {
            // Something between acknowledged the request: no timer is told by the age of such a close.
            self.manners.closed(false);
            self.survival.closed(written);
        }
        if self.watch.wall().is_some_and(|wall| wall.may_hold(written)) {
            let youngest = self.surprised.map_or(written, |age| age.min(written));
            self.surprised = Some(youngest);
        }
        true
    }

    /// A request was answered on a connection that had been idle for `age`. Returns whether the limit
    /// may have changed.
    pub fn on_survived(&mut self, age: Duration, now: Moment) -> bool {
        let record = self.explored.survived(age, now);
        self.on_outlived(age) || record
    }

    /// A connection that had been idle for `age` was alive: it was retired then, or it is a probe that
    /// has got this far. A request that was written then might still have met a close, so no age is
    /// explored by it. Returns whether the limit may have changed.
    #[inline]
    pub fn on_outlived(&mut self, age: Duration) -> bool {
        self.survival.survived(age);
        self.watch.passes(age) && self.on_passed(age)
    }

    /// It was older than a wall, or than what is suspected to be one.
    #[cold]
    fn on_passed(&mut self, age: Duration) -> bool {
        let before = self.watch.wall();
        self.watch.on_passed(age);
        self.settle(before);
        before != self.watch.wall()
    }

    /// The greatest idle age that a request has survived here.
    #[must_use]
    pub fn explored(&self) -> Duration {
        self.explored.age()
    }

    /// Whether closes speak against what siblings have survived.
    #[must_use]
    pub fn disagrees(&self, explored: Duration) -> bool {
        let below = |band: Option<Band>| band.is_some_and(|band| band.lo <= explored);
        below(self.watch.wall()) || below(self.watch.suspect())
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

    /// Up to which idle age a connection may be used, over a path of this length: the time from a
    /// request's first byte to the earliest moment at which the endpoint's word on it could be here.
    #[must_use]
    pub fn limit(&self, plan: &KeepAlivePlan, path: Duration) -> Limit {
        let idle = plan.idle_timeout;
        if plan.learning == Learning::Off {
            return Limit {
                reuse: idle,
                safe: idle.min(YOUNG),
                unexplored: false,
                wary: None,
                unsolicited: false,
                source: Source::Configured,
            };
        }
        let ahead = path + plan.margin;
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
        let (safe, unexplored) = self.safe(reuse, path, ahead);
        Limit {
            reuse,
            safe,
            unexplored,
            wary: self.wary(ahead),
            unsolicited: false,
            source,
        }
    }

    /// Up to which age a request that needs proof is written at once, and whether only a lack of
    /// survivals keeps it from more.
    fn safe(&self, reuse: Duration, path: Duration, ahead: Duration) -> (Duration, bool) {
        let explores = |chance| self.manners.worth_proof(chance);
        let wall = self.watch.wall();
        let known = self.hint.is_some() || wall.is_some();
        // A request that survived arrived a path's length later, so of one that is a little older only
        // the last moments of its way are unexplored.
        let beyond = path.mul_f32(self.manners.bears(price::CLOSE_UNEXPLORED));
        let explored = (self.explored.age() + beyond).max(YOUNG);
        let unexplored = !known && explored < reuse && explores(price::CLOSE_UNEXPLORED);
        let mut safe = if unexplored { explored } else { reuse };
        let mut bounds = [None, None];
        if explores(price::CLOSE_NEAR_SUSPECT) {
            // Closes alike are a timer's that is looked at all the time, or one of a sweep's.
            let swept = price::CLOSE_SWEPT * ahead.div_duration_f32(price::SWEEP);
            bounds[0] = self.doubt().map(|suspect| {
                let alike = !suspect.is_spread() && !explores(swept);
                let begins = if alike { suspect.onset() } else { suspect.prudent() };
                begins.saturating_sub(ahead)
            });
            // As far again below the surprise as it was below the wall.
            bounds[1] = self
                .surprised
                .zip(wall)
                .map(|(age, wall)| age.saturating_sub(ahead.max(wall.hi.saturating_sub(age))));
        }
        let bound = bounds.into_iter().flatten().min();
        let doubted = bound.is_some_and(|bound| bound < safe);
        safe = bound.map_or(safe, |bound| bound.min(safe));
        (safe, unexplored && !doubted)
    }

    /// Ages at which closes come that no timer explains, and too often without proof.
    fn wary(&self, ahead: Duration) -> Option<Ages> {
        let bands = [self.watch.wall(), self.doubt()].into_iter().flatten();
        let below = bands.map(|band| band.prudent()).min().unwrap_or(Duration::MAX);
        self.survival
            .scatter(below, ahead, |chance| self.manners.worth_proof(chance))
    }

    /// What the admin and the log tell.
    #[must_use]
    pub fn knowledge(&self, plan: &KeepAlivePlan, path: Duration) -> Knowledge {
        let closes = self.watch.closes();
        let wall = self.watch.wall();
        Knowledge {
            limit: self.limit(plan, path),
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

    /// A new wall, or a fallen one, makes what was held of the other time untrue.
    fn settle(&mut self, before: Option<Band>) {
        match (before, self.watch.wall()) {
            (None, Some(wall)) => self.forget_beyond(wall.top()),
            (Some(old), Some(wall)) if wall.top() < old.lo => self.forget_beyond(wall.top()),
            (Some(_), None) => {
                self.survival.forget_closes();
                self.surprised = None;
            }
            _ => {}
        }
    }

    fn forget_beyond(&mut self, age: Duration) {
        self.survival.forget_beyond(age);
        self.explored.forget_beyond(age);
        self.surprised = None;
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

/// A single close is no reason for care when this many have lived on beyond it.
const DOUBT_SURVIVORS: f32 = 10.0;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod traffic;
