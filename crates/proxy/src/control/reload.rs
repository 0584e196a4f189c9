//! What all workers share and none of them waits for: configuration, clusters, upkeep.

mod state_file;
mod upkeep;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use config::model::{Dump, Model};
use policy::cluster::Cluster;
use policy::time::Moment;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;

use super::secrets::{Secrets, Sides};
use crate::admin::AdminSource;
use crate::cluster::ClusterHandle;
use crate::control::discovery::{Board, Discovery};
use crate::control::server::Logging;
use crate::downstream::count::ConnectionCounts;
use crate::engine::clock::Clock;
use crate::snapshot::{Clusters, Snapshot};
use crate::telemetry::record::LogWriter;
use crate::telemetry::stats::{CertificateView, ClusterView, Liveness, LogCounts, ServerView, WorkerStats};
use crate::worker::context::WorkerSnapshot;
use crate::worker::run::ControlMessage;

use crate::telemetry::stats::reloads::Reloads;
use state_file::StateFile;

/// Listening sockets for one worker: the configured address of each, and the socket.
pub(crate) type Sockets = Vec<(SocketAddr, TcpListener)>;

/// The control: one per process.
#[derive(Debug)]
pub(crate) struct Control {
    pub(crate) clock: Clock,
    pub(crate) stats: Vec<Arc<WorkerStats>>,
    /// Client connections of all workers.
    pub(crate) connections: Arc<ConnectionCounts>,
    log_counts: Arc<LogCounts>,
    /// `None` once it is finished.
    log: Mutex<Option<LogWriter>>,
    logging: Option<Logging>,
    pub(crate) draining: AtomicBool,
    /// The drain that was asked for waits for nobody.
    at_once: AtomicBool,
    started: Moment,
    pub(crate) drain_asked: Arc<Notify>,
    /// Told of each new configuration: for the health checks.
    pub(crate) published: Notify,
    /// Told when a configuration may have other names.
    names_changed: Notify,
    /// A worker has ended that was not told to.
    worker_lost: AtomicBool,
    messages: Vec<UnboundedSender<ControlMessage>>,
    state: Mutex<State>,
    discovery: tokio::sync::Mutex<Discovery>,
    reloads: Mutex<Reloads>,
    names: Board,
    state_file: Mutex<Option<StateFile>>,
}

#[derive(Debug)]
struct State {
    model: Arc<Model>,
    /// The text of the configuration in force. It weighs more than all that is made of it, and old snapshots have
    /// no use for it.
    dump: Dump,
    snapshot: Arc<Snapshot>,
    /// Those before it, kept until nobody else does: what ends with the last use of one takes
    /// milliseconds where there are many clusters, which no worker is to spend.
    retired: Vec<Arc<Snapshot>>,
    clusters: Clusters,
    /// What each address with TLS presents, and how clusters are spoken to.
    tls: Arc<Sides>,
    secrets: Secrets,
    /// Configured address to bound address.
    bound: BTreeMap<SocketAddr, SocketAddr>,
}

impl Control {
    /// Binds and builds the first snapshot; gives each worker's listening sockets.
    pub(crate) fn start(
        mut model: Model,
        messages: Vec<UnboundedSender<ControlMessage>>,
        stats: Vec<Arc<WorkerStats>>,
        log: LogWriter,
        logging: Option<Logging>,
        runtime: &Handle,
    ) -> io::Result<(Arc<Self>, Arc<Snapshot>, Vec<Sockets>)> {
        let clock = Clock::start();
        let mut secrets = Secrets::default();
        let tls = secrets.sides(&model)?;
        let mut bound = BTreeMap::new();
        let sockets = bind(&model, messages.len(), &mut bound)?;
        let dump = std::mem::take(&mut model.dump);
        let model = Arc::new(model);
        let (discovery, endpoints) = runtime.block_on(async {
            let mut discovery = Discovery::new();
            discovery.refresh(&model.clusters, Instant::now()).await;
            let endpoints = discovery.endpoints(&model.clusters);
            (discovery, endpoints)
        });
        let mut clusters = Clusters::new();
        let snapshot = Arc::new(Snapshot::build(
            model.clone(),
            (&tls.0, &tls.1),
            &endpoints,
            &mut clusters,
            clock,
        ));
        let control = Self {
            clock,
            stats,
            connections: Arc::default(),
            log_counts: log.counts(),
            log: Mutex::new(Some(log)),
            logging,
            draining: AtomicBool::new(false),
            at_once: AtomicBool::new(false),
            started: clock.now(),
            drain_asked: Arc::default(),
            published: Notify::new(),
            names_changed: Notify::new(),
            worker_lost: AtomicBool::new(false),
            messages,
            state: Mutex::new(State {
                model,
                dump,
                snapshot: snapshot.clone(),
                retired: Vec::new(),
                clusters,
                tls: Arc::new(tls),
                secrets,
                bound,
            }),
            names: discovery.board(),
            discovery: tokio::sync::Mutex::new(discovery),
            reloads: Mutex::new(Reloads::start(SystemTime::now())),
            state_file: Mutex::default(),
        };
        Ok((Arc::new(control), snapshot, sockets))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What became of the configurations given so far.
    pub(crate) fn reloads(&self) -> MutexGuard<'_, Reloads> {
        self.reloads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn model(&self) -> Arc<Model> {
        self.state().model.clone()
    }

    /// The configuration in force.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.state().snapshot.clone()
    }

    /// Swaps the configuration once its sockets are bound and its names resolved.
    pub(crate) fn reload(&self, mut model: Model, runtime: &Handle) -> io::Result<()> {
        let (tls, mut bound) = {
            let mut state = self.state();
            let tls = state.secrets.sides(&model)?;
            (tls, state.bound.clone())
        };
        let log = self.next_log(&model)?;
        let sockets = bind(&model, self.messages.len(), &mut bound)?;
        let dump = std::mem::take(&mut model.dump);
        let model = Arc::new(model);
        runtime.block_on(async {
            let mut discovery = self.discovery.lock().await;
            discovery.refresh(&model.clusters, Instant::now()).await;
            self.publish((model, Arc::new(tls)), &discovery, bound, sockets);
            self.state().dump = dump;
        });
        self.names_changed.notify_one();
        if let Some(log) = log {
            self.change_log(log);
        }
        Ok(())
    }

    /// The access log of a new configuration, if it is another one.
    fn next_log(&self, model: &Model) -> io::Result<Option<LogWriter>> {
        if self.state().model.access_log == model.access_log {
            return Ok(None);
        }
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.as_ref()
            .map(|log| log.successor(&model.access_log))
            .transpose()
    }

    fn change_log(&self, next: LogWriter) {
        for messages in &self.messages {
            let _ = messages.send(ControlMessage::Log(next.handle()));
        }
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .replace(next);
    }

    /// Closes the access log's file and opens it anew.
    pub(crate) fn reopen_log(&self) {
        if let Some(log) = &*self.log.lock().unwrap_or_else(PoisonError::into_inner) {
            log.reopen();
        }
    }

    /// Writes what is left of the access log, once the workers have ended.
    pub(crate) fn finish_log(&self) {
        if let Some(log) = self.log.lock().unwrap_or_else(PoisonError::into_inner).take() {
            log.finish();
        }
    }

    fn publish(
        &self,
        (model, tls): (Arc<Model>, Arc<Sides>),
        discovery: &Discovery,
        mut bound: BTreeMap<SocketAddr, SocketAddr>,
        sockets: Vec<Sockets>,
    ) {
        let began = Instant::now();
        let endpoints = discovery.endpoints(&model.clusters);
        bound.retain(|address, _| {
            model
                .listeners
                .iter()
                .any(|listener| listener.address == *address)
        });
        let mut state = self.state();
        let snapshot = Arc::new(Snapshot::build(
            model.clone(),
            (&tls.0, &tls.1),
            &endpoints,
            &mut state.clusters,
            self.clock,
        ));
        // A cluster that is gone from the configuration goes with its last request.
        let names: BTreeSet<&str> = model.clusters.iter().map(|spec| &*spec.name).collect();
        state.clusters.retain(|name, _| names.contains(&**name));
        let (serial, clusters) = (snapshot.serial, snapshot.clusters().len());
        let opened = sockets.first().map_or(0, Vec::len);
        for ((messages, stats), sockets) in self.messages.iter().zip(&self.stats).zip(sockets) {
            let next = WorkerSnapshot::of(snapshot.clone(), stats);
            // A worker that is gone needs no configuration.
            let _ = messages.send(ControlMessage::Swap(next, sockets));
        }
        (state.model, state.tls) = (model, tls);
        state.bound = bound;
        let old = std::mem::replace(&mut state.snapshot, snapshot);
        state.retired.push(old);
        drop(state);
        self.published.notify_one();
        tracing::debug!(
            "configuration {serial} is in force after {:?}: {clusters} clusters, {opened} listeners opened",
            began.elapsed()
        );
    }

    /// Resolves names again when their answers have grown old, for as long as the process lives.
    pub(crate) async fn follow_names(self: Arc<Self>) {
        loop {
            let next = self.discovery.lock().await.next();
            let due = async {
                match next {
                    // Names that are due one after the other are asked for together.
                    Some(at) => tokio::time::sleep_until(at.max(Instant::now() + NAMES).into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => {}
                () = self.names_changed.notified() => continue,
            }
            let mut discovery = self.discovery.lock().await;
            if discovery.next().is_none_or(|at| at > Instant::now()) {
                continue;
            }
            let (model, tls, bound) = {
                let state = self.state();
                (state.model.clone(), state.tls.clone(), state.bound.clone())
            };
            if discovery.refresh(&model.clusters, Instant::now()).await {
                let none = self.messages.iter().map(|_| Vec::new()).collect();
                self.publish((model, tls), &discovery, bound, none);
            }
        }
    }

    /// A worker's thread has ended, and how. One that was not told to has lost its clients, and its share of new ones
    /// finds nobody: the process says that it is not ready, drains, and ends with an error, so that whoever watches
    /// over it starts another.
    pub(crate) fn worker_ended(&self, worker: usize, how: std::thread::Result<io::Result<()>>) {
        let why = match how {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it panicked, as told above".to_owned(),
        };
        tracing::error!(
            "worker {worker} of {} has ended: {why}. Its clients' connections are closed. This is a bug of evenkeel: \
             the process drains now and exits with status 1, so that it can be started again",
            self.messages.len()
        );
        self.worker_lost.store(true, Ordering::Relaxed);
        self.draining.store(true, Ordering::Relaxed);
        self.drain_asked.notify_one();
    }

    /// Has a worker end as by a bug.
    #[cfg(test)]
    pub(crate) fn break_worker(&self, worker: usize) {
        let _ = self.messages[worker].send(ControlMessage::Panic);
    }

    /// Whether a worker has ended that was not told to.
    pub(crate) fn lost_a_worker(&self) -> bool {
        self.worker_lost.load(Ordering::Relaxed)
    }

    /// Tells every worker to drain.
    pub(crate) fn drain(&self, limit: Duration) {
        self.draining.store(true, Ordering::Relaxed);
        let limit = if self.at_once.load(Ordering::Relaxed) {
            Duration::ZERO
        } else {
            limit
        };
        tracing::debug!("the workers are told to drain within {} ms", limit.as_millis());
        for messages in &self.messages {
            let _ = messages.send(ControlMessage::Drain(limit));
        }
    }

    /// Bound addresses by listener name.
    pub(crate) fn addresses(&self) -> Vec<(String, SocketAddr)> {
        let state = self.state();
        let of = |listener: &config::model::Listener| {
            let bound = state.bound.get(&listener.address).copied();
            (listener.name.to_string(), bound.unwrap_or(listener.address))
        };
        state.model.listeners.iter().map(of).collect()
    }

    /// Visits every cluster of the configuration in force.
    pub(crate) fn visit_clusters<T>(&self, mut visit: impl FnMut(&str, &Cluster) -> T) -> Vec<T> {
        let snapshot = self.snapshot();
        let one = |handle: &ClusterHandle| {
            handle
                .shared
                .with(|state| visit(&handle.shared.name, &state.cluster))
        };
        snapshot.clusters().iter().map(one).collect()
    }
}

/// Names are resolved again at most this often, and at most this much late.
const NAMES: Duration = Duration::from_millis(250);

/// Binds every address of `model` that is not in `bound` yet, once for each worker.
fn bind(
    model: &Model,
    workers: usize,
    bound: &mut BTreeMap<SocketAddr, SocketAddr>,
) -> io::Result<Vec<Sockets>> {
    let mut sockets: Vec<Sockets> = (0..workers).map(|_| Vec::new()).collect();
    for listener in &model.listeners {
        let address = listener.address;
        if bound.contains_key(&address) {
            continue;
        }
        let mut actual = address;
        for socket in &mut sockets {
            let listening = sys::listen(actual, sys::SpeaksFirst::Client)
                .map_err(|error| cannot_listen(&listener.name, address, &error))?;
            actual = listening.local_addr()?;
            socket.push((address, listening));
        }
        bound.insert(address, actual);
    }
    Ok(sockets)
}

fn cannot_listen(listener: &str, address: SocketAddr, error: &io::Error) -> io::Error {
    io::Error::new(
        error.kind(),
        format!("listener {listener}: cannot listen on {address}: {error}"),
    )
}

impl AdminSource for Control {
    fn server(&self) -> ServerView {
        let draining = self.draining.load(Ordering::Relaxed);
        ServerView {
            state: if draining {
                Liveness::Draining
            } else {
                Liveness::Live
            },
            uptime: self.clock.now().since(self.started),
            workers: self.messages.len(),
        }
    }

    fn visit_clusters(&self, visit: &mut dyn FnMut(&ClusterView)) {
        let (model, snapshot) = {
            let state = self.state();
            (state.model.clone(), state.snapshot.clone())
        };
        let (now, instant) = (self.clock.now(), Instant::now());
        let mut clusters: Vec<_> = snapshot.clusters().iter().zip(&model.clusters).collect();
        // Names of metrics go on with a dot, which sorts behind some characters of names.
        clusters.sort_unstable_by(|(_, one), (_, two)| {
            let [one, two] = [one, two].map(|spec| spec.name.bytes().chain([b'.']));
            one.cmp(two)
        });
        for (handle, spec) in clusters {
            let mut view = handle.view(now);
            view.names = self.names.of(spec, instant);
            visit(&view);
        }
    }

    fn listeners(&self) -> Vec<(String, SocketAddr)> {
        self.addresses()
    }

    fn workers(&self) -> &[Arc<WorkerStats>] {
        &self.stats
    }

    fn log(&self) -> &LogCounts {
        &self.log_counts
    }

    fn logging(&self) -> Option<Logging> {
        self.logging
    }

    fn reloads(&self) -> Reloads {
        Self::reloads(self).clone()
    }

    fn certificates(&self) -> Vec<CertificateView> {
        super::certificates::views(&self.model())
    }

    fn config(&self) -> serde_json::Value {
        // It is read again, which takes a while: not under the lock.
        let dump = self.state().dump.clone();
        dump.to_json()
    }

    fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.drain_asked.notify_one();
    }

    fn quit(&self) {
        self.at_once.store(true, Ordering::Relaxed);
        AdminSource::drain(self);
    }
}
