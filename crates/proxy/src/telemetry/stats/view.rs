//! What the admin shows of a process and its clusters, copied so that no lock is held meanwhile.

use std::time::Duration;

use policy::cluster::{Address, Counters, EndpointReport, Gauges, Vitals};
use policy::health::HealthCounters;
use policy::latency::AutoAnswer;
use policy::outlier::OutlierCounters;
use policy::plan::Limits;

/// One name of a cluster, as the admin shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameView {
    /// The name.
    pub name: String,
    /// How many addresses of it are in use.
    pub addresses: usize,
    /// Why it cannot be resolved now, in words; `None` if it can.
    pub error: Option<String>,
    /// How long that has been so.
    pub since: Duration,
    /// How often it was asked for.
    pub attempts: u64,
    /// How often that gave no address.
    pub failures: u64,
}

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
    /// How near it is to its limits.
    pub vitals: Vitals,
    /// What became of its outliers.
    pub outliers: OutlierCounters,
    /// What its health checks found; `None` where there are none.
    pub checks: Option<HealthCounters>,
    /// Its request timeout, where that follows what is usual.
    pub auto_timeout: Option<AutoAnswer>,
    /// How long an answer is waited for before a hedge, where that is configured and known.
    pub hedge_wait: Option<Duration>,
    /// Its names, and what the resolver says of them.
    pub names: Vec<NameView>,
    /// Its endpoints, and what was learned of them.
    pub endpoints: Vec<EndpointView>,
}

/// An endpoint as the admin shows it.
#[derive(Clone, Debug)]
pub struct EndpointView {
    /// What its cluster tells of it.
    pub report: EndpointReport,
    /// Its share of the requests in relation to the others'; 0 once no configuration holds it.
    pub weight: u32,
}

impl ClusterView {
    /// How many of the endpoints that a configuration holds are so.
    pub(super) fn count(&self, is: impl Fn(&EndpointReport) -> bool) -> u64 {
        let held = self.endpoints.iter().filter(|one| !one.report.leaving);
        held.filter(|one| is(&one.report)).count() as u64
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
