//! What a cluster bears of retries and hedges, and how long is long for it.

use std::time::Duration;

use super::Cluster;
use crate::latency::{AutoAnswer, Latencies, Remembered, auto_timeout, hedge_wait};
use crate::outcome::Stop;
use crate::plan::{AutoTimeout, ClusterPlan, HedgePlan};
use crate::retry::attempts::RetryReason;
use crate::retry::budget::InFlight;
use crate::time::Moment;

/// How long answers usually take. Kept once somebody has asked.
#[derive(Debug)]
pub(super) struct Usual {
    pub(super) latencies: Latencies,
    hedge: Remembered,
    auto: Remembered,
}

impl Cluster {
    /// A dead attempt is made again. `raced`: it died on a reused connection before any response.
    pub fn on_again(&mut self, why: RetryReason, raced: bool) {
        self.counters.race_replayed += u64::from(raced);
        self.counters.rq_retry += u64::from(!matches!(why, RetryReason::Replay(_)));
    }

    /// Whether one more retry or hedge may begin, by what may be in flight and by the budget; if so,
    /// pair it with [`Cluster::retry_ended`]. Replays are not retries and need no permit.
    pub fn admit_retry(&mut self, plan: &ClusterPlan, now: Moment) -> bool {
        let in_flight = self.for_budget();
        let admitted = self.retries < plan.limits.max_parallel_retries
            && self.budget.admit(&plan.retry_budget, in_flight, now);
        self.retries += u32::from(admitted);
        self.counters.rq_retry_overflow += u64::from(!admitted);
        admitted
    }

    /// Why a retry was not admitted just now.
    #[must_use]
    pub fn retry_refused_by(&self, plan: &ClusterPlan) -> Stop {
        if self.retries >= plan.limits.max_parallel_retries {
            Stop::Parallel
        } else {
            Stop::Budget
        }
    }

    /// A retry that was admitted has ended; `succeeded` if its answer went to the client.
    pub fn retry_ended(&mut self, succeeded: bool) {
        assert!(self.retries > 0, "a retry ended that was not admitted");
        self.retries -= 1;
        self.counters.rq_retry_success += u64::from(succeeded);
    }

    /// Whether a hedge may begin, as [`Cluster::admit_retry`] and not while others wait for a connection,
    /// who come first; if so, pair it with [`Cluster::hedge_ended`].
    pub fn admit_hedge(&mut self, plan: &ClusterPlan, now: Moment) -> bool {
        let admitted = self.queue.len() == 0 && self.admit_retry(plan, now);
        self.counters.rq_hedge += u64::from(admitted);
        admitted
    }

    /// A hedge that was admitted has ended; `won` if it answered first.
    pub fn hedge_ended(&mut self, won: bool) {
        self.counters.rq_hedge_won += u64::from(won);
        self.retry_ended(false);
    }

    /// How long to wait for an answer before a hedge; `None` while too little is known. Latencies are
    /// kept from the first time on that this or [`Cluster::auto_timeout`] is asked.
    pub fn hedge_wait(&mut self, plan: &HedgePlan, now: Moment) -> Option<Duration> {
        let usual = self.usual(now);
        let quantile = usual.hedge.quantile(&usual.latencies, plan.quantile, now);
        hedge_wait(plan, quantile)
    }

    /// The request timeout that follows what is usual, and a sentence on it.
    pub fn auto_timeout(&mut self, plan: &AutoTimeout, now: Moment) -> AutoAnswer {
        let usual = self.usual(now);
        auto_timeout(plan, usual.auto.quantile(&usual.latencies, MOST_ANSWERS, now))
    }

    /// Retries that would be admitted now.
    pub(super) fn remaining_retries(&self, now: Moment) -> u32 {
        let plan = &self.plan;
        let mut budget = self.budget.clone();
        let remaining = budget.remaining(&plan.retry_budget, self.for_budget(), now);
        remaining.min(plan.limits.max_parallel_retries.saturating_sub(self.retries))
    }

    fn for_budget(&self) -> InFlight {
        let waiting = u32::try_from(self.queue.len()).unwrap_or(u32::MAX);
        InFlight {
            requests: self.in_flight.saturating_add(waiting),
            retries: self.retries,
        }
    }

    fn usual(&mut self, now: Moment) -> &mut Usual {
        self.usual.get_or_insert_with(|| {
            Box::new(Usual {
                latencies: Latencies::new(now),
                hedge: Remembered::default(),
                auto: Remembered::default(),
            })
        })
    }
}

/// An automatic timeout follows the time within which this share of the answers came.
const MOST_ANSWERS: f64 = 0.99;
