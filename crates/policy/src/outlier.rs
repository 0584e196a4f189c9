//! Which endpoint sits out, from what its attempts told. By Envoy's rules, with four changes: a lone
//! endpoint is never ejected, the worst go first where not all may, one failure sends an endpoint
//! that has just returned out again, and an answer of an ejected endpoint takes it back at once. A
//! keep-alive race is no fault of an endpoint: it is not reported here at all.

mod counters;
mod rates;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::plan::OutlierPlan;
use crate::time::Moment;

pub use counters::{Cause, OutlierCounters};

/// What an attempt told of its endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It answered, with this status.
    Status(u16),
    /// It did not: the connect failed, the connection was reset (no race), or the time was up.
    Local,
}

/// How one endpoint stands. Owned by the endpoint, moved by its cluster's [`Outliers`].
///
/// ```text
///            a row or a rate of failures              its term ends
///   Serving ----------------------------> Ejected ---------------------> Returning
///    ^  ^                                  |   ^                          |   |
///    |  '----------------------------------'   '--------------------------'   |
///    |     an answer to an attempt begun           one failure                |
///    |     since (only a panic makes one)                                     |
///    '------------------------------------------------------------------------'
///                                       one success
/// ```
/// Where it may not be ejected (see [`Outliers::on_result`]), it stays where it is. What began before
/// a standing was taken up says nothing about it: late failures of a stall that is over do not send an
/// endpoint out again.
#[derive(Clone, Debug)]
pub struct Standing {
    state: State,
    /// When it was ejected, or since when it serves.
    since: Moment,
    /// Ejections in a row; falls by one with every interval that it serves well.
    times: u32,
    rows: Rows,
    tally: Tally,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Serving,
    Ejected { until: Moment, cause: Cause },
    Returning,
}

/// Failures in a row.
#[derive(Clone, Copy, Debug, Default)]
struct Rows {
    any_5xx: u32,
    gateway: u32,
    local: u32,
}

/// What happened within the interval.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    /// Answers; local failures too unless they are split.
    answers: Share,
    /// Attempts, answered or not, where local failures are split.
    local: Share,
}

#[derive(Clone, Copy, Debug, Default)]
struct Share {
    all: u32,
    good: u32,
}

/// An ejection, as it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ejection {
    /// What it is for.
    pub cause: Cause,
    /// When it ends.
    pub until: Moment,
    /// Which one in a row; its length is so many times the base.
    pub times: u32,
}

/// What a report or a sweep changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    None,
    /// The endpoint sits out from now on.
    Ejected(Ejection),
    /// It was out, and serves again before its term's end.
    TakenBack,
}

/// The ejections of one cluster: how many there may be, and when to look at rates.
#[derive(Clone, Debug)]
pub struct Outliers {
    endpoints: u32,
    ejected: u32,
    next_look: Moment,
    /// No later than the first end of a term.
    next_return: Moment,
    counters: OutlierCounters,
}

impl Standing {
    /// Whether it is offered requests at `now`.
    #[must_use]
    pub fn serves(&self, now: Moment) -> bool {
        match self.state {
            State::Serving | State::Returning => true,
            State::Ejected { until, .. } => until <= now,
        }
    }

    /// Since when it serves, for slow start; `None` while it is out.
    #[must_use]
    pub fn serving_since(&self, now: Moment) -> Option<Moment> {
        match self.state {
            State::Serving | State::Returning => Some(self.since),
            State::Ejected { until, .. } => (until <= now).then_some(until),
        }
    }

    /// Its ejection, while that lasts.
    #[must_use]
    pub fn ejection(&self, now: Moment) -> Option<Ejection> {
        match self.state {
            State::Ejected { until, cause } if until > now => Some(Ejection {
                cause,
                until,
                times: self.times,
            }),
            State::Serving | State::Returning | State::Ejected { .. } => None,
        }
    }

    fn new(now: Moment) -> Self {
        Self {
            state: State::Serving,
            since: now,
            times: 0,
            rows: Rows::default(),
            tally: Tally::default(),
        }
    }

    /// Takes up a state, and forgets what was counted in the one before.
    fn become_state(&mut self, state: State, since: Moment) {
        self.state = state;
        self.since = since;
        self.rows = Rows::default();
        self.tally = Tally::default();
    }

    /// Counts an outcome and says which row it completed. The row begins anew then, so that where an
    /// ejection is not possible it is asked for once a row and not with every failure.
    fn count(&mut self, outcome: Outcome, plan: &OutlierPlan) -> Option<Cause> {
        let returning = self.state == State::Returning;
        let full = |row: &mut u32, most: u32| {
            *row = row.saturating_add(1);
            let full = most > 0 && (returning || *row >= most);
            if full {
                *row = 0;
            }
            full
        };
        let (rows, tally) = (&mut self.rows, &mut self.tally);
        match outcome {
            Outcome::Local if plan.split_local => {
                tally.local.add(false);
                full(&mut rows.local, plan.consecutive_local).then_some(Cause::ConsecutiveLocalOriginFailure)
            }
            Outcome::Status(status) if status < 500 => {
                tally.answers.add(true);
                tally.local.add(true);
                *rows = Rows::default();
                None
            }
            Outcome::Status(_) | Outcome::Local => {
                tally.answers.add(false);
                if let Outcome::Status(_) = outcome {
                    tally.local.add(true);
                    rows.local = 0;
                }
                let gateway = matches!(outcome, Outcome::Local | Outcome::Status(502..=504));
                if !gateway {
                    rows.gateway = 0;
                }
                if gateway && full(&mut rows.gateway, plan.consecutive_gateway) {
                    return Some(Cause::ConsecutiveGatewayFailure);
                }
                full(&mut rows.any_5xx, plan.consecutive_5xx).then_some(Cause::Consecutive5xx)
            }
        }
    }

    /// An interval is over.
    fn end_interval(&mut self, plan: &OutlierPlan, now: Moment) {
        let served = self.serves(now) && self.since + plan.interval <= now;
        if served && self.tally.answers.is_mostly_good() && self.tally.local.is_mostly_good() {
            self.times = self.times.saturating_sub(1);
        }
        self.tally = Tally::default();
    }
}

impl Share {
    fn add(&mut self, good: bool) {
        self.all = self.all.saturating_add(1);
        self.good = self.good.saturating_add(u32::from(good));
    }

    /// Whether no more failed than not; nothing at all counts as good.
    fn is_mostly_good(&self) -> bool {
        self.all - self.good <= self.good
    }
}

impl Outliers {
    /// Of a cluster without endpoints.
    #[must_use]
    pub fn new() -> Self {
        Self {
            endpoints: 0,
            ejected: 0,
            next_look: Moment::default(),
            next_return: Moment::NEVER,
            counters: OutlierCounters::default(),
        }
    }

    /// An endpoint is added: it serves.
    pub fn join(&mut self, now: Moment) -> Standing {
        self.endpoints += 1;
        Standing::new(now)
    }

    /// An endpoint is gone. Its standing is taken, as it must not be counted twice.
    ///
    /// # Panics
    /// The standing is not one of this cluster's.
    pub fn leave(&mut self, standing: Standing) {
        assert!(self.endpoints > 0, "an endpoint leaves that never joined");
        self.endpoints -= 1;
        if let State::Ejected { .. } = standing.state {
            self.ejected -= 1;
        }
    }

    /// Reports what became of an attempt that began at `begun`. Races are not reported.
    ///
    /// An endpoint that should be ejected is, unless `max_ejection_percent` of the endpoints would be
    /// exceeded (but the first may always be, if the percentage is not 0) or it is the only one: to
    /// eject it helps nobody. That is counted as an overflow.
    pub fn on_result(
        &mut self,
        standing: &mut Standing,
        outcome: Outcome,
        begun: Moment,
        plan: &OutlierPlan,
        now: Moment,
    ) -> Change {
        self.end_term(standing, now);
        if begun < standing.since {
            return Change::None;
        }
        if let State::Ejected { cause, .. } = standing.state {
            if !cause.is_disproved_by(outcome) {
                return Change::None;
            }
            self.ejected -= 1;
            standing.become_state(State::Serving, now);
            return Change::TakenBack;
        }
        match standing.count(outcome, plan) {
            Some(cause) => self.eject(standing, cause, plan, now),
            None => {
                if standing.state == State::Returning && matches!(outcome, Outcome::Status(..500)) {
                    standing.state = State::Serving;
                }
                Change::None
            }
        }
    }

    /// To be called with the standings of all endpoints when [`next_deadline`](Self::next_deadline) has
    /// come, and harmless at any other time: ends terms and, once an interval, looks at rates.
    pub fn sweep(&mut self, standings: &mut [&mut Standing], plan: &OutlierPlan, now: Moment) {
        for standing in &mut *standings {
            self.end_term(standing, now);
        }
        if self.next_look <= now {
            for (at, cause) in rates::outliers(standings, plan) {
                // The share of answers and that of local failures may both name it.
                if standings[at].serves(now) {
                    self.eject(standings[at], cause, plan, now);
                }
            }
            for standing in &mut *standings {
                standing.end_interval(plan, now);
            }
            self.next_look = now + plan.interval;
        }
        let terms = standings.iter().filter_map(|standing| standing.ejection(now));
        self.next_return = terms.map(|term| term.until).min().unwrap_or(Moment::NEVER);
    }

    /// When [`sweep`](Self::sweep) has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Moment {
        self.next_look.min(self.next_return)
    }

    /// Endpoints that are out: Envoy's gauge `ejections_active`. A term that has ended counts until its
    /// endpoint is swept or heard of again.
    #[must_use]
    pub fn ejections_active(&self) -> u32 {
        self.ejected
    }

    /// What has happened so far.
    #[must_use]
    pub fn counters(&self) -> &OutlierCounters {
        &self.counters
    }

    fn end_term(&mut self, standing: &mut Standing, now: Moment) {
        if let State::Ejected { until, .. } = standing.state
            && until <= now
        {
            self.ejected -= 1;
            standing.become_state(State::Returning, until);
        }
    }

    fn eject(&mut self, standing: &mut Standing, cause: Cause, plan: &OutlierPlan, now: Moment) -> Change {
        self.counters.detected[cause as usize] += 1;
        if !self.may_eject(plan) {
            self.counters.ejections_overflow += 1;
            return Change::None;
        }
        let length = |times: u32| plan.base_ejection.saturating_mul(times).min(plan.max_ejection);
        // At the longest length it stops counting, or it would take as long to forget.
        if standing.times == 0 || length(standing.times) < plan.max_ejection {
            standing.times += 1;
        }
        let until = now + length(standing.times).max(Duration::from_nanos(1));
        standing.become_state(State::Ejected { until, cause }, now);
        self.ejected += 1;
        self.next_return = self.next_return.min(until);
        self.counters.ejections_enforced_total += 1;
        self.counters.enforced[cause as usize] += 1;
        Change::Ejected(Ejection {
            cause,
            until,
            times: standing.times,
        })
    }

    fn may_eject(&self, plan: &OutlierPlan) -> bool {
        let most = u64::from(plan.max_ejection_percent);
        let within = (u64::from(self.ejected) + 1) * 100 <= most * u64::from(self.endpoints);
        self.endpoints > 1 && (within || (self.ejected == 0 && most > 0))
    }
}

impl Default for Outliers {
    fn default() -> Self {
        Self::new()
    }
}
