//! Idle connections between requests: those that end, those that are too old, the probes. And
//! what the shell reports besides.

use std::sync::Arc;
use std::time::Duration;

use super::queue::Grant;
use super::{Cluster, ConnectionId, EndpointId, IdleEnd};
use crate::endpoint::{Endpoint, Probe};
use crate::keepalive::Source;
use crate::plan::{ClusterPlan, KeepAlivePlan};
use crate::pool::{Idle, State};
use crate::time::Moment;

impl Cluster {
    /// The watcher of idle connections saw one end. False if it was no longer idle (it is being
    /// leased at this moment, and the lease will find out by itself).
    pub fn idle_ended(&mut self, connection: ConnectionId, how: IdleEnd, now: Moment) -> bool {
        let Some(ended) = self.connections.get(connection) else {
            return false;
        };
        if ended.state == State::Followed {
            self.followed_ended(connection, how, now);
            return true;
        }
        let (id, since, state) = (ended.endpoint, ended.idle_since, ended.state);
        let plan = self.plan.clone();
        let hidden = self.freezes.hides(now);
        let endpoint = self.endpoint(id);
        let gone = match state {
            State::Opening | State::Leased | State::Followed => return false,
            State::Idle => {
                let (age, idle) = (now.since(since), endpoint.idle.len());
                if how != IdleEnd::Unsolicited && !hidden && !endpoint.explains(age, &plan.keep_alive) {
                    endpoint.service.leaving.on_close(age, idle, now);
                    endpoint.on_unexplained_close(now);
                }
                let listed = endpoint.idle.remove(connection, since);
                assert!(listed.is_some(), "{connection:?} idles on no list");
                self.spare -= 1;
                self.forget(connection)
            }
            State::Probe => {
                endpoint.probe = None;
                self.spare -= 1;
                self.forget(connection)
            }
            State::Held => {
                // Its waiter keeps the permit and opens a fresh one instead.
                let gone = self.end_lease(connection);
                let fresh = self.permit(gone.successor(now));
                if let Some(ticket) = gone.promised_to {
                    self.queue.replace(ticket, Grant::Open(fresh));
                }
                gone
            }
        };
        self.counters.cx_destroy += 1;
        self.counters.cx_destroy_remote += 1;
        self.counters.idle_closed_by_peer += u64::from(how != IdleEnd::Unsolicited);
        self.learn(&gone, how, now);
        self.serve_waiting(now);
        true
    }

    /// Closes what has been idle too long, keeping at most one past-limit connection per endpoint
    /// as a probe; the shell closes the sockets.
    pub fn reap(&mut self, plan: &Arc<ClusterPlan>, now: Moment) -> Vec<ConnectionId> {
        self.follow(plan);
        self.changed(None);
        let plan = &plan.keep_alive;
        self.shed(now);
        self.sweep(now);
        let mut gone = Vec::new();
        let mut changed = false;
        let ids: Vec<EndpointId> = self.endpoints.iter().map(|(id, _)| id).collect();
        for id in ids {
            self.retire_old(id, now, &mut gone);
            changed |= self.retire_idle(id, plan, now, &mut gone);
            changed |= self.look_at_probe(id, plan, now, &mut gone);
            self.look_at_stragglers(id, now, &mut gone);
        }
        self.spare -= gone.len();
        for &connection in &gone {
            self.close_locally(connection);
        }
        self.serve_waiting(now);
        if changed {
            self.share();
        }
        let due = self.endpoints.iter().map(|(_, endpoint)| endpoint.due(plan, now));
        let due = due.min().unwrap_or(Moment::NEVER);
        // What a freeze hid is looked at once it must have been seen.
        self.deadline = due.max(self.freezes.hides_until());
        gone
    }

    /// When `reap` next has something to do; it may be called too early at no harm.
    #[must_use]
    pub fn next_deadline(&self) -> Moment {
        self.deadline
            .min(self.queue.sheds_at())
            .min(self.outliers.next_deadline())
    }

    /// A response's head came, with its final status, this long after the attempt began.
    pub fn on_response(&mut self, status: u16, duration: Duration) {
        self.counters.rq_completed += 1;
        self.counters.rq_time_ms_total += u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        if let Some(class) = self.counters.rq_class.get_mut(usize::from(status / 100)) {
            *class += 1;
        }
        self.counters.rq_status.count(status);
    }

    /// Those past their greatest duration.
    fn retire_old(&mut self, id: EndpointId, now: Moment, gone: &mut Vec<ConnectionId>) {
        let old = self.endpoint(id).idle.extract(|idle| idle.retire_at <= now);
        self.counters.cx_max_duration_reached += old.len() as u64;
        gone.extend(old.into_iter().map(|idle| idle.connection));
    }

    /// Those past the limit. One becomes the probe, if there is something to be seen beyond the
    /// limit: at the configured idle timeout nothing is.
    fn retire_idle(
        &mut self,
        id: EndpointId,
        plan: &KeepAlivePlan,
        now: Moment,
        gone: &mut Vec<ConnectionId>,
    ) -> bool {
        // The end of one that idled too long may have come, and not been seen yet.
        let hidden = self.freezes.hides(now);
        let endpoint = self.endpoint(id);
        let limit = *endpoint.limit(plan);
        let mut past = endpoint.idle.extract(|idle| now.since(idle.since) > limit.reuse);
        let mut probing = None;
        if limit.source != Source::Configured && endpoint.probe.is_none() && !past.is_empty() {
            let Idle {
                connection, since, ..
            } = past.remove(0);
            endpoint.probe = Some(Probe {
                connection,
                since,
                passed: false,
            });
            probing = Some(connection);
        }
        let mut changed = false;
        for idle in past.iter().filter(|_| !hidden) {
            changed |= endpoint.on_outlived(now.since(idle.since));
        }
        // What silence forbids would never be used again. It shows nothing of what it has outlived.
        let silent = endpoint.silent_limit(now);
        past.extend(endpoint.idle.extract(|idle| now.since(idle.since) > silent));
        self.counters.cx_idle_timeout += past.len() as u64;
        gone.extend(past.into_iter().map(|idle| idle.connection));
        if let Some(probe) = probing.and_then(|connection| self.connections.get_mut(connection)) {
            probe.state = State::Probe;
        }
        changed
    }

    /// A probe that has outlived the wall says so at once, and ends in the end.
    fn look_at_probe(
        &mut self,
        id: EndpointId,
        plan: &KeepAlivePlan,
        now: Moment,
        gone: &mut Vec<ConnectionId>,
    ) -> bool {
        if self.freezes.hides(now) {
            return false;
        }
        let endpoint = self.endpoint(id);
        let Some(probe) = &mut endpoint.probe else {
            return false;
        };
        let age = now.since(probe.since);
        let ended = now >= Endpoint::probe_ends(probe.since, plan);
        let outlived = endpoint.learner.wall().is_some_and(|wall| age > wall.top());
        let tells = !probe.passed && (ended || outlived);
        let connection = probe.connection;
        probe.passed |= outlived;
        if ended {
            endpoint.probe = None;
            self.counters.cx_idle_timeout += 1;
            gone.push(connection);
        }
        tells && self.endpoint(id).on_outlived(age)
    }
}
