//! From configured endpoints to addresses: names are resolved, and resolved again.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use config::model::{ClusterSpec, EndpointSpec};
use hickory_resolver::TokioResolver;
use policy::cluster::Address;

/// A name is not asked for again sooner than this, whatever its TTL.
const REFRESH_MIN: Duration = Duration::from_secs(1);
/// A name that could not be resolved is asked for again after this.
const RETRY: Duration = Duration::from_secs(5);
/// A configuration waits this long for its names, then goes on with what there is.
const PATIENCE: Duration = Duration::from_secs(5);

/// Resolved names. Stale addresses are kept while a name cannot be resolved.
#[derive(Debug)]
pub(crate) struct Discovery {
    resolver: Option<TokioResolver>,
    names: BTreeMap<String, Resolved>,
}

#[derive(Debug)]
struct Resolved {
    addresses: Vec<IpAddr>,
    again: Instant,
}

impl Discovery {
    /// Resolves by the system's configuration (`/etc/resolv.conf`, `/etc/hosts`).
    pub(crate) fn new() -> Self {
        let resolver = TokioResolver::builder_tokio().and_then(|builder| builder.build());
        if let Err(error) = &resolver {
            tracing::warn!(%error, "names cannot be resolved: the system's resolver configuration is unusable");
        }
        Self {
            resolver: resolver.ok(),
            names: BTreeMap::new(),
        }
    }

    /// Resolves what is due among the names of `clusters`; true if an address changed.
    pub(crate) async fn refresh(&mut self, clusters: &[ClusterSpec], now: Instant) -> bool {
        let mut changed = false;
        for name in names(clusters) {
            if self.names.get(name).is_some_and(|known| known.again > now) {
                continue;
            }
            let answer = match &self.resolver {
                Some(resolver) => tokio::time::timeout(PATIENCE, resolver.lookup_ip(name))
                    .await
                    .ok(),
                None => None,
            };
            let known = self.names.entry(name.to_owned()).or_insert_with(|| Resolved {
                addresses: Vec::new(),
                again: now + RETRY,
            });
            match answer {
                Some(Ok(lookup)) => {
                    let mut addresses: Vec<_> = lookup.iter().collect();
                    addresses.sort_unstable();
                    addresses.dedup();
                    known.again = lookup.valid_until().max(now + REFRESH_MIN);
                    changed |= known.addresses != addresses;
                    known.addresses = addresses;
                }
                failed => {
                    known.again = now + RETRY;
                    let why = failed.map_or_else(
                        || "no answer".to_owned(),
                        |f| f.map_or_else(|e| e.to_string(), |_| String::new()),
                    );
                    tracing::warn!(
                        name,
                        why,
                        kept = known.addresses.len(),
                        "cannot resolve; keeping the addresses known before"
                    );
                }
            }
        }
        changed
    }

    /// When a name is due next.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.names.values().map(|known| known.again).min()
    }

    /// Each cluster's addresses as known now, with their weights.
    pub(crate) fn endpoints(&self, clusters: &[ClusterSpec]) -> Vec<Vec<(Address, u32)>> {
        clusters
            .iter()
            .map(|cluster| cluster.endpoints.iter().flat_map(|e| self.addresses(e)).collect())
            .collect()
    }

    fn addresses(&self, endpoint: &EndpointSpec) -> Vec<(Address, u32)> {
        match endpoint {
            EndpointSpec::Ip(address) => vec![(Address::Ip(*address), 1)],
            EndpointSpec::Unix(path) => vec![(Address::Unix(path.as_path().into()), 1)],
            EndpointSpec::Fqdn { hostname, port } => {
                let known = self.names.get(hostname).map_or(&[][..], |known| &known.addresses);
                known
                    .iter()
                    .map(|ip| (Address::Ip((*ip, *port).into()), 1))
                    .collect()
            }
        }
    }
}

fn names(clusters: &[ClusterSpec]) -> impl Iterator<Item = &str> {
    clusters
        .iter()
        .flat_map(|cluster| &cluster.endpoints)
        .filter_map(|endpoint| match endpoint {
            EndpointSpec::Fqdn { hostname, .. } => Some(hostname.as_str()),
            EndpointSpec::Ip(_) | EndpointSpec::Unix(_) => None,
        })
}
