//! Finding a connection, or room for one, for a request; the same for those who wait.

use std::time::Duration;

use super::queue::Grant;
use super::{Ask, Checkout, Cluster, ConnectionFacts, ConnectionId, EndpointId, Reuse, Reused, Writing};
use crate::endpoint::Endpoint;
use crate::keepalive::Source;
use crate::plan::Limits;
use crate::pool::{Connection, Offer, State};
use crate::time::{Dice, Moment};

/// Why a request can not go on at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blocked {
    NoEndpoint,
    Requests,
    Connections,
}

/// All endpoints of a snapshot were found full. Until something changes nobody looks at them again:
/// under overload there are many more who ask than there are ends of requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Full {
    /// Whose endpoints, under whose limits; these addresses are compared and never followed.
    members: usize,
    plan: usize,
    changes: u64,
    /// Terms of ejection end without a call.
    until: Moment,
}

/// What was found full is looked at again after this.
const FULL_LASTS: Duration = Duration::from_millis(10);

impl Full {
    fn found(ask: &Ask<'_>, changes: u64, now: Moment) -> Self {
        Self {
            members: ask.members.address(),
            plan: std::sync::Arc::as_ptr(ask.plan) as usize,
            changes,
            until: now + FULL_LASTS,
        }
    }

    fn still(self, ask: &Ask<'_>, changes: u64, now: Moment) -> bool {
        let found = Self::found(ask, changes, now);
        now < self.until
            && (self.members, self.plan, self.changes) == (found.members, found.plan, found.changes)
    }
}

impl Cluster {
    /// Chooses the endpoint and takes a connection of it, or the permit for one. If the chosen
    /// endpoint is full, any other that has something will do, those to be avoided last.
    pub(super) fn place(&mut self, ask: &Ask<'_>, now: Moment, dice: &mut Dice) -> Result<Grant, Blocked> {
        let first = self.choose(ask, now, dice).ok_or(Blocked::NoEndpoint)?;
        let limits = &ask.plan.limits;
        if self.in_flight >= limits.max_parallel_requests {
            return Err(Blocked::Requests);
        }
        if self.connections.len() >= limits.max_connections as usize && self.spare == 0 {
            return Err(Blocked::Connections);
        }
        if let Some(grant) = self.place_at(first, ask, now) {
            return Ok(grant);
        }
        if self.full.is_some_and(|full| full.still(ask, self.changes, now)) {
            return Err(Blocked::Connections);
        }
        if let Some(grant) = self.place_at_freed(first, ask, now) {
            return Ok(grant);
        }
        for avoided in [false, true] {
            for &(id, weight) in &ask.members.list {
                let other = weight > 0 && id != first && ask.avoid.contains(&id) == avoided;
                if other
                    && self.stands_in(id, ask, now)
                    && let Some(grant) = self.place_at(id, ask, now)
                {
                    return Ok(grant);
                }
            }
        }
        self.full = Some(Full::found(ask, self.changes, now));
        Err(Blocked::Connections)
    }

    /// Something has ended at an endpoint, or changed about it: it may have room.
    pub(super) fn changed(&mut self, endpoint: Option<EndpointId>) {
        self.changes = self.changes.wrapping_add(1);
        self.freed = endpoint.or(self.freed);
    }

    /// At the endpoint that had a request less last: where all are busy it is the one that has room, and
    /// not all are looked at.
    fn place_at_freed(&mut self, but: EndpointId, ask: &Ask<'_>, now: Moment) -> Option<Grant> {
        let freed = self.freed.filter(|&freed| freed != but)?;
        let fit = ask
            .members
            .list
            .iter()
            .any(|&(id, weight)| id == freed && weight > 0)
            && !ask.avoid.contains(&freed)
            && self.stands_in(freed, ask, now);
        if fit { self.place_at(freed, ask, now) } else { None }
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
                let opening = self.endpoint(endpoint);
                opening.opened += 1;
                let address = opening.address.clone();
                Checkout::Open {
                    connection,
                    endpoint,
                    address,
                }
            }
            Grant::Reuse(connection, writing) => {
                let held = self.held(connection);
                (held.state, held.promised_to) = (State::Leased, None);
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
                let siblings = self.explored;
                let endpoint = self.endpoint(id);
                facts.limit = Some(endpoint.limit(&ask.plan.keep_alive).reuse);
                let hold = endpoint.hold(facts.idle_age, siblings, &ask.plan.keep_alive, now);
                Checkout::Reuse(Reused {
                    connection,
                    endpoint: id,
                    worker,
                    writing,
                    hold,
                    facts,
                })
            }
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
        let explored = self.explored;
        let endpoint = self.endpoints.get_mut(id)?;
        if !endpoint.bears_more(ask.plan, now) {
            return None;
        }
        endpoint.service.leaving.on_chosen(now);
        let mut past = false;
        if ask.reuse == Reuse::Allow && !(endpoint.idle.is_empty() && endpoint.probe.is_none()) {
            let limit = endpoint.limit_now(&ask.plan.keep_alive, explored, now);
            match endpoint.idle.take(&limit, ask.replay_safety, ask.worker, now) {
                Offer::Take(connection, writing) => {
                    endpoint.in_flight += 1;
                    endpoint.uses += 1;
                    self.in_flight += 1;
                    self.spare -= 1;
                    if self.in_flight == 1 {
                        self.queue.discipline.moved(now);
                    }
                    let taken = self.connections.get_mut(connection);
                    let taken = taken.filter(|taken| taken.state == State::Idle);
                    taken
                        .unwrap_or_else(|| panic!("{connection:?} was on the idle list twice"))
                        .state = State::Held;
                    return Some(Grant::Reuse(connection, writing));
                }
                Offer::Nothing => past = limit.source != Source::Configured,
            }
        }
        if !self.make_room(id, &ask.plan.limits, now) {
            return None;
        }
        self.counters.race_avoided += u64::from(past);
        if self.in_flight == 0 {
            self.queue.discipline.moved(now);
        }
        Some(Grant::Open(self.permit(Connection::opening(
            id,
            ask.worker,
            &ask.plan.limits,
            now,
        ))))
    }

    /// Whether one more connection to this endpoint fits; idle ones that are in the way go.
    fn make_room(&mut self, id: EndpointId, limits: &Limits, now: Moment) -> bool {
        let most = limits.max_connections_per_endpoint.unwrap_or(u32::MAX);
        if self.endpoint(id).open >= most && !self.evict(id, now) {
            return false;
        }
        if self.connections.len() < limits.max_connections as usize && !self.connections.full() {
            return true;
        }
        if self.spare == 0 {
            return false;
        }
        // What serves no request goes first; then the oldest.
        let useless = |(id, endpoint): (EndpointId, &Endpoint)| {
            let useless = endpoint.probe.is_some() || endpoint.stragglers.followed().is_some();
            useless.then_some(id)
        };
        let oldest = |(id, endpoint): (EndpointId, &Endpoint)| Some((endpoint.idle.oldest()?.since, id));
        let victim = self.endpoints.iter().find_map(useless);
        let victim = victim.or_else(|| self.endpoints.iter().filter_map(oldest).min().map(|(_, id)| id));
        victim.is_some_and(|victim| self.evict(victim, now))
    }

    /// Closes the probe, the connection that is followed, or the oldest idle one of an endpoint.
    fn evict(&mut self, id: EndpointId, now: Moment) -> bool {
        let endpoint = self.endpoint(id);
        let probe = endpoint.probe.take().map(|probe| probe.connection);
        let useless = probe.or_else(|| {
            let followed = endpoint.stragglers.followed();
            endpoint.stragglers.followed_gone(now);
            followed
        });
        let Some(victim) = useless.or_else(|| endpoint.idle.pop_oldest().map(|idle| idle.connection)) else {
            return false;
        };
        self.spare -= 1;
        self.close_locally(victim);
        self.evicted.push(victim);
        true
    }
}
