//! A cluster behind its one lock, with the sockets of its idle connections and its waiters.
//!
//! Whether workers share a cluster or own a part of it is this file's affair alone.

pub(crate) mod connection;
mod events;
mod view;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Wake, Waker};

use policy::cluster::{Cluster, ConnectionId, IdleEnd, Members, Ticket};
use policy::plan::ClusterPlan;
use policy::time::Moment;

use crate::engine::clock;
use crate::transport::Transport;
use crate::transport::tls::EndpointSide;
use connection::Connection;

/// A cluster as all workers share it. Outlives reloads, so what was learned survives them.
#[derive(Debug)]
pub(crate) struct SharedCluster {
    /// Its name.
    pub(crate) name: Arc<str>,
    state: Mutex<State>,
}

/// What the lock guards.
#[derive(Debug)]
pub(crate) struct State {
    /// The decisions.
    pub(crate) cluster: Cluster,
    /// Sockets of connections that `cluster` holds to be idle.
    pub(crate) parked: Parked,
    /// Who waits for a ticket.
    pub(crate) waiters: HashMap<Ticket, Waker>,
}

/// Idle connections, by their place in the cluster's accounts.
#[derive(Debug, Default)]
pub(crate) struct Parked(Vec<Option<Box<Connection>>>);

impl Parked {
    /// Keeps an idle connection.
    pub(crate) fn put(&mut self, connection: Box<Connection>) {
        let place = connection.id.place();
        if place >= self.0.len() {
            self.0.resize_with(place + 1, || None);
        }
        self.0[place] = Some(connection);
    }

    /// One of them, if it is here.
    fn get(&self, id: ConnectionId) -> Option<&Connection> {
        self.0
            .get(id.place())?
            .as_deref()
            .filter(|parked| parked.id == id)
    }

    /// Takes one out.
    pub(crate) fn take(&mut self, id: ConnectionId) -> Option<Box<Connection>> {
        self.0.get_mut(id.place())?.take_if(|parked| parked.id == id)
    }
}

impl SharedCluster {
    /// A cluster without endpoints.
    pub(crate) fn new(name: Arc<str>) -> Arc<Self> {
        let cluster = Cluster::new(name.clone());
        let state = State {
            cluster,
            parked: Parked::default(),
            waiters: HashMap::new(),
        };
        Arc::new(Self {
            name,
            state: Mutex::new(state),
        })
    }

    /// Visits the state. A closure cannot await, so the lock crosses none.
    pub(crate) fn with<T>(&self, visit: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let freeze = clock::last_freeze();
        if freeze.ended > state.cluster.frozen_until() {
            state.cluster.on_freeze(freeze);
        }
        let result = visit(&mut state);
        if state.cluster.has_news() {
            state.wake_granted();
            let evicted = state.unpark_evicted();
            let events = state.cluster.take_events();
            drop(state);
            events::log(&self.name, &events);
            // Closing is a system call each, which nobody has to wait for.
            drop(evicted);
        }
        result
    }

    /// Locks. A panic under the lock leaves a half-made decision, which must not steer traffic.
    fn lock(&self) -> MutexGuard<'_, State> {
        let die = |poisoned: PoisonError<_>| -> MutexGuard<'_, State> {
            drop(poisoned);
            tracing::error!(cluster = %self.name, "a decision panicked; the cluster's state cannot be trusted");
            std::process::abort()
        };
        self.state.lock().unwrap_or_else(die)
    }
}

impl State {
    fn wake_granted(&mut self) {
        while let Some(ticket) = self.cluster.granted() {
            if let Some(waker) = self.waiters.remove(&ticket) {
                waker.wake();
            }
        }
    }

    #[allow(clippy::vec_box, reason = "they leave the lock as pointers")]
    /// Takes out the sockets of connections that had to make room for others.
    fn unpark_evicted(&mut self) -> Vec<Box<Connection>> {
        let mut evicted = Vec::new();
        while let Some(connection) = self.cluster.evicted() {
            evicted.extend(self.parked.take(connection));
        }
        evicted
    }

    #[allow(clippy::vec_box, reason = "they leave the lock as pointers")]
    /// Takes the sockets of `gone` out, to be closed by dropping them once the lock is free.
    pub(crate) fn unpark(&mut self, gone: &[ConnectionId]) -> Vec<Box<Connection>> {
        gone.iter().filter_map(|&id| self.parked.take(id)).collect()
    }
}

/// A cluster in one configuration snapshot.
#[derive(Debug)]
pub(crate) struct ClusterHandle {
    /// The cluster.
    pub(crate) shared: Arc<SharedCluster>,
    /// The snapshot's endpoints of it.
    pub(crate) members: Members,
    /// The snapshot's plan for it.
    pub(crate) plan: Arc<ClusterPlan>,
    /// How its endpoints are spoken to, if by TLS.
    pub(crate) tls: Option<Arc<EndpointSide>>,
    pub(crate) clock: crate::engine::clock::Clock,
    /// It has no endpoint because no name of it can be resolved, for this reason.
    pub(crate) unresolved: Option<Arc<str>>,
}

impl Drop for ClusterHandle {
    fn drop(&mut self) {
        let now = self.clock.now();
        let closed = self.shared.with(|state| {
            let gone = state.cluster.retire(&self.members, now);
            state.unpark(&gone)
        });
        drop(closed);
    }
}

/// Wakes the worker's watcher when an idle connection has something to say. Made once for each
/// connection, so that watching costs a request neither an allocation nor a system call.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) cluster: Weak<SharedCluster>,
    pub(crate) connection: ConnectionId,
    pub(crate) queue: Arc<WatchQueue>,
}

/// Idle connections of one worker that have something to say.
#[derive(Debug, Default)]
pub(crate) struct WatchQueue {
    ready: Mutex<Vec<(Weak<SharedCluster>, ConnectionId)>>,
    news: tokio::sync::Notify,
}

impl Wake for Watch {
    fn wake(self: Arc<Self>) {
        let mut ready = self.queue.ready.lock().unwrap_or_else(PoisonError::into_inner);
        ready.push((self.cluster.clone(), self.connection));
        drop(ready);
        self.queue.news.notify_one();
    }
}

impl WatchQueue {
    /// Closes idle connections that ended, for as long as the worker lives.
    pub(crate) async fn run(self: Arc<Self>, clock: crate::engine::clock::Clock) {
        let mut batch = Vec::new();
        loop {
            self.news.notified().await;
            std::mem::swap(
                &mut batch,
                &mut *self.ready.lock().unwrap_or_else(PoisonError::into_inner),
            );
            for (cluster, connection) in batch.drain(..) {
                if let Some(cluster) = cluster.upgrade() {
                    look_at_idle(&cluster, connection, clock.now());
                }
            }
        }
    }
}

/// An idle connection's reactor says that something came: what?
fn look_at_idle(cluster: &SharedCluster, connection: ConnectionId, now: Moment) {
    let closed = cluster.with(|state| {
        let parked = state.parked.get(connection)?;
        match idle_end(&parked.transport) {
            Some(end) => {
                state.cluster.idle_ended(connection, end, now);
                state.parked.take(connection)
            }
            None => {
                // A false alarm, or it was used and parked again since: keep watching.
                if let Some(watcher) = &parked.watch {
                    watch(&parked.transport, watcher);
                }
                None
            }
        }
    });
    drop(closed);
}

/// Asks the reactor to wake `watch` when something comes on an idle connection.
pub(crate) fn watch(transport: &Transport, watch: &Arc<Watch>) {
    if let Some(waker) = transport.watch(Waker::from(watch.clone())) {
        // Readiness left over from the last response, or news already: the watcher looks.
        waker.wake();
    }
}

/// Whether an idle connection has ended, and how; `None` while it is quiet.
pub(crate) fn idle_end(transport: &Transport) -> Option<IdleEnd> {
    let mut first = [0; 16];
    match transport.peek(&mut first) {
        sys::Peek::Quiet => None,
        sys::Peek::Fin => Some(IdleEnd::Fin),
        sys::Peek::Reset | sys::Peek::Failed(_) => Some(IdleEnd::Reset),
        // An unsolicited 408 is how some servers say that their keep-alive timer fired.
        sys::Peek::Bytes(_) if first.starts_with(b"HTTP/1.1 408") || first.starts_with(b"HTTP/1.0 408") => {
            Some(IdleEnd::Fin)
        }
        sys::Peek::Bytes(_) => Some(IdleEnd::Unsolicited),
    }
}
