//! From configured endpoints to addresses: names are resolved, and resolved again.
//!
//! All addresses of a name are endpoints, whatever their order. Its answer holds for its TTL, within
//! bounds; while a name cannot be resolved, the addresses known before are kept. Of a name with IPv4
//! and IPv6 addresses a family is left out while only the other takes connections (`families`).

mod answer;
mod board;
mod families;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::model::{ClusterSpec, EndpointSpec};
use hickory_resolver::TokioResolver;
use policy::cluster::Address;
use tokio::task::JoinSet;

use crate::snapshot::Endpoints;
pub(crate) use board::Board;
use board::News;

/// A name is not asked for again sooner than this, whatever its TTL.
const REFRESH_MIN: Duration = Duration::from_secs(1);
/// A name that could not be resolved is asked for again after this.
const RETRY: Duration = Duration::from_secs(5);
/// A name of which a family is left out is looked at again after this: it may be reachable then.
const FAMILY_AGAIN: Duration = Duration::from_secs(30);
/// A configuration waits this long for its names, all of them together, then goes on with what
/// there is.
const PATIENCE: Duration = Duration::from_secs(5);

/// Resolved names. Stale addresses are kept while a name cannot be resolved.
#[derive(Debug)]
pub(crate) struct Discovery {
    resolver: Option<TokioResolver>,
    names: BTreeMap<String, Resolved>,
    board: Board,
}

/// What a name is wanted for.
#[derive(Clone, Debug, Default)]
struct Wanted {
    ports: BTreeSet<u16>,
    clusters: Vec<Arc<str>>,
}

/// What is known of a name.
#[derive(Debug)]
struct Resolved {
    /// By port: which addresses take connections depends on it.
    addresses: BTreeMap<u16, Vec<IpAddr>>,
    again: Instant,
}

/// What asking for a name gave, or why it gave nothing.
type Answer = Result<Resolved, String>;

impl Discovery {
    /// Resolves by the system's configuration (`/etc/resolv.conf`, `/etc/hosts`).
    pub(crate) fn new() -> Self {
        let resolver = TokioResolver::builder_tokio().and_then(|builder| builder.build());
        if let Err(error) = &resolver {
            tracing::warn!(%error, "no name can be resolved: /etc/resolv.conf cannot be used. Mend it and restart evenkeel");
        }
        Self::by(resolver.ok())
    }

    fn by(resolver: Option<TokioResolver>) -> Self {
        Self {
            resolver,
            names: BTreeMap::new(),
            board: Board::default(),
        }
    }

    /// What is shown of the names.
    pub(crate) fn board(&self) -> Board {
        self.board.clone()
    }

    /// Resolves what is due among the names of `clusters`, all at once, and forgets the others; true
    /// if an address changed.
    pub(crate) async fn refresh(&mut self, clusters: &[ClusterSpec], now: Instant) -> bool {
        let wanted = names(clusters);
        self.names.retain(|name, _| wanted.contains_key(name.as_str()));
        self.board.retain(|name| wanted.contains_key(name));
        let mut asked = JoinSet::new();
        let mut silent = BTreeMap::new();
        let mut changed = false;
        for (name, wanted) in wanted {
            let known = self.names.get(name);
            let asks = |port: &u16| known.is_some_and(|known| known.addresses.contains_key(port));
            if known.is_some_and(|known| known.again > now) && wanted.ports.iter().all(asks) {
                continue;
            }
            let Some(resolver) = self.resolver.clone() else {
                changed |= self.on_answer(name, &wanted, Err(NO_RESOLVER.to_owned()), now);
                continue;
            };
            let (owned, ports) = (name.to_owned(), wanted.ports.clone());
            silent.insert(name, wanted);
            asked.spawn(async move {
                let answer = resolve(&resolver, &owned, &ports, now).await;
                (owned, answer)
            });
        }
        let end = tokio::time::Instant::now() + PATIENCE;
        while let Ok(Some(told)) = tokio::time::timeout_at(end, asked.join_next()).await {
            // A lookup that panicked is one without an answer.
            let Ok((name, answer)) = told else { continue };
            if let Some(wanted) = silent.remove(name.as_str()) {
                changed |= self.on_answer(&name, &wanted, answer, now);
            }
        }
        for (name, wanted) in silent {
            changed |= self.on_answer(name, &wanted, Err(answer::SILENT.to_owned()), now);
        }
        changed
    }

    /// Takes an answer in; true if an address changed, or the reason for which there is none.
    fn on_answer(&mut self, name: &str, wanted: &Wanted, answer: Answer, now: Instant) -> bool {
        let Wanted { ports, clusters } = wanted;
        match answer {
            Ok(resolved) => {
                let before = self.names.insert(name.to_owned(), resolved);
                let addresses = &self.names[name].addresses;
                let count = addresses.values().map(Vec::len).max().unwrap_or_default();
                let changed = before.is_none_or(|before| before.addresses != *addresses);
                if changed {
                    tracing::debug!(
                        "{}: the name {name} has the addresses {addresses:?}",
                        named(clusters)
                    );
                }
                if self.board.on_answer(name, count, None, now) == News::Recovered {
                    let clusters = named(clusters);
                    tracing::info!("{clusters}: the name {name} is resolved again, to {count} addresses");
                }
                changed
            }
            Err(why) => {
                let known = self.names.entry(name.to_owned()).or_insert_with(|| Resolved {
                    addresses: BTreeMap::new(),
                    again: now,
                });
                known.again = now + RETRY;
                // A port that is new takes what is known by another: better stale than nothing.
                let any = known.addresses.values().next().cloned().unwrap_or_default();
                known.addresses.retain(|port, _| ports.contains(port));
                for &port in ports {
                    known.addresses.entry(port).or_insert_with(|| any.clone());
                }
                let news = self.board.on_answer(name, any.len(), Some(&why), now);
                if news == News::Failed {
                    log_failure(clusters, name, &why, any.len());
                }
                news == News::Failed && any.is_empty()
            }
        }
    }

    /// When a name is due next.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.names.values().map(|known| known.again).min()
    }

    /// Each cluster's addresses as known now, with their weights, or why there is none.
    pub(crate) fn endpoints(&self, clusters: &[ClusterSpec]) -> Vec<Endpoints> {
        let of = |cluster: &ClusterSpec| {
            let addresses = cluster.endpoints.iter().flat_map(|e| self.addresses(e));
            let addresses: Vec<_> = addresses.collect();
            let none = addresses.is_empty();
            Endpoints {
                addresses,
                unresolved: none.then(|| self.board.unresolved(cluster)).flatten(),
            }
        };
        clusters.iter().map(of).collect()
    }

    fn addresses(&self, endpoint: &EndpointSpec) -> Vec<(Address, u32)> {
        match endpoint {
            EndpointSpec::Ip(address) => vec![(Address::Ip(*address), 1)],
            EndpointSpec::Unix(path) => vec![(Address::Unix(path.as_path().into()), 1)],
            EndpointSpec::Fqdn { hostname, port } => {
                let known = self
                    .names
                    .get(hostname)
                    .and_then(|known| known.addresses.get(port));
                let known = known.into_iter().flatten();
                known.map(|ip| (Address::Ip((*ip, *port).into()), 1)).collect()
            }
        }
    }
}

/// Asks for a name, and which of its families take connections.
async fn resolve(resolver: &TokioResolver, name: &str, ports: &BTreeSet<u16>, now: Instant) -> Answer {
    let lookup = resolver
        .lookup_ip(name)
        .await
        .map_err(|error| answer::words(&error))?;
    let mut all: Vec<IpAddr> = lookup.iter().collect();
    all.sort_unstable();
    all.dedup();
    let mut resolved = Resolved {
        addresses: BTreeMap::new(),
        again: lookup.valid_until().max(now + REFRESH_MIN),
    };
    for &port in ports {
        let kept = families::reachable(&all, port).await;
        if kept.len() < all.len() {
            resolved.again = resolved.again.min(now + FAMILY_AGAIN);
        }
        resolved.addresses.insert(port, kept);
    }
    Ok(resolved)
}

/// The names of `clusters`, the ports that each is wanted with, and by whom.
fn names(clusters: &[ClusterSpec]) -> BTreeMap<&str, Wanted> {
    let mut names = BTreeMap::<&str, Wanted>::new();
    for cluster in clusters {
        for endpoint in &cluster.endpoints {
            let EndpointSpec::Fqdn { hostname, port } = endpoint else {
                continue;
            };
            let wanted = names.entry(hostname).or_default();
            wanted.ports.insert(*port);
            if wanted.clusters.last() != Some(&cluster.name) {
                wanted.clusters.push(cluster.name.clone());
            }
        }
    }
    names
}

/// One line when a name stops being resolved, or for another reason than before.
fn log_failure(clusters: &[Arc<str>], name: &str, why: &str, kept: usize) {
    let clusters = named(clusters);
    if kept == 0 {
        tracing::warn!(
            "{clusters}: the name {name} cannot be resolved: {why}; no address of it is known, and a backend without \
             any address answers 503 (DF)"
        );
    } else {
        tracing::warn!(
            "{clusters}: the name {name} cannot be resolved: {why}; its {kept} addresses known before stay in use"
        );
    }
}

/// `cluster a`, or `clusters a, b and 3 more`.
fn named(clusters: &[Arc<str>]) -> String {
    let first: Vec<&str> = clusters.iter().take(CLUSTERS_NAMED).map(|name| &**name).collect();
    let first = first.join(", ");
    match clusters.len() {
        0 | 1 => format!("cluster {first}"),
        count if count <= CLUSTERS_NAMED => format!("clusters {first}"),
        count => format!("clusters {first} and {} more", count - CLUSTERS_NAMED),
    }
}

/// A name may be that of thousands of clusters; so many are named in a line.
const CLUSTERS_NAMED: usize = 3;

const NO_RESOLVER: &str = "this machine's resolver configuration (/etc/resolv.conf) is unusable";
