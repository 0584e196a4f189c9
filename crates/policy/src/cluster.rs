//! What the shell asks: a cluster's endpoints, connections, waiters and counters.
//!
//! One lock of the shell's, one decision: endpoint, limits and pool are settled together in
//! [`Cluster::checkout`]. Pools deal in [`ConnectionId`]s; the sockets stay upstairs.

mod accounting;
mod ask;
mod counters;
mod discipline;
mod events;
mod failure;
mod freezes;
mod learned;
mod members;
mod protocol;
mod queue;
mod report;
mod retry;
mod scarcity;
mod select;
mod service;
mod stragglers;
mod upkeep;
mod wait;

use std::sync::Arc;
use std::time::Duration;

pub use ask::*;
pub use counters::{Counters, Statuses};
pub use events::{Event, EventKind, KEPT_AGAIN};
pub use learned::LearnedEndpoint;
pub use members::Members;
pub(crate) use protocol::Protocol;
pub use report::{EndpointReport, Gauges, LastError, QueueReport, ServiceReport, Vitals};
pub use scarcity::Scarce;
pub use service::Check;

use crate::endpoint::Endpoint;
use crate::freeze::Freezes;
use crate::health::HealthCounters;
use crate::keepalive::Band;
use crate::outlier::Outliers;
use crate::plan::ClusterPlan;
use crate::pool::{Connections, State};
use crate::retry::budget::RetryBudget;
use crate::slab::Slab;
use crate::time::{Dice, Moment};
use queue::{Grant, Queue};
use retry::Usual;
use select::{Blocked, Full};

/// A named set of endpoints under one plan; shared by all workers behind one lock of the shell's.
///
/// ```text
///   checkout --> Reuse --> (found_dead | hand_back)
///           '--> Open  --> (connected --> hand_back | connect_failed)
///           '--> Queue --> granted --> claim --> Reuse, Open or Refuse
///           |         '--> cancel
///           '--> Refuse
/// ```
///
/// A checkout that said `Reuse` or `Open` is one request in flight until the call that ends it.
/// After each call the shell asks [`Cluster::granted`] and [`Cluster::evicted`] until they are
/// empty, and sets its timer to [`Cluster::next_deadline`].
#[derive(Debug)]
pub struct Cluster {
    /// Counters for `/stats`.
    pub counters: Counters,
    name: Arc<str>,
    /// As last asked under.
    plan: Arc<ClusterPlan>,
    endpoints: Slab<EndpointId, Endpoint>,
    /// Endpoints that a snapshot holds.
    held: usize,
    connections: Connections,
    /// Connections that idle or probe: what could make room for another.
    spare: usize,
    queue: Queue,
    in_flight: u32,
    retries: u32,
    /// Turns taken in round robin.
    turn: u64,
    evicted: Vec<ConnectionId>,
    outliers: Outliers,
    /// Endpoints that a snapshot holds and that are not in service.
    out: usize,
    health_counters: HealthCounters,
    /// What the log has not been told yet.
    events: Vec<Event>,
    /// No later than what `checks_due` has to say next.
    checks_at: Moment,
    /// Of our own process.
    freezes: Freezes,
    budget: RetryBudget,
    usual: Option<Box<Usual>>,
    /// No later than what `reap` has to do next.
    deadline: Moment,
    /// The wall on which all endpoints that have one agree.
    shared: Option<Band>,
    /// The greatest idle age that a request to any endpoint has survived, while no close speaks
    /// against it.
    explored: Duration,
    /// Counts what may have made room at an endpoint.
    changes: u64,
    /// The endpoint that had a request less last.
    freed: Option<EndpointId>,
    /// Nobody had room for whoever asked so.
    full: Option<Full>,
    /// For the placing of waiters, which nobody brings dice to.
    dice: Dice,
}

impl Cluster {
    /// A cluster without endpoints.
    #[must_use]
    pub fn new(name: Arc<str>) -> Self {
        Self {
            counters: Counters::default(),
            name,
            plan: Arc::default(),
            endpoints: Slab::default(),
            held: 0,
            connections: Connections::default(),
            spare: 0,
            queue: Queue::default(),
            in_flight: 0,
            retries: 0,
            turn: 0,
            evicted: Vec::new(),
            outliers: Outliers::new(),
            out: 0,
            health_counters: HealthCounters::default(),
            events: Vec::new(),
            checks_at: Moment::default(),
            freezes: Freezes::default(),
            budget: RetryBudget::new(),
            usual: None,
            deadline: Moment::NEVER,
            shared: None,
            explored: Duration::ZERO,
            changes: 0,
            freed: None,
            full: None,
            dice: Dice::seeded(0),
        }
    }

    /// Endpoint, limits and connection for one attempt, settled together.
    pub fn checkout(&mut self, ask: &Ask<'_>, now: Moment, dice: &mut Dice) -> Checkout {
        self.follow(ask.plan);
        if ask.is_first() {
            self.budget.on_request(&ask.plan.retry_budget, now);
        }
        let grant = match self.place(ask, now, dice) {
            Ok(grant) => grant,
            Err(Blocked::NoEndpoint) => {
                self.counters.cx_none_healthy += 1;
                return Checkout::Refuse(Refusal::NoEndpoint);
            }
            Err(Blocked::Requests) => {
                self.counters.rq_pending_overflow += 1;
                return Checkout::Refuse(Refusal::Requests);
            }
            Err(Blocked::Connections) => {
                self.counters.cx_overflow += 1;
                return self.wait(ask, now);
            }
        };
        if matches!(grant, Grant::Open(_)) {
            self.counters.rq_pending_total += 1;
        }
        self.carry_out(grant, ask, now)
    }

    /// The shell looked at a connection it was given and found it closed: the lease is over, a
    /// race was met and absorbed; the caller asks again.
    pub fn on_stale(&mut self, connection: ConnectionId, how: IdleEnd, now: Moment) {
        let gone = self.end_lease(connection);
        self.counters.cx_destroy += 1;
        self.counters.cx_destroy_remote += 1;
        if how != IdleEnd::Unsolicited {
            self.counters.race_met += 1;
            self.counters.race_checked += 1;
        }
        self.learn(&gone, how, now);
        self.serve_waiting(now);
    }

    /// A connection that [`Checkout::Open`] promised is open.
    pub fn connected(&mut self, connection: ConnectionId, round_trip: Option<Duration>, now: Moment) {
        let opened = self.connections.get_mut(connection);
        let opened = opened.filter(|opened| opened.state == State::Opening);
        let Some(opened) = opened else {
            panic!("{connection:?} was not being opened")
        };
        opened.starts(now);
        opened.state = State::Leased;
        let endpoint = opened.endpoint;
        let endpoint = self.endpoint(endpoint);
        endpoint.on_round_trip(round_trip);
        endpoint.service.leaving.on_connected();
        self.counters.rq_total += 1;
    }

    /// A connection could not be opened, in the system's words: told before
    /// [`Cluster::connect_failed`], and shown as the endpoint's last error.
    pub fn connect_error(&mut self, endpoint: EndpointId, words: String) {
        if let Some(endpoint) = self.endpoints.get_mut(endpoint) {
            endpoint.service.trouble.on_connect_error(words.into());
        }
    }

    /// It could not be opened; its permit is free again.
    pub fn connect_failed(&mut self, connection: ConnectionId, timed_out: bool, now: Moment) {
        let endpoint = self.connections.get(connection).map(|failed| failed.endpoint);
        if let Some(endpoint) = endpoint.and_then(|endpoint| self.endpoints.get_mut(endpoint)) {
            endpoint.connect_failures += 1;
            if !timed_out {
                endpoint.service.leaving.on_refused(now);
            }
        }
        self.end_lease(connection);
        self.counters.cx_connect_fail += 1;
        self.counters.cx_connect_timeout += u64::from(timed_out);
        self.counters.rq_pending_failure_eject += 1;
        self.queue.discipline.moved(now);
        self.serve_waiting(now);
    }

    /// A lease ends. `worker` is whose reactor the socket is registered with now.
    ///
    /// A request that was answered on a reused connection is what counts as a survival of the idle
    /// age at its checkout. A close that met a request counts with the age at this moment: it was
    /// on its way when the request was written, so the endpoint's timer ran from the last response
    /// to the close just as if nobody had asked.
    pub fn hand_back(
        &mut self,
        connection: ConnectionId,
        how: Handback,
        worker: WorkerId,
        now: Moment,
    ) -> Parked {
        let parked = match how {
            Handback::Reusable { hint, round_trip } => {
                self.recycle(connection, (hint, round_trip), worker, now)
            }
            Handback::Closed => {
                self.end_lease(connection);
                self.counters.cx_destroy += 1;
                self.counters.cx_destroy_local += 1;
                Parked::Close
            }
            Handback::Outrun { begun } => self.outrun(connection, begun, worker, now),
            Handback::Silent => {
                let gone = self.end_lease(connection);
                self.counters.cx_destroy += 1;
                self.counters.cx_destroy_local += 1;
                self.counters.cx_destroy_with_active_rq += 1;
                self.counters.cx_destroy_local_with_active_rq += 1;
                self.learn_silence(&gone, now);
                Parked::Close
            }
            Handback::PeerClosed { how, raced, proven } => {
                let gone = self.end_lease(connection);
                let local = u64::from(how == IdleEnd::Unsolicited);
                self.counters.cx_destroy += 1;
                self.counters.cx_destroy_local += local;
                self.counters.cx_destroy_remote += 1 - local;
                self.counters.cx_destroy_with_active_rq += 1;
                self.counters.cx_destroy_local_with_active_rq += local;
                self.counters.cx_destroy_remote_with_active_rq += 1 - local;
                if raced {
                    self.counters.race_met += 1 - local;
                    self.learn_met(&gone, how, proven, now);
                }
                Parked::Close
            }
        };
        self.queue.discipline.moved(now);
        self.serve_waiting(now);
        parked
    }

    /// Whether [`Cluster::granted`], [`Cluster::evicted`] or [`Cluster::take_events`] has something to
    /// say; mostly not.
    #[must_use]
    pub fn has_news(&self) -> bool {
        self.queue.has_calls() || !self.evicted.is_empty() || !self.events.is_empty()
    }

    /// The next idle connection that had to go to make room for another; the shell closes it.
    pub fn evicted(&mut self) -> Option<ConnectionId> {
        self.evicted.pop()
    }

    /// Makes `plan` the one in force.
    fn follow(&mut self, plan: &Arc<ClusterPlan>) {
        if !Arc::ptr_eq(&self.plan, plan) {
            self.plan = plan.clone();
        }
    }

    fn endpoint(&mut self, id: EndpointId) -> &mut Endpoint {
        match self.endpoints.get_mut(id) {
            Some(endpoint) => endpoint,
            None => panic!("{id:?} is not in the cluster"),
        }
    }
}

#[cfg(test)]
mod tests;
