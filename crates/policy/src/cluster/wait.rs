//! Waiting for a connection: joining the queue, being served, being shed, leaving.

use super::queue::{Claimed, Grant, Left};
use super::{Ask, Blocked, Checkout, Cluster, ConnectionId, Refusal, Ticket};
use crate::keepalive::Risk;
use crate::pool::{Connection, Idle, State};
use crate::time::{Dice, Moment};

impl Cluster {
    /// The next ticket whose wait is over; the shell wakes its waiter, which calls
    /// [`Cluster::claim`].
    pub fn granted(&mut self) -> Option<Ticket> {
        self.queue.call()
    }

    /// When a ticket's wait ends at the latest: whoever waits claims it then, called or not, so that
    /// a refusal depends on nobody else.
    #[must_use]
    pub fn waits_until(&self, ticket: Ticket) -> Moment {
        self.queue.until(ticket)
    }

    /// What a granted ticket was given: never `Queue`. [`Refusal::Shed`] if it has waited long
    /// enough, [`Refusal::NoEndpoint`] if none is left in service. `None` if its wait goes on.
    pub fn claim(&mut self, ticket: Ticket, ask: &Ask<'_>, now: Moment, dice: &mut Dice) -> Option<Checkout> {
        self.shed(now);
        let grant = match self.queue.claim(ticket)? {
            Claimed::Refusal(why) => return Some(Checkout::Refuse(why)),
            Claimed::Grant(grant) => grant,
        };
        let Grant::Reuse(connection, _) = grant else {
            return Some(self.carry_out(grant, ask, now));
        };
        let held = self.held(connection);
        let (age, endpoint) = (now.since(held.idle_since), held.endpoint);
        let limit = self.endpoint(endpoint).limit(&ask.plan.keep_alive);
        if limit.risk(age, ask.replay_safety) != Risk::Past {
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
            Err(Blocked::Requests) => Checkout::Refuse(Refusal::Requests),
            Err(Blocked::Connections) => Checkout::Refuse(Refusal::Overflow),
        })
    }

    /// The waiter left (timeout, client gone): its place, or what it was granted, is free again.
    pub fn cancel(&mut self, ticket: Ticket, now: Moment) {
        match self.queue.leave(ticket, &self.plan.queue, now) {
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

    /// There is no connection for it now: it waits, if it may.
    pub(super) fn wait(&mut self, ask: &Ask<'_>, now: Moment) -> Checkout {
        self.shed(now);
        let (waiting, plan) = (self.queue.len(), &ask.plan.queue);
        let refusal = if waiting >= ask.plan.limits.max_pending_requests as usize {
            Some(Refusal::Overflow)
        } else if !self.queue.discipline.admits(waiting, self.in_flight, plan, now) {
            let stalled = self.queue.discipline.stalled(plan, now);
            Some(if stalled {
                Refusal::Stalled
            } else {
                Refusal::Overload
            })
        } else {
            None
        };
        if let Some(refusal) = refusal {
            self.counters.rq_pending_overflow += 1;
            return Checkout::Refuse(refusal);
        }
        self.counters.rq_pending_total += 1;
        Checkout::Queue(self.queue.join(ask, now))
    }

    /// Something became free: those who wait are served in their order, as far as it goes.
    #[inline]
    pub(super) fn serve_waiting(&mut self, now: Moment) {
        if self.queue.len() > 0 {
            self.serve_some(now);
        }
    }

    fn serve_some(&mut self, now: Moment) {
        self.shed(now);
        let order = self.queue.discipline.order(&self.plan.queue, now);
        let mut queue = std::mem::take(&mut self.queue);
        let mut dice = self.dice.clone();
        let mut in_vain = None;
        while let Some(ticket) = queue.next(order, in_vain) {
            match self.place(&queue.ask(ticket), now, &mut dice) {
                Ok(grant) => {
                    if let Grant::Reuse(connection, _) = grant {
                        self.held(connection).promised_to = Some(ticket);
                    }
                    queue.give(ticket, grant, &self.plan.queue, now);
                }
                Err(Blocked::NoEndpoint) => {
                    // The last one in service is gone: to wait for it would make the answer late.
                    self.counters.cx_none_healthy += 1;
                    queue.refuse(ticket, Refusal::NoEndpoint, &self.plan.queue, now);
                }
                Err(Blocked::Requests | Blocked::Connections) => in_vain = Some(ticket),
            }
        }
        self.dice = dice;
        self.queue = queue;
    }

    /// Ends the wait of those who have waited long enough.
    pub(super) fn shed(&mut self, now: Moment) {
        if self.queue.sheds_at() > now {
            return;
        }
        let shed = self.queue.shed(&self.plan.queue, now);
        self.counters.rq_pending_shed += shed;
        self.counters.rq_pending_overflow += shed;
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
    fn unhold(&mut self, id: ConnectionId) {
        let held = self.held(id);
        held.state = State::Idle;
        held.promised_to = None;
        let (worker, since, retire_at) = (held.worker, held.idle_since, held.retire_at);
        let endpoint = held.endpoint;
        self.in_flight -= 1;
        self.changed(Some(endpoint));
        let endpoint = self.endpoint(endpoint);
        endpoint.in_flight -= 1;
        if endpoint.held_by > 0 {
            endpoint.idle.restore(Idle {
                connection: id,
                worker,
                since,
                retire_at,
            });
            self.spare += 1;
            self.deadline = self.deadline.min(since);
        } else {
            self.close_locally(id);
            self.evicted.push(id);
        }
    }
}
