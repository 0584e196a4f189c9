//! One worker: a thread with its own runtime, listeners, buffers, alarms and log.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use policy::cluster::WorkerId;
use policy::route::ClusterRef;
use policy::time::{Dice, Moment};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::downstream::count::ConnectionCounts;
use crate::downstream::idle::IdleConnections;
use crate::downstream::listener::Listening;
use crate::downstream::overflow::Refusals;
use crate::engine::clock::{Calendar, Clock};
use crate::engine::{self, Alarm};
use crate::snapshot::Snapshot;
use crate::telemetry::record::{LogHandle, WorkerLog};
use crate::telemetry::stats::{ClusterTimes, WorkerStats};
use crate::upstream::shared::WatchQueue;

/// Lines of the access log are handed to the writer so long after the first of them.
const LOG_FLUSH: Duration = Duration::from_millis(50);

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
    pub(crate) idle: IdleConnections,
    pub(crate) dice: RefCell<Dice>,
    pub(crate) watch_queue: Arc<WatchQueue>,
    log: RefCell<Rc<WorkerLog>>,
    /// Goes off when lines of the log have waited for long enough.
    flush: Rc<Alarm>,
    pub(crate) stats: Arc<WorkerStats>,
    pub(crate) calendar: Calendar,
    current: RefCell<Rc<WorkerSnapshot>>,
    /// Set once a drain began: answers say `Connection: close`.
    pub(crate) draining: Cell<bool>,
    /// Client connections of this worker.
    pub(crate) connections: Cell<usize>,
    /// Client connections of all workers.
    pub(crate) connections_everywhere: Arc<ConnectionCounts>,
    /// As many of them as the descriptor limit allows.
    pub(crate) connections_max: usize,
    /// Clients that were refused for that.
    pub(crate) refusals: RefCell<Refusals>,
}

/// What the control tells a worker.
#[derive(Debug)]
pub(crate) enum ControlMessage {
    /// A new configuration, with the sockets of addresses that are new in it.
    Swap(WorkerSnapshot, Vec<(SocketAddr, std::net::TcpListener)>),
    /// Another access log.
    Log(LogHandle),
    /// Stop accepting, end connections well, then stop; at the latest after this long.
    Drain(Duration),
    /// End as by a bug.
    #[cfg(test)]
    Panic,
}

/// What a worker is started with.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) id: WorkerId,
    pub(crate) clock: Clock,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) sockets: Vec<(SocketAddr, std::net::TcpListener)>,
    pub(crate) messages: UnboundedReceiver<ControlMessage>,
    pub(crate) log: LogHandle,
    pub(crate) stats: Arc<WorkerStats>,
    pub(crate) connections: Arc<ConnectionCounts>,
    pub(crate) connections_max: usize,
    /// Bytes that its unfinished heads may take.
    pub(crate) begun_heads_max: usize,
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

    /// Runs a worker on this thread until it is told to drain, and has, or until the control is gone.
    pub(crate) fn run(setup: Setup) -> std::io::Result<()> {
        engine::run(setup.clock, Self::serve(setup))?
    }

    /// Runs a worker on this thread's engine; what it spawned ends with the engine.
    pub(crate) async fn serve(setup: Setup) -> std::io::Result<()> {
        let Setup {
            id,
            clock,
            snapshot,
            sockets,
            mut messages,
            log,
            stats,
            connections,
            connections_max,
            begun_heads_max,
        } = setup;
        let flush = Rc::new(engine::alarm());
        let begun = flusher(&flush, clock);
        let worker = Rc::new(Self {
            id,
            clock,
            idle: IdleConnections::new(begun_heads_max),
            dice: RefCell::new(Dice::seeded(crate::engine::clock::entropy())),
            watch_queue: Arc::default(),
            log: RefCell::new(WorkerLog::new(log, stats.clone(), move || clock.now(), begun)),
            flush,
            calendar: Calendar::default(),
            current: RefCell::new(Rc::new(WorkerSnapshot::of(snapshot, &stats))),
            stats,
            draining: Cell::new(false),
            connections: Cell::new(0),
            connections_everywhere: connections,
            connections_max,
            refusals: RefCell::default(),
        });
        worker.idle.open(&worker);
        engine::spawn_vital(IdleConnections::keep(worker.clone()));
        engine::spawn_vital(worker.watch_queue.clone().run(clock));
        engine::spawn_vital(flush_log(worker.clone()));
        let mut listening = BTreeMap::new();
        worker.listen(sockets, &mut listening)?;
        while let Some(order) = messages.recv().await {
            match order {
                ControlMessage::Swap(next, sockets) => {
                    for (address, gone) in
                        listening.extract_if(.., |address, _| next.listener(*address).is_none())
                    {
                        tracing::debug!(worker = id.0, "no longer listening on {address}");
                        engine::spawn(gone.stop());
                    }
                    let old = worker.current.replace(Rc::new(next));
                    worker.idle.look_around(&worker, &old);
                    worker.listen(sockets, &mut listening)?;
                }
                ControlMessage::Log(handle) => {
                    let begun = flusher(&worker.flush, clock);
                    let log = WorkerLog::new(handle, worker.stats.clone(), move || clock.now(), begun);
                    worker.log.replace(log);
                }
                ControlMessage::Drain(limit) => {
                    worker.drain(listening, limit).await;
                    break;
                }
                #[cfg(test)]
                ControlMessage::Panic => panic!("on purpose"),
            }
        }
        worker.idle.clear();
        worker.log().flush();
        Ok(())
    }

    fn listen(
        self: &Rc<Self>,
        sockets: Vec<(SocketAddr, std::net::TcpListener)>,
        listening: &mut BTreeMap<SocketAddr, Listening>,
    ) -> std::io::Result<()> {
        for (address, socket) in sockets {
            listening.insert(address, Listening::start(self, address, socket)?);
        }
        Ok(())
    }

    /// Ends all connections well: each says `Connection: close` with its next answer.
    async fn drain(self: &Rc<Self>, listening: BTreeMap<SocketAddr, Listening>, limit: Duration) {
        self.draining.set(true);
        tracing::debug!(
            worker = self.id.0,
            "draining {} client connections within {} ms",
            self.connections.get(),
            limit.as_millis()
        );
        self.idle.look_around(self, &self.snapshot());
        let stopping = listening.into_values().map(|l| Box::pin(l.stop()) as _);
        crate::engine::wait::all(stopping.collect()).await;
        let end = self.clock.now() + limit;
        while self.connections.get() > 0 && self.clock.now() < end {
            engine::sleep(Duration::from_millis(10)).await;
        }
        self.log().end();
        tracing::debug!(
            worker = self.id.0,
            "drained; {} client connections are cut",
            self.connections.get()
        );
    }
}

/// Hands lines of the access log over, some time after the first of them was written.
async fn flush_log(worker: Rc<Worker>) {
    loop {
        poll_fn(|cx| worker.flush.poll_due(cx)).await;
        worker.flush.set(Moment::NEVER);
        worker.log().flush();
    }
}

/// Told when a line is written and none is waiting: has it flushed in time.
fn flusher(flush: &Rc<Alarm>, clock: Clock) -> impl Fn() + 'static {
    let flush = flush.clone();
    move || flush.set(clock.now() + LOG_FLUSH)
}
