//! Rules that no request comes to, because other rules match the same and come first.

use std::collections::{BTreeMap, BTreeSet};

use policy::route::{ListenerId, MatchSpec, RouteSpec};

use crate::mistake::{Code, Report};
use crate::node::Spot;

use super::view::View;

/// A listener, a hostname, and all of a match, written out.
type Key = (ListenerId, String, String);

/// A rule: its route's rank and name, and its place in it. The least comes first.
type Rank = (u64, String, usize);

/// All rules by what they match.
#[derive(Debug, Default)]
pub(super) struct Shadows {
    first: BTreeMap<Key, Rank>,
    rules: Vec<(Rank, Spot, Vec<Key>)>,
    spots: BTreeMap<Rank, Spot>,
}

impl Shadows {
    /// Notes what a route's rules match.
    pub(super) fn add(&mut self, route: &RouteSpec, spec: View<'_>) {
        let views = spec.objects("rules");
        for (at, (rule, view)) in route.rules.iter().zip(&views).enumerate() {
            let rank: Rank = (route.age_rank, route.name.to_string(), at);
            let mut keys = Vec::new();
            for listener in &route.listeners {
                let any = [String::new()];
                let hosts = if route.hostnames.is_empty() {
                    &any[..]
                } else {
                    &route.hostnames
                };
                for host in hosts {
                    let matches = if rule.matches.is_empty() {
                        vec![written(&MatchSpec::default())]
                    } else {
                        rule.matches.iter().map(written).collect()
                    };
                    keys.extend(matches.into_iter().map(|one| (*listener, host.clone(), one)));
                }
            }
            for key in &keys {
                let first = self.first.entry(key.clone()).or_insert_with(|| rank.clone());
                if rank < *first {
                    first.clone_from(&rank);
                }
            }
            self.spots.insert(rank.clone(), view.spot());
            self.rules.push((rank, view.spot(), keys));
        }
    }

    /// Notes each rule of which another one comes first for everything that it matches.
    pub(super) fn tell(self, report: &mut Report) {
        let mut told = BTreeSet::new();
        for (rank, spot, keys) in &self.rules {
            let winners: Vec<&Rank> = keys.iter().filter_map(|key| self.first.get(key)).collect();
            let Some(first) = winners.first() else { continue };
            if winners.contains(&rank) || !told.insert(rank) {
                continue;
            }
            let by = if first.1 == rank.1 {
                "an earlier rule of this route".to_owned()
            } else {
                format!("HTTPRoute `{}`", first.1)
            };
            let mistake = report.error(
                Code::Shadowed,
                *spot,
                format!("no request comes to this rule: {by} matches the same and comes first"),
            );
            if let Some(other) = self.spots.get(*first) {
                mistake.also(*other, "that one");
            }
            mistake.help("the older route wins, then the first by name, then the earlier rule; change what one of them matches, or remove it");
        }
    }
}

/// A match as text: equal texts match the same.
fn written(one: &MatchSpec) -> String {
    let mut headers: Vec<String> = one.headers.iter().map(|header| format!("{header:?}")).collect();
    let mut query: Vec<String> = one.query.iter().map(|param| format!("{param:?}")).collect();
    headers.sort();
    query.sort();
    let path = one
        .path
        .as_ref()
        .map_or_else(|| "Prefix(\"/\")".to_owned(), |path| format!("{path:?}"));
    format!("{path} {:?} {headers:?} {query:?}", one.method)
}
