//! Lease accounting: how a lease ends, how a connection leaves, and what either teaches.

use std::time::Duration;

use super::{Cluster, ConnectionId, EndpointId, IdleEnd, Parked, WorkerId};
use crate::keepalive::{Learner, Sign};
use crate::pool::{Connection, Idle, State};
use crate::time::Moment;

impl Cluster {
    /// Ends a lease by parking its connection, if it is fit to be used again.
    pub(super) fn recycle(
        &mut self,
        id: ConnectionId,
        (hint, round_trip): (Option<Duration>, Option<Duration>),
        worker: WorkerId,
        now: Moment,
    ) -> Parked {
        let Some(connection) = self.connections.get_mut(id) else {
            panic!("{id:?} was not leased")
        };
        assert!(connection.in_flight(), "{id:?} was handed back twice");
        let endpoint_id = connection.endpoint;
        let Some(endpoint) = self.endpoints.get_mut(endpoint_id) else {
            panic!("{id:?} has outlived its endpoint")
        };
        endpoint.on_round_trip(round_trip);
        endpoint.service.leaving.on_answered();
        let mut changed = endpoint.on_response(hint);
        if connection.uses > 1 {
            changed |= endpoint.on_survived(connection.idle_age, now);
        }
        let worn = connection.uses >= connection.uses_max;
        let old = connection.retire_at <= now;
        let parked = if worn || old || endpoint.held_by == 0 {
            self.counters.cx_max_requests += u64::from(worn);
            self.counters.cx_max_duration_reached += u64::from(old && !worn);
            self.counters.cx_destroy += 1;
            self.counters.cx_destroy_local += 1;
            self.end_lease(id);
            Parked::Close
        } else {
            // Those already idle reach their limit before this one.
            if endpoint.idle.is_empty() {
                let limit = endpoint.limit(&self.plan.keep_alive).reuse;
                self.deadline = self.deadline.min(now + limit.min(endpoint.silent_limit(now)));
            }
            self.deadline = self.deadline.min(connection.retire_at);
            let idle = Idle {
                connection: id,
                worker,
                since: now,
                retire_at: connection.retire_at,
            };
            connection.idle_since = endpoint.idle.push(idle);
            (connection.worker, connection.state) = (worker, State::Idle);
            endpoint.in_flight -= 1;
            self.in_flight -= 1;
            self.spare += 1;
            self.changed(Some(endpoint_id));
            Parked::Keep
        };
        if changed {
            self.learned(endpoint_id, now);
        }
        parked
    }

    /// Takes a connection that carries a request, or was to, out of the accounts.
    pub(super) fn end_lease(&mut self, id: ConnectionId) -> Connection {
        let Some(gone) = self.connections.get(id) else {
            panic!("{id:?} was not leased")
        };
        assert!(gone.in_flight(), "{id:?} carries no request");
        let endpoint = gone.endpoint;
        self.in_flight -= 1;
        self.endpoint(endpoint).in_flight -= 1;
        self.changed(Some(endpoint));
        self.forget(id)
    }

    /// Closes an idle connection for a reason of ours.
    pub(super) fn close_locally(&mut self, id: ConnectionId) -> Connection {
        self.counters.cx_destroy += 1;
        self.counters.cx_destroy_local += 1;
        self.forget(id)
    }

    /// Takes a connection out of the slab and its endpoint's count; a leaving endpoint goes with
    /// its last connection.
    pub(super) fn forget(&mut self, id: ConnectionId) -> Connection {
        let Some(gone) = self.connections.remove(id) else {
            panic!("{id:?} is not open")
        };
        self.changed(None);
        if let Some(endpoint) = self.endpoints.get_mut(gone.endpoint) {
            assert!(endpoint.open > 0, "{id:?} was never counted");
            endpoint.open -= 1;
            if endpoint.open == 0 && endpoint.held_by == 0 {
                self.endpoints.remove(gone.endpoint);
            }
        }
        gone
    }

    /// The endpoint closed this connection, which had been idle until `now` but for a request that
    /// met the close. Those of an endpoint that leaves say nothing about its timer, nor do those that may have
    /// come at any time of our own freeze.
    pub(super) fn learn(&mut self, gone: &Connection, how: IdleEnd, now: Moment) {
        let sign = match how {
            IdleEnd::Fin => Sign::Fin,
            IdleEnd::Reset => Sign::Reset,
            IdleEnd::Unsolicited => Sign::Unsolicited,
        };
        if self.freezes.hides(now) && gone.idle_since < self.freezes.ended() {
            return;
        }
        let endpoint = self
            .endpoints
            .get_mut(gone.endpoint)
            .filter(|endpoint| endpoint.held_by > 0);
        let Some(endpoint) = endpoint else { return };
        if how == IdleEnd::Unsolicited {
            endpoint.on_unsolicited(now);
        }
        if endpoint.on_closed(now.since(gone.idle_since), sign, now) {
            self.learned(gone.endpoint, now);
        }
    }

    /// An endpoint sent bytes that answer no request.
    pub fn on_unsolicited(&mut self, id: EndpointId, now: Moment) {
        if let Some(endpoint) = self.endpoints.get_mut(id) {
            endpoint.on_unsolicited(now);
        }
    }

    /// A close met a request. One that proves nothing contradicts what was believed, and moves it at
    /// once; others may follow.
    pub(super) fn learn_met(&mut self, gone: &Connection, how: IdleEnd, proven: bool, now: Moment) {
        if self.was_frozen_with(gone) {
            return;
        }
        if proven || how != IdleEnd::Fin {
            self.learn(gone, how, now);
        }
        let explained = self.explains(gone, now);
        let Some(endpoint) = self.endpoints.get_mut(gone.endpoint) else {
            return;
        };
        if how == IdleEnd::Unsolicited {
            return; // One connection's matter: its siblings do not die of it.
        }
        if !proven {
            let sign = if how == IdleEnd::Reset {
                Sign::Reset
            } else {
                Sign::Fin
            };
            endpoint.on_surprise(gone.idle_age, sign);
            endpoint.be_cautious(now);
        } else if !explained {
            endpoint.on_unexplained_close(now);
        }
    }

    /// Nothing came back of what a request sent. Whatever forgot this flow, or killed its host, has
    /// done so to those that idle as long: they go, unseen by any client.
    pub(super) fn learn_silence(&mut self, gone: &Connection, now: Moment) {
        if gone.uses <= 1 || self.was_frozen_with(gone) {
            return;
        }
        let written = gone.idle_since + gone.idle_age;
        let Some(endpoint) = self.endpoints.get_mut(gone.endpoint) else {
            return;
        };
        endpoint.silence.on_silent(gone.idle_age, now);
        endpoint.be_cautious(now);
        let mut forgotten = endpoint.idle.extract(|idle| idle.since <= written);
        self.spare -= forgotten.len();
        for idle in forgotten.drain(..) {
            self.close_locally(idle.connection);
            self.evicted.push(idle.connection);
        }
    }

    /// Whether we were frozen after this connection was taken for its request: who knows when that was written,
    /// or what came back since.
    fn was_frozen_with(&self, gone: &Connection) -> bool {
        gone.idle_since + gone.idle_age < self.freezes.ended()
    }

    /// Whether the keep-alive timer that was learned or announced explains the close of this
    /// connection.
    fn explains(&self, gone: &Connection, now: Moment) -> bool {
        let endpoint = self.endpoints.get(gone.endpoint);
        endpoint.is_some_and(|one| one.explains(now.since(gone.idle_since), &self.plan.keep_alive))
    }

    /// An endpoint's limit may have changed: its idle connections may be due earlier.
    fn learned(&mut self, id: EndpointId, now: Moment) {
        if let Some(endpoint) = self.endpoints.get(id) {
            self.deadline = self.deadline.min(endpoint.due(&self.plan.keep_alive, now));
        }
        self.share();
    }

    /// Endpoints without knowledge of their own start from what the others agree on.
    pub(super) fn share(&mut self) {
        let mut walls = self.endpoints.iter().filter_map(|(_, one)| one.learner.wall());
        let first = walls.next();
        let shared = first.filter(|first| walls.all(|other| first.agrees(&other)));
        drop(walls);
        self.shared = shared;
        let learners = || self.endpoints.iter().map(|(_, one)| &one.learner);
        let explored = learners().map(Learner::explored).max().unwrap_or_default();
        let agreed = learners().all(|learner| !learner.disagrees(explored));
        self.explored = if agreed { explored } else { Duration::ZERO };
        let Some(wall) = self.shared else { return };
        for (_, endpoint) in self.endpoints.iter_mut() {
            endpoint.suggest(wall);
        }
    }
}
