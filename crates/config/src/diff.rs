//! What a reload changes, in a few words for the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{ListenerTls, Model};

/// What differs between two models, one phrase each: `route default/web changed`,
/// `cluster default/api added`. Empty if nothing does. Long lists are cut to a count.
#[must_use]
pub fn changes(old: &Model, new: &Model) -> Vec<String> {
    let mut phrases = Vec::new();
    let listeners = |model: &Model| -> BTreeMap<String, _> {
        let parts = |l: &crate::model::Listener| {
            let settings = (
                l.hostname.clone(),
                l.downstream.clone(),
                l.tls.as_ref().map(presented),
            );
            (format!("{} on {}", l.name, l.address), settings)
        };
        model.listeners.iter().map(parts).collect()
    };
    compare("listener", &listeners(old), &listeners(new), &mut phrases);
    compare(
        "certificate",
        &certificates(old),
        &certificates(new),
        &mut phrases,
    );
    compare("route", &routes(old), &routes(new), &mut phrases);
    compare("cluster", &clusters(old), &clusters(new), &mut phrases);
    compare("rate limit", &rate_limits(old), &rate_limits(new), &mut phrases);
    if old.access_log != new.access_log {
        phrases.push("access log changed".to_owned());
    }
    phrases
}

/// More of one sort are counted instead of named.
const NAMED_MAX: usize = 8;

fn compare<N: Ord + std::fmt::Display, T: PartialEq>(
    sort: &str,
    old: &BTreeMap<N, T>,
    new: &BTreeMap<N, T>,
    phrases: &mut Vec<String>,
) {
    let added = new.keys().filter(|name| !old.contains_key(*name)).collect();
    let removed = old.keys().filter(|name| !new.contains_key(*name)).collect();
    let changed = new
        .iter()
        .filter(|(name, now)| old.get(*name).is_some_and(|before| before != *now));
    let changed = changed.map(|(name, _)| name).collect();
    for (names, what) in [(added, "added"), (removed, "removed"), (changed, "changed")] {
        let names: Vec<&N> = names;
        if names.len() > NAMED_MAX {
            phrases.push(format!("{} {sort}s {what}", names.len()));
        } else {
            phrases.extend(names.into_iter().map(|name| format!("{sort} {name} {what}")));
        }
    }
}

/// What the certificates of a listener are called: what is in them is told of each by itself.
fn presented(tls: &Arc<ListenerTls>) -> Vec<Arc<str>> {
    tls.certificates.iter().map(|one| one.name.clone()).collect()
}

fn certificates(model: &Model) -> BTreeMap<&str, impl PartialEq> {
    let parts = model
        .listeners
        .iter()
        .filter_map(|listener| listener.tls.as_ref());
    let parts = parts.flat_map(|tls| &tls.certificates);
    parts.map(|one| (&*one.name, one)).collect()
}

fn routes(model: &Model) -> BTreeMap<&str, u64> {
    let parts = model.written.iter().map(|route| (&*route.name, route.mark));
    parts.collect()
}

fn clusters(model: &Model) -> BTreeMap<&str, impl PartialEq> {
    let parts = model
        .clusters
        .iter()
        .map(|c| (&*c.name, (&c.endpoints, &c.plan, &c.tls)));
    parts.collect()
}

fn rate_limits(model: &Model) -> BTreeMap<&str, impl PartialEq> {
    let parts = model.rate_limits.iter().map(|limit| (&*limit.name, &limit.plan));
    parts.collect()
}
