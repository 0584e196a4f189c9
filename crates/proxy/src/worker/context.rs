//! The context of one worker: what everyone who runs on its thread may hold.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use policy::cluster::WorkerId;
use policy::route::ClusterRef;
use policy::time::Dice;

use crate::cluster::WatchQueue;
use crate::engine::Alarm;
use crate::engine::clock::{Calendar, Clock};
use crate::snapshot::Snapshot;
use crate::telemetry::record::WorkerLog;
use crate::telemetry::stats::{ClusterTimes, WorkerStats};

/// The configuration in force on one worker: counted by an `Rc` of its own, so that requests touch
/// no count that other workers touch.
#[derive(Debug)]
pub(crate) struct WorkerSnapshot {
    snapshot: Arc<Snapshot>,
    /// Each cluster's times as this worker measures them.
    times: Vec<Arc<ClusterTimes>>,
}

impl WorkerSnapshot {
    /// A snapshot with a worker's times of its clusters. To find them takes milliseconds where there
    /// are thousands, so a worker that serves is handed a whole one.
    pub(crate) fn of(snapshot: Arc<Snapshot>, stats: &WorkerStats) -> Self {
        let times = stats.adopt(snapshot.clusters().iter().map(|cluster| &cluster.shared.name));
        Self { snapshot, times }
    }

    /// A cluster's times.
    pub(crate) fn times(&self, cluster: ClusterRef) -> &ClusterTimes {
        &self.times[cluster.0 as usize]
    }
}

impl std::ops::Deref for WorkerSnapshot {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.snapshot
    }
}

/// What all tasks of a worker share.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) id: WorkerId,
    pub(crate) clock: Clock,
    pub(crate) dice: RefCell<Dice>,
    pub(crate) watch_queue: Arc<WatchQueue>,
    pub(super) log: RefCell<Rc<WorkerLog>>,
    /// Goes off when lines of the log have waited for long enough.
    pub(super) flush: Rc<Alarm>,
    pub(crate) stats: Arc<WorkerStats>,
    pub(crate) calendar: Calendar,
    pub(super) current: RefCell<Rc<WorkerSnapshot>>,
    /// Set once a drain began: answers say `Connection: close`.
    pub(crate) draining: Cell<bool>,
}

impl Worker {
    /// The configuration that a request which starts now runs under.
    pub(crate) fn snapshot(&self) -> Rc<WorkerSnapshot> {
        self.current.borrow().clone()
    }

    /// Whether this is the configuration in force.
    pub(crate) fn is_in_force(&self, current: &Rc<WorkerSnapshot>) -> bool {
        Rc::ptr_eq(&self.current.borrow(), current)
    }

    /// The access log.
    pub(crate) fn log(&self) -> Rc<WorkerLog> {
        self.log.borrow().clone()
    }

    /// Whether connections that came to `address` are to end soon: we are draining, or nobody
    /// listens there any more.
    pub(crate) fn is_leaving(&self, address: SocketAddr) -> bool {
        self.draining.get() || self.current.borrow().listener(address).is_none()
    }
}
