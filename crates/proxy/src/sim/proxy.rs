//! The proxy in a world: its workers, and of the control what they need.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use config::model::{AccessLog, ClusterSpec, EndpointSpec, LogFormat, LogSink, Model};
use policy::cluster::{Address, WorkerId};
use tokio::sync::{mpsc, oneshot};

use super::Stream;
use crate::cluster::ClusterHandle;
use crate::downstream::count::ConnectionCounts;
use crate::engine;
use crate::engine::clock::Clock;
use crate::snapshot::Endpoints;
use crate::snapshot::{Clusters, Snapshot};
use crate::telemetry::record::LogWriter;
use crate::telemetry::stats::{self, ClusterView, DownstreamTotals, WorkerStats};
use crate::worker::context::WorkerSnapshot;
use crate::worker::run::{self, ControlMessage, Setup};

/// As the control does it.
const UPKEEP: Duration = Duration::from_millis(50);

/// Client connections that the workers take.
const CONNECTIONS_MAX: usize = 10_000;

/// A proxy that runs in a world. It ends by [`Proxy::drain`], or with the world.
#[derive(Debug)]
pub struct Proxy {
    clock: Clock,
    stats: Vec<Arc<WorkerStats>>,
    workers: Vec<Hand>,
    /// Connections of clients so far: the workers have them in turn.
    connected: Cell<usize>,
    state: RefCell<State>,
}

/// One worker, as the control sees it.
#[derive(Debug)]
struct Hand {
    listener: SocketAddr,
    messages: mpsc::UnboundedSender<ControlMessage>,
    ended: RefCell<Option<oneshot::Receiver<io::Result<()>>>>,
}

#[derive(Debug)]
struct State {
    snapshot: Arc<Snapshot>,
    clusters: Clusters,
}

impl Proxy {
    /// Starts so many workers under `model`, all on this thread's engine. The one listener of each is a socket of
    /// this world, whatever its address in the model; endpoints have IP addresses, and no access log is
    /// written.
    ///
    /// # Errors
    /// The kernel gives no socket.
    ///
    /// # Panics
    /// The model has no listener, or an endpoint without an IP address.
    pub fn start(model: Model, workers: u16) -> io::Result<Rc<Self>> {
        let log = LogWriter::start(&AccessLog {
            format: LogFormat::Text,
            sink: LogSink::Off,
        })?;
        let (clock, connections) = (Clock::start(), Arc::<ConnectionCounts>::default());
        let address = model.listeners[0].address;
        let mut clusters = Clusters::new();
        let snapshot = snapshot(model, &mut clusters, clock);
        let stats: Vec<_> = (0..workers).map(|_| Arc::<WorkerStats>::default()).collect();
        let hand = |(index, stats): (usize, &Arc<WorkerStats>)| -> io::Result<Hand> {
            let (name, listener) = listen()?;
            let (messages, inbox) = mpsc::unbounded_channel();
            let (end, ended) = oneshot::channel();
            let setup = Setup {
                id: WorkerId(index as u16),
                clock,
                snapshot: snapshot.clone(),
                sockets: vec![(address, listener)],
                messages: inbox,
                log: log.handle(),
                stats: stats.clone(),
                connections: connections.clone(),
                connections_max: CONNECTIONS_MAX,
                begun_heads_max: crate::control::server::UNFINISHED_HEADS_MAX,
            };
            engine::spawn(async move {
                // Nobody listens if the world ends first.
                let _ = end.send(run::serve(setup).await);
            });
            Ok(Hand {
                listener: name,
                messages,
                ended: RefCell::new(Some(ended)),
            })
        };
        let workers = stats.iter().enumerate().map(hand).collect::<io::Result<_>>()?;
        let proxy = Rc::new(Self {
            clock,
            stats,
            workers,
            connected: Cell::new(0),
            state: RefCell::new(State { snapshot, clusters }),
        });
        engine::spawn(upkeep(Rc::downgrade(&proxy)));
        Ok(proxy)
    }

    /// Swaps the configuration; the listeners stay.
    ///
    /// # Panics
    /// As [`Proxy::start`].
    pub fn reload(&self, model: Model) {
        let mut state = self.state.borrow_mut();
        let snapshot = snapshot(model, &mut state.clusters, self.clock);
        let kept: Vec<_> = snapshot
            .clusters()
            .iter()
            .map(|c| c.shared.name.clone())
            .collect();
        state.clusters.retain(|name, _| kept.contains(name));
        for (hand, stats) in self.workers.iter().zip(&self.stats) {
            let next = WorkerSnapshot::of(snapshot.clone(), stats);
            // A worker that is gone needs no configuration.
            let _ = hand.messages.send(ControlMessage::Swap(next, Vec::new()));
        }
        let old = std::mem::replace(&mut state.snapshot, snapshot);
        drop(state);
        drop(old);
    }

    /// Tells the workers to drain, at the latest within `limit`, and waits until they have ended.
    ///
    /// # Errors
    /// How one failed.
    pub async fn drain(&self, limit: Duration) -> io::Result<()> {
        for hand in &self.workers {
            let _ = hand.messages.send(ControlMessage::Drain(limit));
        }
        for hand in &self.workers {
            if let Some(ended) = hand.ended.take() {
                ended
                    .await
                    .unwrap_or_else(|_| Err(io::Error::other("a worker's task is gone")))?;
            }
        }
        Ok(())
    }

    /// A client's connection, to the worker whose turn it is.
    ///
    /// # Errors
    /// Nobody listens any more, or the kernel gives no socket.
    pub fn connect(&self) -> io::Result<Stream> {
        let turn = self.connected.get();
        self.connected.set(turn + 1);
        let socket = UnixStream::connect_addr(&self.workers[turn % self.workers.len()].listener)?;
        socket.set_nonblocking(true)?;
        Stream::of(socket.into())
    }

    /// Every cluster of the configuration in force.
    #[must_use]
    pub fn clusters(&self) -> Vec<ClusterView> {
        let (snapshot, now) = (self.state.borrow().snapshot.clone(), self.clock.now());
        let view = |cluster: &ClusterHandle| cluster.view(now);
        snapshot.clusters().iter().map(view).collect()
    }

    /// Requests whose waker is kept because they wait for a connection, over all clusters.
    #[must_use]
    pub fn waiters(&self) -> usize {
        let snapshot = self.state.borrow().snapshot.clone();
        let waiters =
            |handle: &crate::cluster::ClusterHandle| handle.shared.with(|state| state.waiters.len());
        snapshot.clusters().iter().map(waiters).sum()
    }

    /// What the workers counted of their clients.
    #[must_use]
    pub fn downstream(&self) -> DownstreamTotals {
        stats::downstream(&self.stats)
    }

    /// Closes what has been idle too long.
    fn reap(&self) {
        let snapshot = self.state.borrow().snapshot.clone();
        for handle in snapshot.clusters() {
            let now = self.clock.now();
            let closed = handle.shared.with(|state| {
                let gone = state.cluster.reap(&handle.plan, now);
                state.unpark(&gone)
            });
            drop(closed);
        }
    }
}

fn snapshot(model: Model, clusters: &mut Clusters, clock: Clock) -> Arc<Snapshot> {
    let address = |endpoint: &EndpointSpec| match endpoint {
        EndpointSpec::Ip(address) => (Address::Ip(*address), 1),
        other => panic!("{other:?} is not in this world"),
    };
    let of = |spec: &ClusterSpec| Endpoints {
        addresses: spec.endpoints.iter().map(address).collect(),
        unresolved: None,
    };
    let endpoints: Vec<Endpoints> = model.clusters.iter().map(of).collect();
    Arc::new(Snapshot::build(
        Arc::new(model),
        (&Default::default(), &Default::default()),
        &endpoints,
        clusters,
        clock,
    ))
}

/// A worker's listener. It only accepts on it, and to do so asks nothing that a Unix socket cannot answer.
fn listen() -> io::Result<(SocketAddr, TcpListener)> {
    static LISTENERS: AtomicU64 = AtomicU64::new(0);
    let number = LISTENERS.fetch_add(1, Ordering::Relaxed);
    let name = format!("evenkeel-sim-{}-{number}", std::process::id());
    let address = SocketAddr::from_abstract_name(name)?;
    let listener = UnixListener::bind_addr(&address)?;
    listener.set_nonblocking(true)?;
    Ok((address, TcpListener::from(OwnedFd::from(listener))))
}

async fn upkeep(proxy: Weak<Proxy>) {
    loop {
        engine::sleep(UPKEEP).await;
        let Some(proxy) = proxy.upgrade() else { return };
        proxy.reap();
    }
}
