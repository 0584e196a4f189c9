//! The proxy in a world: one worker, and of the control what a worker needs.

use std::cell::RefCell;
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
use crate::clock::Clock;
use crate::discovery::Endpoints;
use crate::engine;
use crate::record::LogWriter;
use crate::snapshot::{Clusters, Snapshot};
use crate::stats::{self, ClusterView, DownstreamTotals, WorkerStats};
use crate::worker::{Current, Order, Setup, Worker};

/// As the control does it.
const UPKEEP: Duration = Duration::from_millis(50);

/// Client connections that the worker takes.
const CONNECTIONS_MAX: usize = 10_000;

/// A proxy that runs in a world. It ends by [`Proxy::drain`], or with the world.
#[derive(Debug)]
pub struct Proxy {
    clock: Clock,
    stats: Arc<WorkerStats>,
    listener: SocketAddr,
    orders: mpsc::UnboundedSender<Order>,
    state: RefCell<State>,
    ended: RefCell<Option<oneshot::Receiver<io::Result<()>>>>,
}

#[derive(Debug)]
struct State {
    snapshot: Arc<Snapshot>,
    clusters: Clusters,
}

impl Proxy {
    /// Starts a worker under `model` on this thread's engine. Its one listener is a socket of this
    /// world, whatever its address in the model; endpoints have IP addresses, and no access log is
    /// written.
    ///
    /// # Errors
    /// The kernel gives no socket.
    ///
    /// # Panics
    /// The model has no listener, or an endpoint without an IP address.
    pub fn start(model: Model) -> io::Result<Rc<Self>> {
        static WORLDS: AtomicU64 = AtomicU64::new(0);
        let world = WORLDS.fetch_add(1, Ordering::Relaxed);
        let name = format!("evenkeel-sim-{}-{world}", std::process::id());
        let address = SocketAddr::from_abstract_name(name)?;
        let listener = UnixListener::bind_addr(&address)?;
        listener.set_nonblocking(true)?;
        // A worker only accepts on it, and to do so asks nothing that a Unix socket cannot answer.
        let listener = TcpListener::from(OwnedFd::from(listener));
        let sockets = vec![(model.listeners[0].address, listener)];
        let log = LogWriter::start(&AccessLog {
            format: LogFormat::Text,
            sink: LogSink::Off,
        })?;
        let (clock, stats) = (Clock::start(), Arc::<WorkerStats>::default());
        let mut clusters = Clusters::new();
        let snapshot = snapshot(model, &mut clusters, clock);
        let (orders, inbox) = mpsc::unbounded_channel();
        let (end, ended) = oneshot::channel();
        let setup = Setup {
            id: WorkerId(0),
            clock,
            snapshot: snapshot.clone(),
            sockets,
            orders: inbox,
            log: log.handle(),
            stats: stats.clone(),
            connections: Arc::default(),
            connections_max: CONNECTIONS_MAX,
        };
        engine::spawn(async move {
            // Nobody listens if the world ends first.
            let _ = end.send(Worker::serve(setup).await);
        });
        let proxy = Rc::new(Self {
            clock,
            stats,
            listener: address,
            orders,
            state: RefCell::new(State { snapshot, clusters }),
            ended: RefCell::new(Some(ended)),
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
        let next = Current::of(snapshot.clone(), &self.stats);
        // A worker that is gone needs no configuration.
        let _ = self.orders.send(Order::Swap(next, Vec::new()));
        let old = std::mem::replace(&mut state.snapshot, snapshot);
        drop(state);
        drop(old);
    }

    /// Tells the worker to drain, at the latest within `limit`, and waits until it has ended.
    ///
    /// # Errors
    /// How it failed.
    pub async fn drain(&self, limit: Duration) -> io::Result<()> {
        let _ = self.orders.send(Order::Drain(limit));
        let Some(ended) = self.ended.take() else {
            return Ok(());
        };
        ended
            .await
            .unwrap_or_else(|_| Err(io::Error::other("the worker's task is gone")))
    }

    /// A client's connection.
    ///
    /// # Errors
    /// Nobody listens any more, or the kernel gives no socket.
    pub fn connect(&self) -> io::Result<Stream> {
        let socket = UnixStream::connect_addr(&self.listener)?;
        socket.set_nonblocking(true)?;
        Stream::of(socket.into())
    }

    /// Every cluster of the configuration in force.
    #[must_use]
    pub fn clusters(&self) -> Vec<ClusterView> {
        let (snapshot, now) = (self.state.borrow().snapshot.clone(), self.clock.now());
        let view = |handle| ClusterView::read(handle, now);
        snapshot.clusters().iter().map(view).collect()
    }

    /// Requests whose waker is kept because they wait for a connection, over all clusters.
    #[must_use]
    pub fn waiters(&self) -> usize {
        let snapshot = self.state.borrow().snapshot.clone();
        let waiters =
            |handle: &crate::upstream::shared::ClusterHandle| handle.shared.with(|state| state.waiters.len());
        snapshot.clusters().iter().map(waiters).sum()
    }

    /// What the worker counted of its clients.
    #[must_use]
    pub fn downstream(&self) -> DownstreamTotals {
        stats::downstream(std::slice::from_ref(&self.stats))
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
    Arc::new(Snapshot::build(Arc::new(model), &endpoints, clusters, clock))
}

async fn upkeep(proxy: Weak<Proxy>) {
    loop {
        engine::sleep(UPKEEP).await;
        let Some(proxy) = proxy.upgrade() else { return };
        proxy.reap();
    }
}
