//! What a cluster tells of itself.

use std::sync::Arc;
use std::time::Duration;

use super::{Address, Cluster, EndpointId};
use crate::keepalive::Knowledge;
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
    /// Requests that it was given so far.
    pub uses: u64,
    /// Connections that could not be opened.
    pub connect_failures: u64,
    /// The round trip, where the kernel told.
    pub round_trip: Option<Duration>,
    /// No configuration holds it any more; its last requests are ending.
    pub leaving: bool,
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
        let mut ids: Vec<EndpointId> = self.endpoints.iter().map(|(id, _)| id).collect();
        ids.sort_unstable();
        ids.into_iter()
            .filter_map(|endpoint| self.describe_endpoint(endpoint, now))
            .collect()
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
            uses: endpoint.uses,
            connect_failures: endpoint.connect_failures,
            round_trip: endpoint.round_trip,
            leaving: endpoint.held_by == 0,
            knowledge,
            sentence: knowledge.sentence(),
        })
    }

    /// What was learned of one endpoint, without the words; `None` once it is gone.
    #[must_use]
    pub fn knowledge(&self, id: EndpointId) -> Option<Knowledge> {
        let endpoint = self.endpoints.get(id)?;
        Some(
            endpoint
                .learner
                .knowledge(&self.plan.keep_alive, endpoint.round_trip.unwrap_or_default()),
        )
    }
}
