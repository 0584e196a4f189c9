//! What the admin shows of a process and its clusters, copied so that no lock is held meanwhile.

use std::time::Duration;

use policy::cluster::{Address, Cluster, Counters, EndpointReport, Gauges};
use policy::plan::Limits;
use policy::time::Moment;

/// A cluster as the admin shows it.
#[derive(Clone, Debug)]
pub struct ClusterView {
    /// Its name.
    pub name: String,
    /// Its limits.
    pub limits: Limits,
    /// What it has counted.
    pub counters: Counters,
    /// What it holds.
    pub gauges: Gauges,
    /// Its endpoints, and what was learned of them.
    pub endpoints: Vec<EndpointReport>,
}

impl ClusterView {
    /// A copy of what is shown.
    #[must_use]
    pub fn of(name: &str, cluster: &Cluster, limits: &Limits, now: Moment) -> Self {
        Self {
            name: name.to_owned(),
            limits: limits.clone(),
            counters: cluster.counters.clone(),
            gauges: cluster.gauges(),
            endpoints: cluster.describe(now),
        }
    }
}

/// An address in one line, whatever a socket's path is made of.
pub(crate) fn shown(address: &Address) -> String {
    match address {
        Address::Ip(address) => address.to_string(),
        Address::Unix(path) => path.to_string_lossy().replace(char::is_control, "?"),
    }
}

/// How far the process is in its life, in Envoy's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// It does not listen yet.
    PreInitializing,
    /// It serves.
    Live,
    /// It ends, or was told to look as if it did.
    Draining,
}

impl Liveness {
    /// The word that `/ready` answers.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::PreInitializing => "PRE_INITIALIZING",
            Self::Live => "LIVE",
            Self::Draining => "DRAINING",
        }
    }

    /// Envoy's number for it (`server.state`).
    pub(super) const fn number(self) -> u64 {
        match self {
            Self::Live => 0,
            Self::Draining => 1,
            Self::PreInitializing => 2,
        }
    }
}

/// The process as the admin shows it.
#[derive(Clone, Copy, Debug)]
pub struct ServerView {
    /// How far it is.
    pub state: Liveness,
    /// Since it started.
    pub uptime: Duration,
    /// Worker threads.
    pub workers: usize,
}
