//! Head -> Route, by the Gateway API's precedence. Matching is by binary search over sorted keys, and by one
//! automaton for all path expressions of a hostname, so
//! its cost hardly grows with the number of routes, and not at all with the number of segments or
//! labels that a client sends. A request that is told apart by host, path and method is routed
//! without an allocation.
//!
//! Which listener, which route:
//!
//! 1. Of the listeners that share the request's address, the one with the most specific hostname
//!    takes the request for good (listener isolation): routes of the others are not looked at.
//! 2. Of the routes attached to it, those with the most specific matching hostname come first: a
//!    whole name, then wildcards from the longest to the shortest, then routes without hostnames.
//!    The route's own hostname counts, not its intersection with the listener's. If none of its
//!    rules matches, the less specific ones have their turn: the Gateway API asks for a 404 only
//!    when no attached rule matches, and its conformance suite sends a request to a wildcard route
//!    although a route for the whole name exists.
//! 3. Of the rules of one hostname: exact path, then regular expression (the longer one first), then
//!    the longest prefix. The Gateway API leaves the place of expressions open; this is Envoy
//!    Gateway's choice, and the useful one, as an expression is written for what a prefix can not say.
//! 4. Of one path: with a method, more fields, more query parameters, the older route, the route's
//!    name in alphabetical order, the earlier rule.

mod candidate;
mod expressions;
mod host;
mod path;
mod prefix_index;
mod query;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use candidate::Candidate;
use host::{HostMap, HostPattern};
use path::PathMap;

pub use candidate::anchored;
pub use host::hostnames_intersect;

use crate::filter::Filter;
use crate::plan::RetryPlan;
use crate::time::Dice;

/// What routing looks at, offered by the shell's request head.
pub trait RequestView {
    /// The method, as sent.
    fn method(&self) -> &str;
    /// The path in the form in which it is matched, without query. `*` for `OPTIONS *`.
    fn path(&self) -> &str;
    /// The query, without `?`; `None` if the target has none.
    fn query(&self) -> Option<&str>;
    /// The field's value; several fields of the name are one, joined by `,` (RFC 9110, 5.2).
    /// `name` is in lower case.
    fn header(&self, name: &str) -> Option<std::borrow::Cow<'_, [u8]>>;
    /// The method that a CORS preflight asks for; `None` if the request is none. A match by method holds for
    /// it too where the rule has a CORS filter: it is that rule which has the answer.
    fn preflight(&self) -> Option<&str> {
        None
    }
}

/// The listener that a request came in by: index into the configuration's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenerId(pub u32);

/// What routing knows of a listener. Its place in the list given to [`RouteTable::build`] is its
/// [`ListenerId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerHost<'a> {
    /// Where it listens. Listeners of one address are told apart by hostname.
    pub address: SocketAddr,
    /// Its hostname filter, lower case, `*.` prefix allowed; `None` is every host. Listeners of one
    /// address and hostname are one: the routes of all are looked at.
    pub hostname: Option<&'a str>,
}

/// A cluster, as index into the snapshot's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterRef(pub u32);

/// A rate limit, as index into the snapshot's list. Routes with the same one share its buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RateLimitRef(pub u32);

/// One HTTPRoute as attached to listeners: the operator's words, checked.
#[derive(Clone, Debug)]
pub struct RouteSpec {
    /// `namespace/name`, for logs and ties.
    pub name: Arc<str>,
    /// Where it is attached.
    pub listeners: Vec<ListenerId>,
    /// Hostnames, lower case, `*.` prefix allowed; empty matches every host. Those that do not
    /// intersect with a listener's hostname are never reached there.
    pub hostnames: Vec<String>,
    /// Its rules, in order.
    pub rules: Vec<RuleSpec>,
    /// Creation order: the older route wins a tie, then the name in alphabetical order.
    pub age_rank: u64,
}

/// One rule of a route.
#[derive(Clone, Debug)]
pub struct RuleSpec {
    /// Alternatives; any may match. Empty is one match of every path.
    pub matches: Vec<MatchSpec>,
    /// What is done with a matching request.
    pub action: Arc<Route>,
}

/// One match: all of its parts must hold.
#[derive(Clone, Debug, Default)]
pub struct MatchSpec {
    /// The path; `None` is the prefix `/`.
    pub path: Option<PathMatch>,
    /// Fields; all must match. Names in lower case; of several entries with one name the first counts.
    pub headers: Vec<(String, ValueMatch)>,
    /// Query parameters; all must match. Of several entries with one name the first counts, and so
    /// does the first parameter of the name in a request. Names and values are compared after
    /// percent-decoding, with `+` as a space; an escape that is none stands for itself.
    pub query: Vec<(String, ValueMatch)>,
    /// The method.
    pub method: Option<String>,
}

/// How a path matches.
#[derive(Clone, Debug)]
pub enum PathMatch {
    /// The whole path, letter by letter.
    Exact(String),
    /// Whole segments: `/a` matches `/a` and `/a/b`, not `/ab`. A trailing slash means nothing. `/`
    /// matches every request, that for `*` included.
    Prefix(String),
    /// The whole path must match: made by [`anchored`].
    Regex(regex::Regex),
}

/// How a field's or parameter's value matches.
#[derive(Clone, Debug)]
pub enum ValueMatch {
    /// Letter by letter.
    Exact(String),
    /// The whole value must match: made by [`anchored`]. A value that is not UTF-8 never does.
    Regex(regex::Regex),
}

/// What is done with a matching request: filters, where to, time limits, retries.
#[derive(Clone, Debug)]
pub struct Route {
    /// `httproute/namespace/name/rule/N`, as Envoy Gateway names it; ends in `/NAME` of the rule if it has one.
    pub name: Arc<str>,
    /// Filters in the order they apply.
    pub filters: Vec<Filter>,
    /// Where to, by weight. Empty (and no redirect filter) answers 500.
    pub backends: Vec<WeightedBackend>,
    /// Gateway API `timeouts.request`; `None` leaves it to the cluster.
    pub request_timeout: Option<Limit>,
    /// Gateway API `timeouts.backendRequest`; `None` leaves it to the cluster.
    pub per_try_timeout: Option<Limit>,
    /// `retry`; `None` leaves it to the cluster.
    pub retry: Option<RetryPlan>,
    /// What bounds its requests; `None` is nothing.
    pub rate_limit: Option<RateLimitRef>,
}

/// A limit that may be switched off (`0s`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Switched off.
    Unlimited,
    /// After this long.
    After(Duration),
}

/// One backend of a route.
#[derive(Clone, Debug)]
pub struct WeightedBackend {
    /// Its share; 0 gets nothing.
    pub weight: u32,
    /// Where to; `None` is a reference that could not be resolved: its share answers 500.
    pub cluster: Option<ClusterRef>,
    /// Filters of this backendRef.
    pub filters: Vec<Filter>,
}

impl Route {
    /// Throws for a backend by weight; `None` if no weight is above 0.
    pub fn pick(&self, dice: &mut Dice) -> Option<&WeightedBackend> {
        if let [only] = self.backends.as_slice() {
            return (only.weight > 0).then_some(only);
        }
        let total: u64 = self.backends.iter().map(|b| u64::from(b.weight)).sum();
        let mut throw = dice.below(total);
        self.backends.iter().filter(|b| b.weight > 0).find(|b| {
            let weight = u64::from(b.weight);
            let hit = throw < weight;
            throw = throw.saturating_sub(weight);
            hit
        })
    }
}

/// All routes of a snapshot, ready to be matched.
#[derive(Debug, Default)]
pub struct RouteTable {
    /// For each [`ListenerId`], the place of its address in `addresses`.
    listeners: Vec<usize>,
    /// For each address, its listeners by hostname; for each of them, where in `hosts` the routes of a
    /// hostname are.
    addresses: Vec<HostMap<HostMap<HostPlace>>>,
    hosts: Vec<Host>,
}

/// Where in a table the routes of a host are: worth remembering, as one client mostly asks for one
/// host. It means nothing to another table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostPlace(u32);

/// The routes of one hostname of one listener.
#[derive(Debug)]
struct Host {
    paths: PathMap,
    /// Those of the next less specific hostname, which have their turn when none of these matches.
    next: Option<HostPlace>,
}

/// A route that matched, with what filters need to know of the match.
#[derive(Clone, Copy, Debug)]
pub struct Matched<'a> {
    /// The route.
    pub route: &'a Arc<Route>,
    /// The prefix that matched, for `ReplacePrefixMatch`; `None` for other kinds of match.
    pub prefix: Option<&'a str>,
}

impl RouteTable {
    /// Sorts the routes into their maps. A listener without routes still takes its requests away
    /// from the others of its address.
    ///
    /// # Panics
    /// If a route names a [`ListenerId`] beyond `listeners`.
    #[must_use]
    pub fn build(specs: Vec<RouteSpec>, listeners: &[ListenerHost<'_>]) -> Self {
        let mut places = BTreeMap::new();
        let mut drafts: Vec<BTreeMap<HostPattern, Draft>> = Vec::new();
        let mut attached = Vec::with_capacity(listeners.len());
        for listener in listeners {
            let address = *places.entry(listener.address).or_insert(drafts.len());
            drafts.resize_with(drafts.len().max(address + 1), BTreeMap::new);
            let hostname = HostPattern::read(listener.hostname);
            drafts[address].entry(hostname.clone()).or_default();
            attached.push((address, hostname));
        }
        for spec in specs {
            let hostnames = HostPattern::read_all(&spec.hostnames);
            let candidates = Candidate::all_of(&spec);
            for ListenerId(id) in spec.listeners {
                let (address, hostname) = &attached[id as usize];
                let draft = drafts[*address].entry(hostname.clone()).or_default();
                for hostname in &hostnames {
                    draft
                        .entry(hostname.clone())
                        .or_default()
                        .extend_from_slice(&candidates);
                }
            }
        }
        let mut hosts = Vec::new();
        Self {
            listeners: attached.into_iter().map(|(address, _)| address).collect(),
            addresses: drafts
                .into_iter()
                .map(|draft| settle(draft, &mut hosts))
                .collect(),
            hosts,
        }
    }

    /// The route of a request for `host` (in lower case, without port and trailing dot; empty if it
    /// names none). `listener` is any listener of the address that it came in by; which of them takes
    /// it is settled here, by hostname.
    #[must_use]
    pub fn find<'a>(
        &'a self,
        listener: ListenerId,
        host: &str,
        request: &impl RequestView,
    ) -> Option<Matched<'a>> {
        self.find_at(self.place(listener, host)?, request)
    }

    /// The first half of [`RouteTable::find`]: where the routes of a host are.
    #[must_use]
    pub fn place(&self, listener: ListenerId, host: &str) -> Option<HostPlace> {
        let address = *self.listeners.get(listener.0 as usize)?;
        self.addresses[address].closest(host)?.closest(host).copied()
    }

    /// Hostnames of routes at a listener's address, at most `most` of them, and how many there are: for
    /// whoever explains that none of them is the one that was asked for.
    #[must_use]
    pub fn hostnames(&self, listener: ListenerId, most: usize) -> (Vec<String>, usize) {
        let Some(&address) = self.listeners.get(listener.0 as usize) else {
            return (Vec::new(), 0);
        };
        let hostnames = || self.addresses[address].values().flat_map(HostMap::names);
        (hostnames().take(most).collect(), hostnames().count())
    }

    /// The second half: the route, among those of the host and the less specific hostnames.
    #[must_use]
    pub fn find_at<'a>(&'a self, place: HostPlace, request: &impl RequestView) -> Option<Matched<'a>> {
        let mut host = &self.hosts[place.0 as usize];
        loop {
            if let Some(matched) = host.paths.find(request) {
                return Some(matched);
            }
            host = &self.hosts[host.next?.0 as usize];
        }
    }
}

/// The routes of one listener while the table is being built.
type Draft = BTreeMap<HostPattern, Vec<Arc<Candidate>>>;

/// The listeners of one address, in their final form.
fn settle(listeners: BTreeMap<HostPattern, Draft>, hosts: &mut Vec<Host>) -> HostMap<HostMap<HostPlace>> {
    let mut of_listener = |draft: Draft| {
        let places = (hosts.len() as u32..).map(HostPlace);
        let map: HostMap<HostPlace> = draft.keys().cloned().zip(places).collect();
        hosts.extend(draft.into_iter().map(|(hostname, candidates)| Host {
            paths: PathMap::new(candidates),
            next: map.less_specific(&hostname).copied(),
        }));
        map
    };
    listeners
        .into_iter()
        .map(|(hostname, draft)| (hostname, of_listener(draft)))
        .collect()
}
