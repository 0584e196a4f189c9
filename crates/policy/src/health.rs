//! Active health checks: when an endpoint is checked, and what the checks make of it. To connect, send
//! and read is the shell's.

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::freeze::Freeze;
use crate::plan::{HealthPlan, HealthProbe};
use crate::time::{Dice, Moment};

/// What became of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckResult {
    /// As asked.
    Good,
    /// Not as asked, but it may be a moment's weakness: the threshold decides.
    Failed(Failure),
    /// The endpoint says itself that it is not to be used: it is out at once.
    Refused,
}

/// Why a check failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection, or it ended early.
    Network,
    /// No answer in time.
    Timeout,
    /// An answer, with a retriable status or without the bytes that were asked for.
    Answer,
}

/// What an endpoint answered to a check of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpAnswer<'a> {
    /// Status.
    pub status: u16,
    /// As much of the body as was read.
    pub body: &'a [u8],
}

/// One endpoint under active checks.
///
/// ```text
///                good checks in a row >= healthy_threshold
///            .-------------------------------------------------.
///            v                                                 |
///   Unknown --(first good)--> Healthy ---------------------> Unhealthy
///        |         failed checks in a row >= unhealthy_threshold,  ^
///        |         or one that was refused                         |
///        '---------------------------------------------------------'
///
///   Waits(next) --due, `begin`--> Runs(until) --`on_check`, or its time is up--> Waits(next)
/// ```
/// Unknown counts as healthy: an endpoint is not kept from work because nobody has looked at it yet.
#[derive(Clone, Debug)]
pub struct Health {
    state: State,
    /// Since when, for slow start.
    since: Moment,
    /// Checks in a row that contradict the state.
    against: u32,
    turn: Turn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Unknown,
    Healthy,
    Unhealthy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Waits {
        next: Moment,
    },
    Runs {
        until: Moment,
        /// Its time was up while we were frozen.
        excused: bool,
    },
}

/// What a check changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    None,
    /// The endpoint is used again.
    BecameHealthy,
    /// It is not used any more.
    BecameUnhealthy,
}

/// Counters under `health_check.`, by Envoy's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HealthCounters {
    /// Checks that ended.
    pub attempt: u64,
    /// Good ones.
    pub success: u64,
    /// All others.
    pub failure: u64,
    /// Those among `failure` without a connection or without an answer in time.
    pub network_failure: u64,
}

impl Health {
    /// Of an endpoint that was never checked. Its first check comes within `initial_jitter`.
    #[must_use]
    pub fn unknown(plan: &HealthPlan, now: Moment, dice: &mut Dice) -> Self {
        Self {
            state: State::Unknown,
            since: now,
            against: 0,
            turn: Turn::Waits {
                next: now + dice.up_to(plan.initial_jitter),
            },
        }
    }

    /// Whether it may be used, as far as checks say.
    #[must_use]
    pub fn serves(&self) -> bool {
        match self.state {
            State::Unknown | State::Healthy => true,
            State::Unhealthy => false,
        }
    }

    /// Since when it may be used, or may not.
    #[must_use]
    pub fn since(&self) -> Moment {
        self.since
    }

    /// When to come back: the next check, or the end of the time that the present one has.
    #[must_use]
    pub fn next_deadline(&self) -> Moment {
        match self.turn {
            Turn::Waits { next } => next,
            Turn::Runs { until, .. } => until,
        }
    }

    /// Whether a check is to begin. One whose result never came is given up first, by
    /// [`CheckResult::Failed`] with [`Failure::Timeout`].
    #[must_use]
    pub fn due(&self, now: Moment) -> bool {
        matches!(self.turn, Turn::Waits { next } if next <= now)
    }

    /// A check begins; the moment is when it must have ended.
    pub fn begin(&mut self, plan: &HealthPlan, now: Moment) -> Moment {
        let until = now + plan.timeout;
        self.turn = Turn::Runs {
            until,
            excused: false,
        };
        until
    }

    /// Nothing could be heard for so long: a check that runs has as much more time.
    pub(crate) fn on_freeze(&mut self, lost: Duration) {
        if let Turn::Runs { until, .. } = &mut self.turn {
            *until = *until + lost;
        }
    }

    /// Whether a check that runs has had its time. Who asks so late was frozen himself: then it has its time
    /// once more, once.
    pub(crate) fn is_late(&mut self, plan: &HealthPlan, now: Moment) -> bool {
        let Turn::Runs { until, excused } = self.turn else {
            return false;
        };
        if until <= now && !excused && Freeze::seen(until + ASKED_WITHIN, now).is_some() {
            self.turn = Turn::Runs {
                until: now + plan.timeout,
                excused: true,
            };
            return false;
        }
        until <= now
    }

    /// A check has ended, and the next is set: after the interval, give or take a tenth by chance, so
    /// that checks of many endpoints, or by many proxies, do not come together for long.
    pub fn on_check(
        &mut self,
        result: CheckResult,
        plan: &HealthPlan,
        counters: &mut HealthCounters,
        now: Moment,
        dice: &mut Dice,
    ) -> Change {
        counters.count(result);
        self.turn = Turn::Waits {
            next: now + plan.interval * 9 / 10 + dice.up_to(plan.interval / 5),
        };
        let good = result == CheckResult::Good;
        if good == self.serves() {
            self.against = 0;
            if self.state == State::Unknown {
                self.state = State::Healthy;
            }
            return Change::None;
        }
        self.against = self.against.saturating_add(1);
        let (threshold, state, change) = if good {
            (plan.healthy_threshold, State::Healthy, Change::BecameHealthy)
        } else {
            (
                plan.unhealthy_threshold,
                State::Unhealthy,
                Change::BecameUnhealthy,
            )
        };
        if self.against < threshold.get() && result != CheckResult::Refused {
            return Change::None;
        }
        self.state = state;
        self.since = now;
        self.against = 0;
        change
    }
}

/// Whoever makes checks asks after each no later than this.
const ASKED_WITHIN: Duration = Duration::from_millis(50);

impl HealthCounters {
    fn count(&mut self, result: CheckResult) {
        self.attempt += 1;
        match result {
            CheckResult::Good => self.success += 1,
            CheckResult::Refused | CheckResult::Failed(Failure::Answer) => self.failure += 1,
            CheckResult::Failed(Failure::Network | Failure::Timeout) => {
                self.failure += 1;
                self.network_failure += 1;
            }
        }
    }
}

/// What an answer to a check of HTTP says: a status that is neither good nor retriable is a refusal,
/// a good one with the wrong body a failure. A probe of TCP asks for no such answer, so any is good;
/// its bytes are looked for with [`contains`].
#[must_use]
pub fn judge_http(probe: &HealthProbe, answer: HttpAnswer<'_>) -> CheckResult {
    let HealthProbe::Http {
        statuses,
        retriable,
        receive,
        ..
    } = probe
    else {
        return CheckResult::Good;
    };
    if statuses.contains(&answer.status) {
        return if contains(answer.body, receive) {
            CheckResult::Good
        } else {
            CheckResult::Failed(Failure::Answer)
        };
    }
    if retriable.contains(&answer.status) {
        CheckResult::Failed(Failure::Answer)
    } else {
        CheckResult::Refused
    }
}

/// Whether `part` is in `text`, in one piece; an empty one always is. Takes `O(n * m)` at worst, of a
/// body that the shell bounds and bytes that the operator wrote.
#[must_use]
pub fn contains(text: &[u8], part: &[u8]) -> bool {
    part.is_empty() || text.windows(part.len()).any(|window| window == part)
}
