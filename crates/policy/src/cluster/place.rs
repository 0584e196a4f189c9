//! Finding a connection, or room for one, for a request; the same for those who wait.

use super::queue::Grant;
use super::{Ask, Checkout, Cluster, ConnectionFacts, ConnectionId, EndpointId, Members, Resend, Reuse};
use super::{Reused, WorkerId, Writing};
use crate::balance;
use crate::endpoint::Endpoint;
use crate::keepalive::Source;
use crate::plan::{ClusterPlan, Limits};
use crate::pool::{Connection, Idle, Offer, State};
use crate::time::{Dice, Moment};

/// An [`Ask`] that outlives its request's call: what a waiter wants.
#[derive(Debug)]
pub(super) struct Want {
    members: Members,
    plan: ClusterPlan,
    worker: WorkerId,
    resend: Resend,
    reuse: Reuse,
    avoid: Vec<EndpointId>,
}

impl Want {
    pub(super) fn of(ask: &Ask<'_>) -> Self {
        Self {
            members: ask.members.clone(),
            plan: ask.plan.clone(),
            worker: ask.worker,
            resend: ask.resend,
            reuse: ask.reuse,
            avoid: ask.avoid.to_vec(),
        }
    }

    fn ask(&self) -> Ask<'_> {
        Ask {
            members: &self.members,
            plan: &self.plan,
            worker: self.worker,
            resend: self.resend,
            reuse: self.reuse,
            avoid: &self.avoid,
        }
    }
}

/// Why a request can not go on at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blocked {
    NoEndpoint,
    Requests,
    Connections,
}

impl Cluster {
    /// Chooses the endpoint and takes a connection of it, or the permit for one. If the chosen
    /// endpoint is full, any other that has something will do.
    pub(super) fn place(&mut self, ask: &Ask<'_>, now: Moment, dice: &mut Dice) -> Result<Grant, Blocked> {
        let plan = ask.plan;
        let welcome = |id: EndpointId| !ask.avoid.contains(&id);
        let mut spared = true;
        let mut first = balance::choose(&plan.balance, ask.members, &mut self.endpoints, dice, welcome);
        if first.is_none() && !ask.avoid.is_empty() {
            spared = false;
            first = balance::choose(&plan.balance, ask.members, &mut self.endpoints, dice, |_| true);
        }
        let first = first.ok_or(Blocked::NoEndpoint)?;
        if self.in_flight >= plan.limits.max_parallel_requests {
            return Err(Blocked::Requests);
        }
        if let Some(grant) = self.place_at(first, ask, now) {
            return Ok(grant);
        }
        ask.members
            .list
            .iter()
            .filter(|&&(id, weight)| weight > 0 && id != first && (!spared || welcome(id)))
            .find_map(|&(id, _)| self.place_at(id, ask, now))
            .ok_or(Blocked::Connections)
    }

    /// Makes a grant the lease of `ask`'s worker.
    pub(super) fn carry_out(&mut self, grant: Grant, ask: &Ask<'_>, now: Moment) -> Checkout {
        match grant {
            Grant::Open(connection) => {
                let Some(opening) = self.connections.get_mut(connection) else {
                    panic!("{connection:?} lost its permit")
                };
                opening.worker = ask.worker;
                let endpoint = opening.endpoint;
                self.counters.cx_total += 1;
                let address = self.endpoint(endpoint).address.clone();
                Checkout::Open {
                    connection,
                    endpoint,
                    address,
                }
            }
            Grant::Reuse(connection, writing) => {
                let held = self.held(connection);
                held.state = State::Leased;
                held.idle_age = now.since(held.idle_since);
                let worker = std::mem::replace(&mut held.worker, ask.worker);
                let mut facts = ConnectionFacts {
                    idle_age: held.idle_age,
                    age: now.since(held.opened),
                    uses: held.uses,
                    limit: None,
                };
                held.uses = held.uses.saturating_add(1);
                let id = held.endpoint;
                self.counters.rq_total += 1;
                self.counters.taken_over += u64::from(worker != ask.worker);
                self.counters.race_priced += u64::from(writing == Writing::TwoStep);
                let endpoint = self.endpoint(id);
                facts.limit = Some(endpoint.limit(&ask.plan.keep_alive).reuse);
                let (address, round_trip) = (endpoint.address.clone(), endpoint.round_trip);
                Checkout::Reuse(Reused {
                    connection,
                    endpoint: id,
                    address,
                    worker,
                    writing,
                    round_trip,
                    facts,
                })
            }
        }
    }

    /// Something became free: those who wait are served in their order, as far as it goes.
    pub(super) fn serve_waiting(&mut self, now: Moment) {
        if self.queue.len() == 0 {
            return;
        }
        let mut queue = std::mem::take(&mut self.queue);
        let mut dice = self.dice.clone();
        // One thing that became free serves one waiter; whoever asks next serves the next.
        let served = queue.waiting().find_map(|(ticket, want)| {
            let grant = self.place(&want.ask(), now, &mut dice).ok()?;
            Some((ticket, grant))
        });
        if let Some((ticket, grant)) = served {
            queue.give(ticket, grant);
        }
        self.dice = dice;
        self.queue = queue;
    }

    /// A connection that was promised to a waiter.
    pub(super) fn held(&mut self, id: ConnectionId) -> &mut Connection {
        let held = self
            .connections
            .get_mut(id)
            .filter(|held| held.state == State::Held);
        held.unwrap_or_else(|| panic!("{id:?} is not held"))
    }

    /// The waiter it was promised to has left: it goes on idling, as old as it is.
    pub(super) fn unhold(&mut self, id: ConnectionId) {
        let held = self.held(id);
        held.state = State::Idle;
        let (worker, since, retire_at) = (held.worker, held.idle_since, held.retire_at);
        let endpoint = held.endpoint;
        self.in_flight -= 1;
        let endpoint = self.endpoint(endpoint);
        endpoint.in_flight -= 1;
        if endpoint.held_by > 0 {
            endpoint.idle.restore(Idle {
                connection: id,
                worker,
                since,
                retire_at,
            });
            self.deadline = self.deadline.min(since);
        } else {
            self.close_locally(id);
            self.evicted.push(id);
        }
    }

    /// Counts a new connection to an endpoint that has room, and the request that it is for.
    pub(super) fn permit(&mut self, opening: Connection) -> ConnectionId {
        self.in_flight += 1;
        let endpoint = self.endpoint(opening.endpoint);
        endpoint.in_flight += 1;
        endpoint.open += 1;
        endpoint.uses += 1;
        self.connections.insert(opening)
    }

    fn place_at(&mut self, id: EndpointId, ask: &Ask<'_>, now: Moment) -> Option<Grant> {
        let endpoint = self.endpoints.get_mut(&id)?;
        let (mut risky, mut past) = (false, false);
        if ask.reuse == Reuse::Allow && !(endpoint.idle.is_empty() && endpoint.probe.is_none()) {
            let limit = endpoint.limit(&ask.plan.keep_alive);
            match endpoint.idle.take(&limit, ask.resend, ask.worker, now) {
                Offer::Take(connection, writing) => {
                    endpoint.in_flight += 1;
                    endpoint.uses += 1;
                    self.in_flight += 1;
                    let taken = self.connections.get_mut(connection);
                    let taken = taken.filter(|taken| taken.state == State::Idle);
                    taken
                        .unwrap_or_else(|| panic!("{connection:?} was on the idle list twice"))
                        .state = State::Held;
                    return Some(Grant::Reuse(connection, writing));
                }
                Offer::TooRisky => risky = true,
                Offer::Nothing => past = limit.source != Source::Configured,
            }
        }
        if !self.make_room(id, &ask.plan.limits) {
            return None;
        }
        self.counters.race_priced += u64::from(risky);
        self.counters.race_avoided += u64::from(past);
        Some(Grant::Open(self.permit(Connection::opening(
            id,
            ask.worker,
            &ask.plan.limits,
            now,
        ))))
    }

    /// Whether one more connection to this endpoint fits; idle ones that are in the way go.
    fn make_room(&mut self, id: EndpointId, limits: &Limits) -> bool {
        let most = limits.max_connections_per_endpoint.unwrap_or(u32::MAX);
        if self.endpoint(id).open >= most && !self.evict(id) {
            return false;
        }
        if self.connections.len() < limits.max_connections as usize && !self.connections.full() {
            return true;
        }
        // A probe serves no request; after the probes the oldest goes.
        let useless = |(&id, endpoint): (&EndpointId, &Endpoint)| endpoint.probe.map(|_| id);
        let oldest = |(&id, endpoint): (&EndpointId, &Endpoint)| Some((endpoint.idle.oldest()?.since, id));
        let victim = self.endpoints.iter().find_map(useless);
        let victim = victim.or_else(|| self.endpoints.iter().filter_map(oldest).min().map(|(_, id)| id));
        victim.is_some_and(|victim| self.evict(victim))
    }

    /// Closes the probe or the oldest idle connection of an endpoint.
    fn evict(&mut self, id: EndpointId) -> bool {
        let endpoint = self.endpoint(id);
        let probe = endpoint.probe.take().map(|probe| probe.connection);
        let Some(victim) = probe.or_else(|| endpoint.idle.pop_oldest().map(|idle| idle.connection)) else {
            return false;
        };
        self.close_locally(victim);
        self.evicted.push(victim);
        true
    }
}
