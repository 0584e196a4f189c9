//! What is known of each name, for whoever shows it: the resolution itself may take seconds, and nobody
//! waits for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::telemetry::stats::view::NameView;
use config::model::{ClusterSpec, EndpointSpec};

/// The names of the configuration in force.
#[derive(Clone, Debug, Default)]
pub(crate) struct Board(Arc<Mutex<BTreeMap<String, State>>>);

#[derive(Clone, Debug)]
struct State {
    addresses: usize,
    error: Option<String>,
    /// Since when it has been so.
    since: Instant,
    attempts: u64,
    failures: u64,
}

/// What an answer changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Nothing that is worth a line.
    None,
    /// The name cannot be resolved any more, or for another reason than before.
    Failed,
    /// It can be resolved again.
    Recovered,
}

impl Board {
    /// Takes an answer in: so many addresses are in use, and the name cannot be resolved for `error`.
    pub(super) fn on_answer(&self, name: &str, addresses: usize, error: Option<&str>, now: Instant) -> News {
        let mut names = self.lock();
        let known = names.entry(name.to_owned()).or_insert_with(|| State {
            addresses,
            error: None,
            since: now,
            attempts: 0,
            failures: 0,
        });
        known.attempts += 1;
        known.failures += u64::from(error.is_some());
        known.addresses = addresses;
        if known.error.as_deref() == error {
            return News::None;
        }
        known.since = now;
        known.error = error.map(str::to_owned);
        match error {
            Some(_) => News::Failed,
            None => News::Recovered,
        }
    }

    /// Forgets the names that `keep` is not true of.
    pub(super) fn retain(&self, keep: impl Fn(&str) -> bool) {
        self.lock().retain(|name, _| keep(name));
    }

    /// The names of one cluster.
    pub(crate) fn of(&self, cluster: &ClusterSpec, now: Instant) -> Vec<NameView> {
        let mut hostnames: Vec<&String> = cluster.endpoints.iter().filter_map(hostname).collect();
        if hostnames.is_empty() {
            return Vec::new();
        }
        hostnames.sort_unstable();
        hostnames.dedup();
        let names = self.lock();
        let view = |name: &String| {
            let state = names.get(name)?;
            Some(NameView {
                name: name.clone(),
                addresses: state.addresses,
                error: state.error.clone(),
                since: now.saturating_duration_since(state.since),
                attempts: state.attempts,
                failures: state.failures,
            })
        };
        hostnames.into_iter().filter_map(view).collect()
    }

    /// Why a cluster has no endpoint, if it is for names that cannot be resolved.
    pub(super) fn unresolved(&self, cluster: &ClusterSpec) -> Option<Arc<str>> {
        let name = cluster.endpoints.iter().find_map(hostname)?;
        let names = self.lock();
        let why = names.get(name).and_then(|state| state.error.as_deref());
        let why = why.unwrap_or("it has not been resolved yet");
        Some(format!("evenkeel has no address for the name {name} of this backend: {why}.").into())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hostname(endpoint: &EndpointSpec) -> Option<&String> {
    match endpoint {
        EndpointSpec::Fqdn { hostname, .. } => Some(hostname),
        EndpointSpec::Ip(_) | EndpointSpec::Unix(_) => None,
    }
}
