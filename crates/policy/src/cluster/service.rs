//! Which endpoints are in service: what attempts and checks tell of them, and what is done when
//! hardly any is left.

use std::sync::Arc;

use super::{Address, Ask, Cluster, EndpointId, EventKind};
use crate::balance::Draw;
use crate::concurrency::adaptive::{Adaptive, Sample};
use crate::deadline::Arrival;
use crate::endpoint::Endpoint;
use crate::endpoint::service::Attempted;
use crate::evidence::{End, Grade};
use crate::health::{self, CheckResult, Health, HealthCounters};
use crate::outlier::{self, OutlierCounters, Standing};
use crate::plan::{Balance, ClusterPlan};
use crate::retry::attempts::{self, Summary};
use crate::time::{Dice, Moment};

/// A check that is to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// Of which endpoint.
    pub endpoint: EndpointId,
    /// Where it listens.
    pub address: Address,
    /// When it must have ended.
    pub until: Moment,
}

impl Cluster {
    /// What became of an attempt that began at `begun`: each is reported once, when its response's
    /// head has come or it has failed. A keep-alive race is no fault and changes nothing; nor is what our own
    /// freeze may have made late. `begun` is no
    /// earlier than the request's last byte; how long it took tells nothing where more was to come.
    pub fn on_attempt(&mut self, summary: &Summary, begun: Moment, now: Moment) {
        let Some(id) = summary.endpoint else { return };
        let latency = now.since(begun);
        let frozen = self.freezes.touches(begun);
        let timed = summary.arrival == Arrival::Whole && !frozen;
        let answered = matches!(summary.result, attempts::Outcome::Status(_));
        if let Some(usual) = &mut self.usual
            && timed
            && (answered || timed_out(summary))
        {
            usual.latencies.record(latency, now);
        }
        let Some(outcome) = blame(summary) else { return };
        if frozen && outcome == outlier::Outcome::Local {
            return;
        }
        self.changed(None);
        let overflows = self.outliers.counters().ejections_overflow;
        let (plan, Some(endpoint)) = (&self.plan, self.endpoints.get_mut(id)) else {
            return;
        };
        if answered {
            endpoint.stragglers.answered(begun);
            if !frozen {
                endpoint.on_answer(latency, now);
            }
        }
        let good = matches!(outcome, outlier::Outcome::Status(..500));
        endpoint.service.success += u64::from(good);
        endpoint.service.error += u64::from(!good);
        endpoint.timeouts += u64::from(timed_out(summary));
        if timed && plan.balance == Balance::PeakEwma {
            endpoint.on_latency(latency, good, now);
        }
        if let Some(adaptive) = &plan.adaptive {
            let sample = Sample {
                begun,
                latency,
                in_flight: endpoint.in_flight,
            };
            let machine = endpoint
                .adaptive
                .get_or_insert_with(|| Box::new(Adaptive::new(now)));
            match outcome {
                outlier::Outcome::Status(status) if status != TOO_MUCH => {
                    if timed {
                        machine.on_response(&sample, adaptive, now);
                    }
                }
                outlier::Outcome::Status(_) => machine.on_drop(adaptive, now),
                outlier::Outcome::Local if timed_out(summary) => machine.on_drop(adaptive, now),
                outlier::Outcome::Local => {}
            }
        }
        if plan.adaptive.is_none() && timed && good {
            endpoint.on_unlimited_answer(latency, now);
        }
        let Some(standing) = &mut endpoint.service.standing else {
            return;
        };
        let change = self
            .outliers
            .on_result(standing, outcome, begun, &plan.outlier, now);
        if change != outlier::Change::None || !good || !endpoint.service.is_quiet() {
            let overflow = self.outliers.counters().ejections_overflow > overflows;
            self.note_attempt(id, Attempted::of(summary), overflow, now);
        }
        if change != outlier::Change::None {
            self.recount(id, now);
            self.serve_waiting(now);
        }
    }

    /// An attempt that began at `begun` is given up without an answer, and not for its endpoint's
    /// fault: the client has left, or a hedge was faster. It has lasted as long as it has, though.
    pub fn on_given_up(&mut self, id: EndpointId, begun: Moment, now: Moment) {
        if self.freezes.touches(begun) {
            return;
        }
        let waited = now.since(begun);
        if let Some(usual) = &mut self.usual {
            usual.latencies.record(waited, now);
        }
        if let Some(endpoint) = self.endpoints.get_mut(id)
            && self.plan.balance == Balance::PeakEwma
        {
            endpoint.on_latency(waited, false, now);
        }
    }

    /// The checks that are to begin now under `plan`; each is answered by one
    /// [`Cluster::on_check`]. Those whose time was up without an answer count as failed first.
    pub fn checks_due(&mut self, plan: &Arc<ClusterPlan>, now: Moment, dice: &mut Dice) -> Vec<Check> {
        self.follow(plan);
        let Some(plan) = &plan.health else {
            return self.stop_checks(now);
        };
        let mut due = Vec::new();
        let mut late = Vec::new();
        self.checks_at = Moment::NEVER;
        for (id, endpoint) in self.endpoints.iter_mut() {
            if endpoint.held_by == 0 {
                continue;
            }
            let unknown = || Health::unknown(plan, now, dice);
            let health = endpoint.service.health.get_or_insert_with(unknown);
            if health.is_late(plan, now) {
                late.push(id);
                continue;
            }
            if health.due(now) {
                due.push(Check {
                    endpoint: id,
                    address: endpoint.address.clone(),
                    until: health.begin(plan, now),
                });
            }
            self.checks_at = self.checks_at.min(health.next_deadline());
        }
        for id in late {
            let late = CheckResult::Failed(health::Failure::Timeout);
            if self.on_check(id, late, now, dice) == health::Change::BecameUnhealthy {
                self.push_event(id, EventKind::CheckLate, now);
            }
        }
        due
    }

    /// When [`Cluster::checks_due`] next has something to say; it may be asked too early at no harm.
    #[must_use]
    pub fn next_check(&self) -> Moment {
        self.checks_at
    }

    /// A check has ended. One of an endpoint that is gone, or is not checked any more, says nothing.
    pub fn on_check(
        &mut self,
        id: EndpointId,
        result: CheckResult,
        now: Moment,
        dice: &mut Dice,
    ) -> health::Change {
        let endpoint = self.endpoints.get_mut(id);
        let health = endpoint.and_then(|endpoint| endpoint.service.health.as_mut());
        let (Some(health), Some(plan)) = (health, &self.plan.health) else {
            return health::Change::None;
        };
        let change = health.on_check(result, plan, &mut self.health_counters, now, dice);
        self.checks_at = self.checks_at.min(health.next_deadline());
        if change != health::Change::None {
            self.recount(id, now);
            self.serve_waiting(now);
        }
        change
    }

    /// A check failed, for this reason: the endpoint's last error.
    pub fn check_error(&mut self, id: EndpointId, words: String, now: Moment) {
        if let Some(endpoint) = self.endpoints.get_mut(id) {
            endpoint.service.trouble.on_check(words, now);
        }
    }

    /// Counters under `outlier_detection.`
    #[must_use]
    pub fn outlier_counters(&self) -> &OutlierCounters {
        self.outliers.counters()
    }

    /// Counters under `health_check.`
    #[must_use]
    pub fn health_counters(&self) -> &HealthCounters {
        &self.health_counters
    }

    /// The endpoint for a request: one in service that neither failed it nor seems to leave or to
    /// stall; then one that seems to; then one that failed it. Where hardly any is in service all are.
    pub(super) fn choose(&mut self, ask: &Ask<'_>, now: Moment, dice: &mut Dice) -> Option<EndpointId> {
        let panics = self.panics(ask.plan);
        self.counters.lb_healthy_panic += u64::from(panics);
        let mut draw = Draw {
            plan: ask.plan,
            members: ask.members,
            endpoints: &self.endpoints,
            hash: ask.hash,
            now,
            turn: &mut self.turn,
            dice,
        };
        let serves = |endpoint: &Endpoint| panics || endpoint.service.serves(now);
        let spared = |id: EndpointId| !ask.avoid.contains(&id);
        draw.choose(|id, one| serves(one) && spared(id) && !one.is_doubtful(now))
            .or_else(|| draw.choose(|id, one| serves(one) && spared(id)))
            .or_else(|| draw.choose(|_, one| serves(one)))
            // The others of the cluster may all be another snapshot's.
            .or_else(|| draw.choose(|_, _| ask.plan.panic_threshold.0 > 0))
    }

    /// Whether another endpoint may stand in for the chosen one, which is full.
    pub(super) fn stands_in(&self, id: EndpointId, ask: &Ask<'_>, now: Moment) -> bool {
        let serves = |endpoint: &Endpoint| endpoint.service.serves(now) || self.panics(ask.plan);
        self.endpoints.get(id).is_some_and(serves)
    }

    /// Whether so few are in service that it is better to use all: the rest could not bear the load,
    /// or it is the network between that fails.
    pub(super) fn panics(&self, plan: &ClusterPlan) -> bool {
        let serving = self.held - self.out;
        self.out > 0 && serving * 100 < plan.panic_threshold.0 as usize * self.held
    }

    /// Looks at rates and ends terms, when that is due.
    pub(super) fn sweep(&mut self, now: Moment) {
        if self.outliers.next_deadline() > now {
            return;
        }
        let endpoints = self.endpoints.iter_mut();
        let mut standings: Vec<&mut Standing> = endpoints
            .filter_map(|(_, endpoint)| endpoint.service.standing.as_mut())
            .collect();
        self.outliers.sweep(&mut standings, &self.plan.outlier, now);
        self.out = 0;
        let mut changed = Vec::new();
        for (id, endpoint) in self.endpoints.iter_mut() {
            if endpoint.service.has_untold_standing(now) {
                changed.push(id);
            }
            let out = endpoint.held_by > 0 && !endpoint.service.serves(now);
            endpoint.service.counted_out = out;
            self.out += usize::from(out);
        }
        for id in changed {
            self.note_standing(id, now);
        }
    }

    /// Counts an endpoint in or out again, after something changed.
    pub(super) fn recount(&mut self, id: EndpointId, now: Moment) {
        self.changed(None);
        let endpoint = self.endpoint(id);
        let out = endpoint.held_by > 0 && !endpoint.service.serves(now);
        let before = std::mem::replace(&mut endpoint.service.counted_out, out);
        self.out = self.out + usize::from(out) - usize::from(before);
    }

    fn stop_checks(&mut self, now: Moment) -> Vec<Check> {
        if self.checks_at != Moment::NEVER {
            self.checks_at = Moment::NEVER;
            let ids: Vec<EndpointId> = self.endpoints.iter().map(|(id, _)| id).collect();
            for id in ids {
                self.endpoint(id).service.health = None;
                self.recount(id, now);
            }
        }
        Vec::new()
    }
}

/// What an attempt says of its endpoint; `None` if it died on a connection that was closing anyway,
/// which is no fault, or began to be answered and was counted by its status, or ended because the client
/// kept it waiting.
fn blame(summary: &Summary) -> Option<outlier::Outcome> {
    if summary.arrival == Arrival::Stalled {
        return None;
    }
    match summary.result {
        attempts::Outcome::Status(status) => Some(outlier::Outcome::Status(status)),
        attempts::Outcome::ConnectTimedOut => Some(outlier::Outcome::Local),
        attempts::Outcome::Died { end, grade } => {
            let closed = matches!(
                end,
                End::Eof | End::BrokenPipe | End::Farewell | End::Stale | End::Reset | End::Other
            );
            let raced = summary.reused && closed && grade != Grade::Begun;
            (!raced).then_some(outlier::Outcome::Local)
        }
    }
}

fn timed_out(summary: &Summary) -> bool {
    let died_so = |end| matches!(end, End::TimedOut | End::Silent);
    match summary.result {
        attempts::Outcome::Status(_) => false,
        attempts::Outcome::ConnectTimedOut => true,
        attempts::Outcome::Died { end, .. } => died_so(end),
    }
}

/// The status with which an endpoint says that it has too much to do (RFC 9110, section 15.6.4).
const TOO_MUCH: u16 = 503;
