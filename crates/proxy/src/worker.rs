//! One worker: a thread with its own runtime, listeners, buffers, alarms and log.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use policy::cluster::WorkerId;
use policy::route::ClusterRef;
use policy::time::Dice;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::buffer::Buffers;
use crate::clock::{Clock, DateCache};
use crate::exchange::Workspace;
use crate::listener::Listening;
use crate::record::{LogHandle, WorkerLog};
use crate::snapshot::Snapshot;
use crate::stats::{ClusterTimes, WorkerStats};
use crate::timers::Timers;
use crate::upstream::shared::WatchQueue;

/// How often lines of the access log are handed to the writer.
const LOG_FLUSH: Duration = Duration::from_millis(50);

/// Spare workspaces kept: as many exchanges as a worker usually has at once.
const SPARE_WORKSPACES: usize = 256;

/// The configuration in force on one worker: counted by an `Rc` of its own, so that requests touch
/// no count that other workers touch.
#[derive(Debug)]
pub(crate) struct Current {
    snapshot: Arc<Snapshot>,
    /// Each cluster's times as this worker measures them.
    times: Vec<Arc<ClusterTimes>>,
}

impl Current {
    fn of(snapshot: Arc<Snapshot>, stats: &WorkerStats) -> Rc<Self> {
        let times = snapshot
            .clusters()
            .iter()
            .map(|cluster| stats.cluster(&cluster.shared.name))
            .collect();
        Rc::new(Self { snapshot, times })
    }

    /// A cluster's times.
    pub(crate) fn times(&self, cluster: ClusterRef) -> &ClusterTimes {
        &self.times[cluster.0 as usize]
    }
}

impl std::ops::Deref for Current {
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
    pub(crate) timers: Rc<Timers>,
    pub(crate) buffers: Buffers,
    pub(crate) dice: RefCell<Dice>,
    pub(crate) watch_queue: Arc<WatchQueue>,
    log: RefCell<Rc<WorkerLog>>,
    pub(crate) stats: Arc<WorkerStats>,
    pub(crate) date: DateCache,
    workspaces: RefCell<Vec<Workspace>>,
    current: RefCell<Rc<Current>>,
    /// Set once a drain began: answers say `Connection: close`.
    pub(crate) draining: Cell<bool>,
    /// Client connections of this worker.
    pub(crate) connections: Cell<usize>,
    /// Client connections of all workers.
    pub(crate) connections_everywhere: Arc<AtomicUsize>,
    /// As many of them as the descriptor limit allows.
    pub(crate) connections_max: usize,
}

/// What the control tells a worker.
#[derive(Debug)]
pub(crate) enum Order {
    /// A new configuration, with the sockets of addresses that are new in it.
    Swap(Arc<Snapshot>, Vec<(SocketAddr, std::net::TcpListener)>),
    /// Another access log.
    Log(LogHandle),
    /// Stop accepting, end connections well, then stop; at the latest after this long.
    Drain(Duration),
}

/// What a worker is started with.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) id: WorkerId,
    pub(crate) clock: Clock,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) sockets: Vec<(SocketAddr, std::net::TcpListener)>,
    pub(crate) orders: UnboundedReceiver<Order>,
    pub(crate) log: LogHandle,
    pub(crate) stats: Arc<WorkerStats>,
    pub(crate) connections: Arc<AtomicUsize>,
    pub(crate) connections_max: usize,
}

impl Worker {
    /// The configuration that a request which starts now runs under.
    pub(crate) fn snapshot(&self) -> Rc<Current> {
        self.current.borrow().clone()
    }

    /// The access log.
    pub(crate) fn log(&self) -> Rc<WorkerLog> {
        self.log.borrow().clone()
    }

    /// Memory for one exchange.
    pub(crate) fn workspace(&self) -> Workspace {
        self.workspaces.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes the memory of an exchange back.
    pub(crate) fn give_workspace(&self, workspace: Workspace) {
        let mut spare = self.workspaces.borrow_mut();
        if spare.len() < SPARE_WORKSPACES {
            spare.push(workspace);
        }
    }

    /// Runs a worker on this thread until it is told to drain, and has, or until the control is gone.
    pub(crate) fn run(setup: Setup) -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            // The reactor is asked once for a batch of tasks: every turn costs a system call.
            .event_interval(1000)
            .max_io_events_per_tick(1024)
            .build_local(<_>::default())?;
        runtime.block_on(Self::serve(setup))
    }

    async fn serve(setup: Setup) -> std::io::Result<()> {
        let Setup {
            id,
            clock,
            snapshot,
            sockets,
            mut orders,
            log,
            stats,
            connections,
            connections_max,
        } = setup;
        let worker = Rc::new(Self {
            id,
            clock,
            timers: Timers::new(clock),
            buffers: Buffers::default(),
            dice: RefCell::new(Dice::seeded(crate::clock::entropy())),
            watch_queue: Arc::default(),
            log: RefCell::new(WorkerLog::new(log, stats.clone(), move || clock.now())),
            date: DateCache::default(),
            workspaces: RefCell::default(),
            current: RefCell::new(Current::of(snapshot, &stats)),
            stats,
            draining: Cell::new(false),
            connections: Cell::new(0),
            connections_everywhere: connections,
            connections_max,
        });
        tokio::task::spawn_local(worker.timers.clone().drive());
        tokio::task::spawn_local(worker.watch_queue.clone().run(clock));
        tokio::task::spawn_local(flush_log(worker.clone()));
        let mut listening = BTreeMap::new();
        worker.listen(sockets, &mut listening)?;
        while let Some(order) = orders.recv().await {
            match order {
                Order::Swap(snapshot, sockets) => {
                    for (_, gone) in
                        listening.extract_if(.., |address, _| snapshot.listener(*address).is_none())
                    {
                        tokio::task::spawn_local(gone.stop());
                    }
                    worker
                        .stats
                        .retain_clusters(|name| snapshot.clusters().iter().any(|c| &*c.shared.name == name));
                    worker.current.replace(Current::of(snapshot, &worker.stats));
                    worker.timers.nudge();
                    worker.listen(sockets, &mut listening)?;
                }
                Order::Log(handle) => {
                    let log = WorkerLog::new(handle, worker.stats.clone(), move || clock.now());
                    worker.log.replace(log);
                }
                Order::Drain(limit) => {
                    worker.drain(listening, limit).await;
                    break;
                }
            }
        }
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
    async fn drain(&self, listening: BTreeMap<SocketAddr, Listening>, limit: Duration) {
        self.draining.set(true);
        self.timers.nudge();
        let stopping: Vec<_> = listening
            .into_values()
            .map(|l| tokio::task::spawn_local(l.stop()))
            .collect();
        for stopped in stopping {
            // A listener that could not stop well is closed all the same.
            let _ = stopped.await;
        }
        let end = tokio::time::Instant::now() + limit;
        while self.connections.get() > 0 && tokio::time::Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn flush_log(worker: Rc<Worker>) {
    let mut interval = tokio::time::interval(LOG_FLUSH);
    loop {
        interval.tick().await;
        worker.log().flush();
    }
}
