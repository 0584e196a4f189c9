//! Head -> Route, by the Gateway API's precedence. Matching is by tree and map, so its cost does
//! not grow with the number of routes.

use std::sync::Arc;
use std::time::Duration;

use crate::filter::Filter;
use crate::plan::RetryPlan;
use crate::time::Dice;

/// What routing looks at, offered by the shell's request head.
pub trait RequestView {
    /// The method, as sent.
    fn method(&self) -> &str;
    /// The host in lower case, without port and trailing dot; empty if there is none (HTTP/1.0).
    fn host(&self) -> &str;
    /// The path in its one normal form, without query. `*` for `OPTIONS *`.
    fn path(&self) -> &str;
    /// The query, without `?`; `None` if the target has none.
    fn query(&self) -> Option<&str>;
    /// The field's value; several fields of the name are one, joined by `,` (RFC 9110, 5.2).
    /// `name` is in lower case.
    fn header(&self, name: &str) -> Option<std::borrow::Cow<'_, [u8]>>;
}

/// The listener that a request came in by: index into the configuration's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenerId(pub u32);

/// A cluster, as index into the snapshot's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterRef(pub u32);

/// One HTTPRoute as attached to listeners: the operator's words, checked.
#[derive(Clone, Debug)]
pub struct RouteSpec {
    /// `namespace/name`, for logs and ties.
    pub name: Arc<str>,
    /// Where it is attached, with the listener's own hostname filter (lower case, `*.` allowed).
    pub listeners: Vec<(ListenerId, Option<String>)>,
    /// Hostnames, lower case, `*.` prefix allowed; empty matches every host.
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
    /// Fields; all must match. Names in lower case, each once (the first one counts).
    pub headers: Vec<(String, ValueMatch)>,
    /// Query parameters; all must match.
    pub query: Vec<(String, ValueMatch)>,
    /// The method.
    pub method: Option<String>,
}

/// How a path matches.
#[derive(Clone, Debug)]
pub enum PathMatch {
    /// The whole path, letter by letter.
    Exact(String),
    /// Whole segments: `/a` matches `/a` and `/a/b`, not `/ab`. No trailing slash but in `/`.
    Prefix(String),
    /// The whole path must match (anchored).
    Regex(regex::Regex),
}

/// How a field's or parameter's value matches.
#[derive(Clone, Debug)]
pub enum ValueMatch {
    /// Letter by letter.
    Exact(String),
    /// The whole value must match (anchored).
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
pub struct RouteTable {}

/// A route that matched, with what filters need to know of the match.
#[derive(Clone, Debug)]
pub struct Matched<'a> {
    /// The route.
    pub route: &'a Arc<Route>,
    /// The prefix that matched, for `ReplacePrefixMatch`; `None` for other kinds of match.
    pub prefix: Option<&'a str>,
}

#[expect(clippy::todo, unused_variables, reason = "to be written")]
impl RouteTable {
    /// Sorts the routes into their trees.
    #[must_use]
    pub fn build(specs: Vec<RouteSpec>) -> Self {
        todo!()
    }

    /// The route of a request that came in by `listener`.
    #[must_use]
    pub fn find<'a>(&'a self, listener: ListenerId, request: &impl RequestView) -> Option<Matched<'a>> {
        todo!()
    }
}
