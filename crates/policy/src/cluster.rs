//! The only door the shell knocks on: a cluster's endpoints, connections, waiters and counters.
//!
//! One lock of the shell's, one decision: endpoint, limits and pool are settled together in
//! [`Cluster::checkout`]. Pools deal in [`ConnectionId`]s; the sockets stay upstairs.

mod ask;
mod books;
mod counters;
mod failure;
mod place;
mod queue;
mod report;
mod upkeep;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use ask::*;
pub use counters::Counters;
pub use report::{EndpointReport, Gauges};

use crate::endpoint::Endpoint;
use crate::keepalive::{Band, Risk};
use crate::plan::KeepAlivePlan;
use crate::pool::{Connections, State};
use crate::time::{Dice, Moment};
use place::{Blocked, Want};
use queue::{Grant, Left, Queue};

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
    endpoints: BTreeMap<EndpointId, Endpoint>,
    endpoints_ever: u32,
    connections: Connections,
    queue: Queue,
    in_flight: u32,
    retries: u32,
    evicted: Vec<ConnectionId>,
    /// No later than what `reap` has to do next.
    deadline: Moment,
    /// As last asked for.
    keep_alive: KeepAlivePlan,
    /// The wall on which all endpoints that have one agree.
    shared: Option<Band>,
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
            endpoints: BTreeMap::new(),
            endpoints_ever: 0,
            connections: Connections::default(),
            queue: Queue::default(),
            in_flight: 0,
            retries: 0,
            evicted: Vec::new(),
            deadline: Moment::NEVER,
            keep_alive: KeepAlivePlan::default(),
            shared: None,
            dice: Dice::seeded(0),
        }
    }

    /// Takes the endpoints of a new snapshot in; those already known keep what was learned of
    /// them. An address that is named twice is one endpoint with both weights. Pair each call with
    /// one [`Cluster::retire`].
    pub fn adopt(&mut self, addresses: &[(Address, u32)], _now: Moment) -> Members {
        let mut known: BTreeMap<Address, EndpointId> = self
            .endpoints
            .iter()
            .map(|(&id, endpoint)| (endpoint.address.clone(), id))
            .collect();
        let mut members = Members::default();
        let mut place = BTreeMap::<EndpointId, usize>::new();
        for (address, weight) in addresses {
            let id = *known.entry(address.clone()).or_insert_with(|| {
                let id = EndpointId(self.endpoints_ever);
                self.endpoints_ever += 1;
                let mut endpoint = Endpoint::new(address.clone());
                if let Some(wall) = self.shared {
                    endpoint.learner.suggest(wall);
                }
                self.endpoints.insert(id, endpoint);
                id
            });
            if let Some(&at) = place.get(&id) {
                members.list[at].1 = members.list[at].1.saturating_add(*weight);
            } else {
                place.insert(id, members.list.len());
                members.list.push((id, *weight));
                self.endpoint(id).held_by += 1;
            }
        }
        members
    }

    /// A snapshot is gone. Idle connections of endpoints that no snapshot holds any more are
    /// returned for the shell to close.
    pub fn retire(&mut self, members: &Members, now: Moment) -> Vec<ConnectionId> {
        let mut gone = Vec::new();
        for &(id, _) in &members.list {
            let endpoint = self.endpoint(id);
            assert!(endpoint.held_by > 0, "{id:?} was retired more often than adopted");
            endpoint.held_by -= 1;
            if endpoint.held_by > 0 {
                continue;
            }
            let idle = endpoint
                .idle
                .extract(|_| true)
                .into_iter()
                .map(|idle| idle.connection);
            gone.extend(idle.chain(endpoint.probe.take().map(|probe| probe.connection)));
            if endpoint.open == 0 {
                self.endpoints.remove(&id);
            }
        }
        for &connection in &gone {
            self.close_locally(connection);
        }
        self.serve_waiting(now);
        gone
    }

    /// Endpoint, limits and connection for one attempt, settled together.
    pub fn checkout(&mut self, ask: &Ask<'_>, now: Moment, dice: &mut Dice) -> Checkout {
        self.keep_alive.clone_from(&ask.plan.keep_alive);
        let grant = match self.place(ask, now, dice) {
            Ok(grant) => grant,
            Err(Blocked::NoEndpoint) => {
                self.counters.cx_none_healthy += 1;
                return Checkout::Refuse(Refusal::NoEndpoint);
            }
            Err(Blocked::Requests) => {
                self.counters.rq_pending_overflow += 1;
                return Checkout::Refuse(Refusal::Overflow);
            }
            Err(Blocked::Connections) => {
                self.counters.cx_overflow += 1;
                if self.queue.len() >= ask.plan.limits.max_pending_requests as usize {
                    self.counters.rq_pending_overflow += 1;
                    return Checkout::Refuse(Refusal::Overflow);
                }
                self.counters.rq_pending_total += 1;
                return Checkout::Queue(self.queue.join(Want::of(ask)));
            }
        };
        if matches!(grant, Grant::Open(_)) {
            self.counters.rq_pending_total += 1;
        }
        self.carry_out(grant, ask, now)
    }

    /// The shell looked at a connection it was given and found it closed: the lease is over, a
    /// race was met and absorbed; the caller asks again.
    pub fn found_dead(&mut self, connection: ConnectionId, how: IdleEnd, now: Moment) {
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
        self.endpoint(endpoint).on_round_trip(round_trip);
        self.counters.rq_total += 1;
    }

    /// It could not be opened; its permit is free again.
    pub fn connect_failed(&mut self, connection: ConnectionId, timed_out: bool, now: Moment) {
        let endpoint = self.connections.get(connection).map(|failed| failed.endpoint);
        if let Some(endpoint) = endpoint.and_then(|endpoint| self.endpoints.get_mut(&endpoint)) {
            endpoint.connect_failures += 1;
        }
        self.end_lease(connection);
        self.counters.cx_connect_fail += 1;
        self.counters.cx_connect_timeout += u64::from(timed_out);
        self.counters.rq_pending_failure_eject += 1;
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
            Handback::PeerClosed { reset, raced } => {
                let gone = self.end_lease(connection);
                self.counters.cx_destroy += 1;
                self.counters.cx_destroy_remote += 1;
                self.counters.cx_destroy_with_active_rq += 1;
                self.counters.cx_destroy_remote_with_active_rq += 1;
                if raced {
                    self.counters.race_met += 1;
                    self.learn(&gone, if reset { IdleEnd::Reset } else { IdleEnd::Fin }, now);
                }
                Parked::Close
            }
        };
        self.serve_waiting(now);
        parked
    }

    /// The next ticket whose turn has come; the shell wakes its waiter, which calls
    /// [`Cluster::claim`].
    pub fn granted(&mut self) -> Option<Ticket> {
        self.queue.call()
    }

    /// The next idle connection that had to go to make room for another; the shell closes it.
    pub fn evicted(&mut self) -> Option<ConnectionId> {
        self.evicted.pop()
    }

    /// What a granted ticket was given: never `Queue`. `None` if it was not granted yet.
    pub fn claim(&mut self, ticket: Ticket, ask: &Ask<'_>, now: Moment, dice: &mut Dice) -> Option<Checkout> {
        let grant = self.queue.claim(ticket)?;
        let Grant::Reuse(connection, _) = grant else {
            return Some(self.carry_out(grant, ask, now));
        };
        let held = self.held(connection);
        let (age, endpoint) = (now.since(held.idle_since), held.endpoint);
        let limit = self.endpoint(endpoint).limit(&ask.plan.keep_alive);
        if limit.risk(age, ask.resend) != Risk::Past {
            return Some(self.carry_out(grant, ask, now));
        }
        // The waiter was slow to wake. Its permit makes room for a fresh connection.
        self.end_lease(connection);
        self.counters.cx_destroy += 1;
        self.counters.cx_destroy_local += 1;
        self.evicted.push(connection);
        Some(match self.place(ask, now, dice) {
            Ok(grant) => self.carry_out(grant, ask, now),
            Err(Blocked::NoEndpoint) => Checkout::Refuse(Refusal::NoEndpoint),
            Err(Blocked::Requests | Blocked::Connections) => Checkout::Refuse(Refusal::Overflow),
        })
    }

    /// The waiter left (timeout, client gone): its place, or what it was granted, is free again.
    pub fn cancel(&mut self, ticket: Ticket, now: Moment) {
        match self.queue.leave(ticket) {
            Left::Nothing => return,
            Left::Place => {}
            Left::Grant(Grant::Open(connection)) => {
                self.end_lease(connection);
            }
            Left::Grant(Grant::Reuse(connection, _)) => self.unhold(connection),
        }
        self.counters.rq_cancelled += 1;
        self.serve_waiting(now);
    }

    fn endpoint(&mut self, id: EndpointId) -> &mut Endpoint {
        match self.endpoints.get_mut(&id) {
            Some(endpoint) => endpoint,
            None => panic!("{id:?} is not in the cluster"),
        }
    }
}

#[cfg(test)]
mod tests;
