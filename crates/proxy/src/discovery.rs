//! From configured endpoints to addresses: names are resolved, and resolved again.
//!
//! All addresses of a name are endpoints, whatever their order. Its answer holds for its TTL, within
//! bounds; while a name cannot be resolved, the addresses known before are kept. Of a name with IPv4
//! and IPv6 addresses a family is left out while only the other takes connections (`families`).

mod families;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use config::model::{ClusterSpec, EndpointSpec};
use hickory_resolver::TokioResolver;
use policy::cluster::Address;
use tokio::task::JoinSet;

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
            tracing::warn!(%error, "names cannot be resolved: the system's resolver configuration is unusable");
        }
        Self::by(resolver.ok())
    }

    fn by(resolver: Option<TokioResolver>) -> Self {
        Self {
            resolver,
            names: BTreeMap::new(),
        }
    }

    /// Resolves what is due among the names of `clusters`, all at once, and forgets the others; true
    /// if an address changed.
    pub(crate) async fn refresh(&mut self, clusters: &[ClusterSpec], now: Instant) -> bool {
        let wanted = names(clusters);
        self.names.retain(|name, _| wanted.contains_key(name.as_str()));
        let mut asked = JoinSet::new();
        let mut silent = BTreeSet::new();
        for (name, ports) in wanted {
            let known = self.names.get(name);
            let asks = |port: &u16| known.is_some_and(|known| known.addresses.contains_key(port));
            if known.is_some_and(|known| known.again > now) && ports.iter().all(asks) {
                continue;
            }
            let Some(resolver) = self.resolver.clone() else {
                self.on_answer(name, &ports, Err("there is no resolver".to_owned()), now);
                continue;
            };
            silent.insert((name, ports.clone()));
            let name = name.to_owned();
            asked.spawn(async move {
                let answer = resolve(&resolver, &name, &ports, now).await;
                (name, ports, answer)
            });
        }
        let mut changed = false;
        let end = tokio::time::Instant::now() + PATIENCE;
        while let Ok(Some(told)) = tokio::time::timeout_at(end, asked.join_next()).await {
            // A lookup that panicked is one without an answer.
            let Ok((name, ports, answer)) = told else { continue };
            changed |= self.on_answer(&name, &ports, answer, now);
            silent.retain(|(one, _)| *one != name);
        }
        for (name, ports) in silent {
            changed |= self.on_answer(name, &ports, Err("no answer".to_owned()), now);
        }
        changed
    }

    /// Takes an answer in; true if an address changed.
    fn on_answer(&mut self, name: &str, ports: &BTreeSet<u16>, answer: Answer, now: Instant) -> bool {
        match answer {
            Ok(resolved) => {
                let before = self.names.insert(name.to_owned(), resolved);
                before.is_none_or(|before| before.addresses != self.names[name].addresses)
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
                tracing::warn!(
                    name,
                    why,
                    kept = any.len(),
                    "cannot resolve; keeping the addresses known before"
                );
                false
            }
        }
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
        .map_err(|error| error.to_string())?;
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

/// The names of `clusters`, and the ports that each is wanted with.
fn names(clusters: &[ClusterSpec]) -> BTreeMap<&str, BTreeSet<u16>> {
    let mut names = BTreeMap::<&str, BTreeSet<u16>>::new();
    for endpoint in clusters.iter().flat_map(|cluster| &cluster.endpoints) {
        match endpoint {
            EndpointSpec::Fqdn { hostname, port } => {
                names.entry(hostname).or_default().insert(*port);
            }
            EndpointSpec::Ip(_) | EndpointSpec::Unix(_) => {}
        }
    }
    names
}
