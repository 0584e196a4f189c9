//! The process: control, workers, reload, drain.

use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use config::model::Model;
use policy::cluster::{Counters, WorkerId};
use tokio::sync::{Notify, mpsc};

use crate::control::reload::Control;
use crate::telemetry::record::LogWriter;
use crate::telemetry::stats::WorkerStats;
use crate::worker::run::{self, Setup};

/// What a process is started with besides its configuration.
#[derive(Clone, Debug)]
pub struct Options {
    /// Worker threads; 0 is one per core.
    pub workers: usize,
    /// Where the admin listens; `None` is nowhere.
    pub admin: Option<SocketAddr>,
    /// How long a drain waits for exchanges to end.
    pub drain_timeout: Duration,
    /// Where what is learned of endpoints outlives the process; `None` is nowhere.
    pub state_file: Option<PathBuf>,
    /// Bytes that all unfinished heads may take together; each worker has its share.
    pub unfinished_heads_max: usize,
    /// How the levels of the operational log are read and changed; `None` where they cannot be.
    pub logging: Option<Logging>,
}

/// What all unfinished heads may take together unless something else is said: 64 MiB. It is 20,000 heads of 3 KiB,
/// which no honest traffic has at a time.
pub const UNFINISHED_HEADS_MAX: usize = 64 << 20;

/// The levels of the operational log, for the admin. The subscriber is the program's own.
#[derive(Clone, Copy, Debug)]
pub struct Logging {
    /// The levels in force, as they can be given again.
    pub read: fn() -> String,
    /// Takes up new ones, and gives them as they are in force, or says in words what is wrong.
    pub change: fn(&str) -> Result<String, String>,
}

/// A running proxy. [`Server::drain`] ends it well; dropping it ends it at once.
#[derive(Debug)]
pub struct Server {
    control: Arc<Control>,
    workers: Vec<JoinHandle<()>>,
    runtime: tokio::runtime::Runtime,
    admin: Option<SocketAddr>,
    drain_timeout: Duration,
}

/// Descriptors that room is made for at the start, if the limit allows as many: half a mebibyte in the kernel.
const ROOM_FOR_DESCRIPTORS: u64 = 1 << 16;

/// Client connections at once, of so many descriptors: an eighth is kept back for upstream
/// connections, files and the admin.
const fn connections_max(descriptors: u64) -> usize {
    (descriptors - descriptors / 8) as usize
}

impl Server {
    /// Binds every listener and starts the workers.
    ///
    /// # Errors
    /// An address cannot be listened on, or a thread cannot be started; nothing runs then.
    pub fn start(model: Model, options: Options) -> io::Result<Self> {
        // The soft default of 1024 is for programs that use select(2).
        let descriptors = sys::raise_fd_limit()?;
        let connections_max = connections_max(descriptors);
        sys::make_room_for_fds(descriptors.min(ROOM_FOR_DESCRIPTORS)).unwrap_or_else(|why| {
            tracing::warn!("the table of descriptors could not be enlarged at the start ({why})")
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("evenkeel-control")
            .enable_all()
            .build()?;
        let count = match options.workers {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            count => count,
        };
        let log = LogWriter::start(&model.access_log)?;
        let log_handle = log.handle();
        let admin_socket = options.admin.map(std::net::TcpListener::bind).transpose()?;
        let admin = admin_socket
            .as_ref()
            .map(std::net::TcpListener::local_addr)
            .transpose()?;
        let (messages, inboxes): (Vec<_>, Vec<_>) = (0..count).map(|_| mpsc::unbounded_channel()).unzip();
        let stats: Vec<_> = (0..count).map(|_| Arc::new(WorkerStats::default())).collect();
        let (control, snapshot, mut sockets) = Control::start(
            model,
            messages,
            stats.clone(),
            log,
            options.logging,
            runtime.handle(),
        )?;
        let keeps_state = options.state_file.is_some();
        if let Some(path) = options.state_file {
            control.keep_state(path);
        }
        let mut workers = Vec::with_capacity(count);
        for (index, (messages, stats)) in inboxes.into_iter().zip(stats).enumerate() {
            let setup = Setup {
                id: WorkerId(u16::try_from(index).unwrap_or(u16::MAX)),
                clock: control.clock,
                snapshot: snapshot.clone(),
                sockets: std::mem::take(&mut sockets[index]),
                messages,
                log: log_handle.clone(),
                stats,
                connections: control.connections.clone(),
                connections_max,
                begun_heads_max: options.unfinished_heads_max / count,
            };
            let watching = control.clone();
            workers.push(
                std::thread::Builder::new()
                    .name(format!("evenkeel-{index}"))
                    .spawn(move || {
                        let ended = std::panic::catch_unwind(AssertUnwindSafe(|| run::run(setup)));
                        watching.worker_ended(index, ended);
                    })?,
            );
        }
        drop(snapshot);
        runtime.spawn(control.clone().keep_up());
        runtime.spawn(control.clone().follow_names());
        runtime.spawn(control.clone().watch_certificates());
        if keeps_state {
            runtime.spawn(control.clone().write_state_now_and_then());
        }
        runtime.spawn(crate::control::health::run(control.clone()));
        if let Some(socket) = admin_socket {
            crate::admin::spawn(runtime.handle(), socket, control.clone())?;
        }
        Ok(Self {
            control,
            workers,
            runtime,
            admin,
            drain_timeout: options.drain_timeout,
        })
    }

    /// Swaps the configuration.
    ///
    /// # Errors
    /// A new address cannot be listened on; the old configuration stays in force, untouched.
    pub fn reload(&self, model: Model) -> io::Result<()> {
        let result = self.control.reload(model, self.runtime.handle());
        match &result {
            Ok(()) => self.control.reloads().on_applied(SystemTime::now()),
            Err(why) => self.reload_rejected(&why.to_string()),
        }
        result
    }

    /// Notes that a configuration was rejected before it came here, and why, in one line: metrics and
    /// the admin tell it until one is applied.
    pub fn reload_rejected(&self, why: &str) {
        self.control.reloads().on_rejected(why, SystemTime::now());
    }

    /// The addresses in use, by listener name (port 0 resolved).
    #[must_use]
    pub fn addresses(&self) -> Vec<(String, SocketAddr)> {
        self.control.addresses()
    }

    /// The admin's address.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// Told when somebody asks for a drain or an end by the admin.
    #[must_use]
    pub fn drain_asked(&self) -> Arc<Notify> {
        self.control.drain_asked.clone()
    }

    /// Closes the access log's file and opens it anew, for log rotation.
    pub fn reopen_log(&self) {
        self.control.reopen_log();
    }

    /// Stops accepting, announces `Connection: close`, waits for exchanges to end (bounded by the
    /// drain timeout), then ends the workers. Blocks. Says whether all went well: false if a worker had ended before
    /// it was told to.
    pub fn drain(self) -> bool {
        self.control.drain(self.drain_timeout);
        self.control.write_state();
        for worker in self.workers {
            // How it ended is known to the control.
            let _ = worker.join();
        }
        self.runtime.shutdown_timeout(Duration::from_millis(100));
        self.control.finish_log();
        !self.control.lost_a_worker()
    }

    /// Every cluster's name and counters, for the quickstart and tests.
    #[must_use]
    pub fn cluster_counters(&self) -> Vec<(String, Counters)> {
        self.control
            .visit_clusters(|name, cluster| (name.to_owned(), cluster.counters.clone()))
    }

    /// Every cluster's name and what was learned of its endpoints.
    #[must_use]
    pub fn endpoint_reports(&self) -> Vec<(String, Vec<policy::cluster::EndpointReport>)> {
        let now = self.control.clock.now();
        self.control
            .visit_clusters(|name, cluster| (name.to_owned(), cluster.describe(now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::AdminSource as _;
    use crate::telemetry::stats::Liveness;

    /// A server of two workers whose drain is short.
    fn two_workers() -> Server {
        let model =
            config::single("http://127.0.0.1:9", SocketAddr::from(([127, 0, 0, 1], 0))).expect("a model");
        let options = Options {
            workers: 2,
            admin: None,
            drain_timeout: Duration::from_millis(50),
            state_file: None,
            unfinished_heads_max: UNFINISHED_HEADS_MAX,
            logging: None,
        };
        Server::start(model, options).expect("a server")
    }

    #[test]
    fn a_worker_that_ends_by_itself_makes_the_process_drain_and_fail() {
        let server = two_workers();
        assert_eq!(server.control.server().state, Liveness::Live);
        let asked = server.drain_asked();
        server.control.break_worker(1);
        let told = server
            .runtime
            .block_on(async { tokio::time::timeout(Duration::from_secs(10), asked.notified()).await });
        assert!(told.is_ok(), "a drain is asked for");
        assert_eq!(server.control.server().state, Liveness::Draining);
        assert!(!server.drain(), "and it says that all was not well");
    }

    #[test]
    fn a_drain_that_was_asked_for_says_that_all_went_well() {
        assert!(two_workers().drain());
    }
}
