//! What a reload changes, in a few words for the log.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::model::Model;

/// What differs between two models, one phrase each: `route default/web changed`,
/// `cluster default/api added`. Empty if nothing does. Long lists are cut to a count.
#[must_use]
pub fn changes(old: &Model, new: &Model) -> Vec<String> {
    let mut phrases = Vec::new();
    let listeners = |model: &Model| -> BTreeMap<String, _> {
        model
            .listeners
            .iter()
            .map(|l| (format!("{} on {}", l.name, l.address), l.hostname.clone()))
            .collect()
    };
    compare("listener", &listeners(old), &listeners(new), &mut phrases);
    compare("route", &routes(old), &routes(new), &mut phrases);
    let clusters = |model: &Model| -> BTreeMap<String, _> {
        let parts =
            |c: &crate::model::ClusterSpec| (c.name.to_string(), (c.endpoints.clone(), c.plan.clone()));
        model.clusters.iter().map(parts).collect()
    };
    compare("cluster", &clusters(old), &clusters(new), &mut phrases);
    if old.access_log != new.access_log {
        phrases.push("access log changed".to_owned());
    }
    if old.downstream != new.downstream {
        phrases.push("client limits changed".to_owned());
    }
    phrases
}

/// More of one sort are counted instead of named.
const NAMED_MAX: usize = 8;

fn compare<T: PartialEq>(
    sort: &str,
    old: &BTreeMap<String, T>,
    new: &BTreeMap<String, T>,
    phrases: &mut Vec<String>,
) {
    let added = new.keys().filter(|name| !old.contains_key(*name)).collect();
    let removed = old.keys().filter(|name| !new.contains_key(*name)).collect();
    let changed = new
        .iter()
        .filter(|(name, now)| old.get(*name).is_some_and(|before| before != *now));
    let changed = changed.map(|(name, _)| name).collect();
    for (names, what) in [(added, "added"), (removed, "removed"), (changed, "changed")] {
        let names: Vec<&String> = names;
        if names.len() > NAMED_MAX {
            phrases.push(format!("{} {sort}s {what}", names.len()));
        } else {
            phrases.extend(names.into_iter().map(|name| format!("{sort} {name} {what}")));
        }
    }
}

/// The HTTPRoutes as written, by `namespace/name`.
fn routes(model: &Model) -> BTreeMap<String, &Value> {
    let resources = model.dump.as_array().into_iter().flatten();
    resources
        .filter(|resource| resource["kind"] == "HTTPRoute")
        .map(|resource| {
            let text = |field| resource["metadata"][field].as_str();
            let name = format!(
                "{}/{}",
                text("namespace").unwrap_or("default"),
                text("name").unwrap_or_default()
            );
            (name, &resource["spec"])
        })
        .collect()
}
