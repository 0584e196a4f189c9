//! Attempts that lost to their hedge: what they make of their endpoint, and the connection of one of them.

use super::{Cluster, ConnectionId, EndpointId, IdleEnd, Parked, WorkerId};
use crate::concurrency::adaptive::Sample;
use crate::endpoint::service::Attempted;
use crate::outlier;
use crate::pool::State;
use crate::time::Moment;

impl Cluster {
    /// An attempt that began at `begun` has lost to its hedge, and its connection cannot be followed: it
    /// is handed back apart from this. See [`Handback::Outrun`](super::Handback::Outrun).
    pub fn on_outrun(&mut self, id: EndpointId, begun: Moment, now: Moment) {
        if self.freezes.touches(begun) {
            return;
        }
        if let Some(endpoint) = self.endpoints.get_mut(id).filter(|endpoint| endpoint.held_by > 0) {
            endpoint.stragglers.lost(begun, None, now);
            self.deadline = self.deadline.min(endpoint.stragglers.due());
        }
    }

    /// The same for a connection that may be followed, if none of its endpoint is yet.
    pub(super) fn outrun(
        &mut self,
        id: ConnectionId,
        begun: Moment,
        worker: WorkerId,
        now: Moment,
    ) -> Parked {
        let Some(connection) = self.connections.get_mut(id) else {
            panic!("{id:?} was not leased")
        };
        assert!(connection.in_flight(), "{id:?} was handed back twice");
        let endpoint_id = connection.endpoint;
        let frozen = self.freezes.touches(begun);
        let Some(endpoint) = self.endpoints.get_mut(endpoint_id) else {
            panic!("{id:?} has outlived its endpoint")
        };
        if frozen || endpoint.held_by == 0 || !endpoint.stragglers.wants_to_follow() {
            self.on_outrun(endpoint_id, begun, now);
            self.end_lease(id);
            self.counters.cx_destroy += 1;
            self.counters.cx_destroy_local += 1;
            return Parked::Close;
        }
        (connection.worker, connection.state) = (worker, State::Followed);
        endpoint.in_flight -= 1;
        endpoint.stragglers.lost(begun, Some(id), now);
        self.deadline = self.deadline.min(endpoint.stragglers.due());
        self.in_flight -= 1;
        self.spare += 1;
        self.changed(Some(endpoint_id));
        Parked::Keep
    }

    /// The followed connection has something to say: its answer begins, or it ended without one. It is
    /// closed in either case.
    pub(super) fn followed_ended(&mut self, connection: ConnectionId, how: IdleEnd, now: Moment) {
        self.spare -= 1;
        self.counters.cx_destroy += 1;
        let answers = how == IdleEnd::Unsolicited;
        self.counters.cx_destroy_local += u64::from(answers);
        self.counters.cx_destroy_remote += u64::from(!answers);
        let id = self.forget(connection).endpoint;
        if let Some(endpoint) = self.endpoints.get_mut(id) {
            if answers {
                if let Some(begun) = endpoint.stragglers.followed_answered(now) {
                    self.late_answer(id, begun, now);
                }
            } else if let Some(begun) = endpoint.stragglers.followed_gone(now) {
                self.failed(id, &[begun], now);
            }
        }
        self.serve_waiting(now);
    }

    /// Tells the failures among an endpoint's stragglers, and lets go of the connection that was followed
    /// for long enough.
    pub(super) fn look_at_stragglers(&mut self, id: EndpointId, now: Moment, gone: &mut Vec<ConnectionId>) {
        let endpoint = self.endpoint(id);
        if endpoint.stragglers.due() > now {
            return;
        }
        let failures = endpoint.stragglers.failures(now);
        if let Some(connection) = endpoint.stragglers.given_up(now) {
            endpoint.stragglers.followed_gone(now);
            gone.push(connection);
        }
        if !failures.is_empty() {
            self.failed(id, &failures, now);
        }
    }

    /// A straggler was answered after all: how late is what the adaptive limit wants to know.
    fn late_answer(&mut self, id: EndpointId, begun: Moment, now: Moment) {
        if self.freezes.touches(begun) {
            return;
        }
        let (Some(plan), Some(endpoint)) = (&self.plan.adaptive, self.endpoints.get_mut(id)) else {
            return;
        };
        let sample = Sample {
            begun,
            latency: now.since(begun),
            in_flight: endpoint.load(),
        };
        if let Some(adaptive) = &mut endpoint.adaptive {
            adaptive.on_response(&sample, plan, now);
        }
    }

    /// Attempts that began at these moments are taken for failures of their endpoint.
    fn failed(&mut self, id: EndpointId, begun: &[Moment], now: Moment) {
        let (plan, Some(endpoint)) = (&self.plan, self.endpoints.get_mut(id)) else {
            return;
        };
        endpoint.service.error += begun.len() as u64;
        endpoint.timeouts += begun.len() as u64;
        if let (Some(plan), Some(adaptive)) = (&plan.adaptive, &mut endpoint.adaptive) {
            adaptive.on_drop(plan, now);
        }
        let Some(standing) = &mut endpoint.service.standing else {
            return;
        };
        let overflows = self.outliers.counters().ejections_overflow;
        let mut changed = false;
        for &begun in begun {
            let outcome = outlier::Outcome::Local;
            let change = self
                .outliers
                .on_result(standing, outcome, begun, &plan.outlier, now);
            changed |= change != outlier::Change::None;
        }
        let overflow = self.outliers.counters().ejections_overflow > overflows;
        self.note_attempt(id, Attempted::Outrun, overflow, now);
        if changed {
            self.recount(id, now);
        }
    }
}
