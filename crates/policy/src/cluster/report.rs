//! What a cluster tells of itself.

use std::sync::Arc;
use std::time::Duration;

use super::{Address, Cluster, EndpointId};
use crate::endpoint::Endpoint;
pub use crate::endpoint::service::{LastError, ServiceReport};
use crate::keepalive::Knowledge;
use crate::plan::SaturationGuard;
use crate::time::Moment;

/// One endpoint, for `/clusters` and the log.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointReport {
    /// Which.
    pub endpoint: EndpointId,
    /// Where it listens.
    pub address: Address,
    /// Connections, of any state.
    pub open: u32,
    /// Requests in flight.
    pub active: u32,
    /// Idle connections, the probe not counted.
    pub idle: u32,
    /// How long the oldest of them has been idle.
    pub oldest_idle: Option<Duration>,
    /// Whether a connection past the limit is kept as a probe.
    pub probe: bool,
    /// Attempts that were given up because a hedge answered first, which it still has as far as is known.
    pub stragglers: u32,
    /// Whether the connection of one of them is kept to see when its answer begins.
    pub followed: bool,
    /// Requests that it was given so far.
    pub uses: u64,
    /// Connections that were opened, or were to be.
    pub opened: u64,
    /// Connections that could not be opened.
    pub connect_failures: u64,
    /// Attempts that took longer than they may.
    pub timeouts: u64,
    /// The round trip, where the kernel told.
    pub round_trip: Option<Duration>,
    /// No configuration holds it any more; its last requests are ending.
    pub leaving: bool,
    /// How it stands.
    pub service: ServiceReport,
    /// Its last failure; `None` if it never failed.
    pub last_error: Option<LastError>,
    /// What it speaks, where it showed that it is not HTTP/1.
    pub speaks: Option<&'static str>,
    /// Requests in flight that it bears, where that is learned.
    pub adaptive_limit: Option<u32>,
    /// When it closes idle connections, and what follows.
    pub knowledge: Knowledge,
    /// The same in one plain sentence.
    pub sentence: String,
}

/// What a cluster holds at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Connections, open or opening (`upstream_cx_active`).
    pub cx_active: u64,
    /// Requests in flight (`upstream_rq_active`).
    pub rq_active: u64,
    /// Requests waiting for a connection (`upstream_rq_pending_active`).
    pub rq_pending_active: u64,
    /// Retries in flight.
    pub rq_retry_active: u64,
    /// Endpoints that a configuration holds (`membership_total`).
    pub membership_total: u64,
}

/// How near a cluster is to its limits, and how many of its endpoints are in service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vitals {
    /// Requests that wait.
    pub queue: QueueReport,
    /// Connections that may still be opened (`circuit_breakers.default.remaining_cx`).
    pub remaining_cx: u64,
    /// Requests that may still wait (`remaining_pending`).
    pub remaining_pending: u64,
    /// Requests that may still be in flight (`remaining_rq`).
    pub remaining_rq: u64,
    /// Retries that would be admitted (`remaining_retries`).
    pub remaining_retries: u64,
    /// See [`Cluster::pool_used_percent`].
    pub pool_used_percent: u32,
    /// Endpoints that a configuration holds (`membership_total`).
    pub membership_total: u64,
    /// … that are in service (`membership_healthy`).
    pub membership_healthy: u64,
    /// … that are in service although their latest attempts failed.
    pub membership_failing: u64,
    /// … that are ejected (`outlier_detection.ejections_active`).
    pub ejections_active: u64,
    /// All endpoints are used because too few are in service.
    pub panics: bool,
}

impl Vitals {
    /// `circuit_breakers.default.cx_open`.
    #[must_use]
    pub fn cx_open(&self) -> bool {
        self.remaining_cx == 0
    }

    /// `circuit_breakers.default.rq_pending_open`.
    #[must_use]
    pub fn rq_pending_open(&self) -> bool {
        self.remaining_pending == 0
    }

    /// `circuit_breakers.default.rq_open`.
    #[must_use]
    pub fn rq_open(&self) -> bool {
        self.remaining_rq == 0
    }

    /// `circuit_breakers.default.rq_retry_open`.
    #[must_use]
    pub fn rq_retry_open(&self) -> bool {
        self.remaining_retries == 0
    }
}

/// How those who wait for a connection are doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueReport {
    /// How many wait.
    pub waiting: u64,
    /// The queue has not been empty for its plan's interval: the newest are served first, and only a
    /// few may join.
    pub overloaded: bool,
    /// How long the one has waited who has waited longest; zero if nobody waits.
    pub oldest_wait: Duration,
    /// Refused so far after waiting as long as they may.
    pub shed: u64,
}

impl Cluster {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What it holds at this moment.
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        Gauges {
            cx_active: self.connections.len() as u64,
            rq_active: u64::from(self.in_flight),
            rq_pending_active: self.queue.len() as u64,
            rq_retry_active: u64::from(self.retries),
            membership_total: self.held as u64,
        }
    }

    /// How near it is to its limits under the plan last asked under, and who is in service.
    #[must_use]
    pub fn vitals(&self, now: Moment) -> Vitals {
        let limits = &self.plan.limits;
        let left = |most: u32, used: usize| u64::from(most).saturating_sub(used as u64);
        // Idle connections of others make room when they are in the way.
        let used = self.connections.len() - self.spare;
        let serving = self.endpoints.iter();
        let serving = serving.filter(|(_, one)| one.held_by > 0 && one.service.serves(now));
        let failing = |(_, one): (EndpointId, &Endpoint)| one.service.trouble.is_failing();
        let (healthy, failing) = serving
            .map(failing)
            .fold((0, 0), |(all, bad), failing| (all + 1, bad + u64::from(failing)));
        Vitals {
            queue: self.queue(now),
            remaining_cx: left(limits.max_connections, used),
            remaining_pending: left(limits.max_pending_requests, self.queue.len()),
            remaining_rq: left(limits.max_parallel_requests, self.in_flight as usize),
            remaining_retries: u64::from(self.remaining_retries(now)),
            pool_used_percent: self.pool_used_percent(),
            membership_total: self.held as u64,
            membership_healthy: healthy,
            membership_failing: failing,
            ejections_active: u64::from(self.outliers.ejections_active()),
            panics: self.panics(&self.plan),
        }
    }

    /// Connections that are in use, in percent of those allowed: by the cluster's limit or those of
    /// its endpoints together, whichever is met first.
    #[must_use]
    pub fn pool_used_percent(&self) -> u32 {
        let limits = &self.plan.limits;
        let each = limits.max_connections_per_endpoint.map(u64::from);
        let allowed = each.map_or(u64::MAX, |each| each.saturating_mul(self.held as u64));
        let allowed = allowed.min(u64::from(limits.max_connections)).max(1);
        let used = (self.connections.len() - self.spare) as u64;
        u32::try_from(used * 100 / allowed).unwrap_or(u32::MAX)
    }

    /// How those who wait for a connection are doing.
    #[must_use]
    pub fn queue(&self, now: Moment) -> QueueReport {
        QueueReport {
            waiting: self.queue.len() as u64,
            overloaded: self.queue.discipline.overloaded(&self.plan.queue, now),
            oldest_wait: self
                .queue
                .oldest()
                .map_or(Duration::ZERO, |since| now.since(since)),
            shed: self.counters.rq_pending_shed,
        }
    }

    /// Every endpoint, in the order in which they came.
    #[must_use]
    pub fn describe(&self, now: Moment) -> Vec<EndpointReport> {
        self.endpoint_ids()
            .into_iter()
            .filter_map(|endpoint| self.describe_endpoint(endpoint, now))
            .collect()
    }

    /// Which endpoints there are, in the order in which they came: for whoever describes them one by
    /// one, so that no lock is held for all of them.
    #[must_use]
    pub fn endpoint_ids(&self) -> Vec<EndpointId> {
        let mut ids: Vec<EndpointId> = self.endpoints.iter().map(|(id, _)| id).collect();
        ids.sort_unstable();
        ids
    }

    /// One endpoint; `None` once it is gone.
    #[must_use]
    pub fn describe_endpoint(&self, id: EndpointId, now: Moment) -> Option<EndpointReport> {
        let endpoint = self.endpoints.get(id)?;
        let knowledge = self.knowledge(id)?;
        Some(EndpointReport {
            endpoint: id,
            address: endpoint.address.clone(),
            open: endpoint.open,
            active: endpoint.in_flight,
            idle: u32::try_from(endpoint.idle.len()).unwrap_or(u32::MAX),
            oldest_idle: endpoint.idle.oldest().map(|idle| now.since(idle.since)),
            probe: endpoint.probe.is_some(),
            stragglers: endpoint.stragglers.len(),
            followed: endpoint.stragglers.followed().is_some(),
            uses: endpoint.uses,
            opened: endpoint.opened,
            connect_failures: endpoint.connect_failures,
            timeouts: endpoint.timeouts,
            round_trip: endpoint.path.round_trip,
            leaving: endpoint.held_by == 0,
            service: endpoint.service.report(now),
            last_error: endpoint.service.trouble.report(now),
            speaks: endpoint.service.trouble.protocol.other(),
            adaptive_limit: match (&self.plan.adaptive, &endpoint.adaptive, &endpoint.saturation) {
                (Some(plan), Some(adaptive), _) => Some(adaptive.limit(plan)),
                (None, _, Some(saturation)) if self.plan.saturation_guard == SaturationGuard::On => {
                    saturation.limit()
                }
                _ => None,
            },
            knowledge,
            sentence: knowledge.sentence(),
        })
    }

    /// What was learned of one endpoint, without the words; `None` once it is gone.
    #[must_use]
    pub fn knowledge(&self, id: EndpointId) -> Option<Knowledge> {
        let endpoint = self.endpoints.get(id)?;
        let mut knowledge = endpoint
            .learner
            .knowledge(&self.plan.keep_alive, endpoint.path.length());
        knowledge.limit = knowledge.limit.with_siblings(self.explored);
        Some(knowledge)
    }
}
