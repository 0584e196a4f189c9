//! A worker runs: it starts, hears what the control says, and drains.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use policy::cluster::WorkerId;
use policy::time::{Dice, Moment};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::downstream::clients::Clients;
use crate::downstream::count::ConnectionCounts;
use crate::downstream::idle::IdleConnections;
use crate::downstream::listener::Listening;
use crate::engine::clock::{Calendar, Clock};
use crate::engine::{self, Alarm};
use crate::snapshot::Snapshot;
use crate::telemetry::record::{LogHandle, WorkerLog};
use crate::telemetry::stats::WorkerStats;
use crate::worker::context::{Worker, WorkerSnapshot};

/// Lines of the access log are handed to the writer so long after the first of them.
const LOG_FLUSH: Duration = Duration::from_millis(50);

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

/// Runs a worker on this thread until it is told to drain, and has, or until the control is gone.
pub(crate) fn run(setup: Setup) -> std::io::Result<()> {
    engine::run(setup.clock, serve(setup))?
}

/// Runs a worker on this thread's engine; what it spawned ends with the engine.
pub(crate) async fn serve(mut setup: Setup) -> std::io::Result<()> {
    let sockets = std::mem::take(&mut setup.sockets);
    let (_, mut messages) = tokio::sync::mpsc::unbounded_channel();
    std::mem::swap(&mut messages, &mut setup.messages);
    let clients = open(setup);
    let worker = &clients.worker;
    let mut listening = BTreeMap::new();
    listen(&clients, sockets, &mut listening)?;
    while let Some(message) = messages.recv().await {
        match message {
            ControlMessage::Swap(next, sockets) => {
                for (address, gone) in
                    listening.extract_if(.., |address, _| next.listener(*address).is_none())
                {
                    tracing::debug!(worker = worker.id.0, "no longer listening on {address}");
                    engine::spawn(gone.stop());
                }
                let old = worker.current.replace(Rc::new(next));
                clients.idle.look_around(&clients, &old);
                listen(&clients, sockets, &mut listening)?;
            }
            ControlMessage::Log(handle) => {
                worker
                    .log
                    .replace(log(handle, &worker.stats, &worker.flush, worker.clock));
            }
            ControlMessage::Drain(limit) => {
                drain(&clients, listening, limit).await;
                break;
            }
            #[cfg(test)]
            ControlMessage::Panic => panic!("on purpose"),
        }
    }
    clients.idle.clear();
    worker.log().flush();
    Ok(())
}

/// A worker's context and its clients, with the tasks that keep both.
fn open(setup: Setup) -> Rc<Clients> {
    let Setup { id, clock, stats, .. } = setup;
    let flush = Rc::new(engine::alarm());
    let worker = Rc::new(Worker {
        id,
        clock,
        dice: RefCell::new(Dice::seeded(crate::engine::clock::entropy())),
        watch_queue: Arc::default(),
        log: RefCell::new(log(setup.log, &stats, &flush, clock)),
        flush,
        calendar: Calendar::default(),
        current: RefCell::new(Rc::new(WorkerSnapshot::of(setup.snapshot, &stats))),
        stats,
        draining: Cell::new(false),
    });
    let clients = Clients::new(
        worker.clone(),
        setup.connections,
        setup.connections_max,
        setup.begun_heads_max,
    );
    engine::spawn_vital(IdleConnections::keep(clients.clone()));
    engine::spawn_vital(worker.watch_queue.clone().run(clock));
    engine::spawn_vital(flush_log(worker));
    clients
}

fn listen(
    clients: &Rc<Clients>,
    sockets: Vec<(SocketAddr, std::net::TcpListener)>,
    listening: &mut BTreeMap<SocketAddr, Listening>,
) -> std::io::Result<()> {
    for (address, socket) in sockets {
        listening.insert(address, Listening::start(clients, address, socket)?);
    }
    Ok(())
}

/// Ends all connections well: each says `Connection: close` with its next answer.
async fn drain(clients: &Rc<Clients>, listening: BTreeMap<SocketAddr, Listening>, limit: Duration) {
    let worker = &clients.worker;
    worker.draining.set(true);
    tracing::debug!(
        worker = worker.id.0,
        "draining {} client connections within {} ms",
        clients.connections.get(),
        limit.as_millis()
    );
    clients.idle.look_around(clients, &worker.snapshot());
    let stopping = listening.into_values().map(|l| Box::pin(l.stop()) as _);
    crate::engine::wait::all(stopping.collect()).await;
    let end = worker.clock.now() + limit;
    while clients.connections.get() > 0 && worker.clock.now() < end {
        engine::sleep(Duration::from_millis(10)).await;
    }
    worker.log().end();
    tracing::debug!(
        worker = worker.id.0,
        "drained; {} client connections are cut",
        clients.connections.get()
    );
}

/// An access log that is flushed in time.
fn log(handle: LogHandle, stats: &Arc<WorkerStats>, flush: &Rc<Alarm>, clock: Clock) -> Rc<WorkerLog> {
    let begun = flusher(flush, clock);
    WorkerLog::new(handle, stats.clone(), move || clock.now(), begun)
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
