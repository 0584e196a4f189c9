//! One match of one rule: what it asks of a request besides host and path, and its place among others.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use crate::filter::Filter;

use super::{MatchSpec, PathMatch, RequestView, Route, RouteSpec, ValueMatch, query};

/// One match of one rule.
#[derive(Debug)]
pub(super) struct Candidate {
    path: PathMatch,
    method: Option<String>,
    headers: Vec<(String, ValueMatch)>,
    query: Vec<(String, ValueMatch)>,
    /// Whether the rule answers preflights.
    cors: bool,
    route: Arc<Route>,
    precedence: Precedence,
}

/// The order of candidates of equal host and path, best first: compared field by field.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Precedence {
    method: Reverse<bool>,
    headers: Reverse<usize>,
    query: Reverse<usize>,
    age_rank: u64,
    name: Arc<str>,
    rule: usize,
    place: usize,
}

impl Candidate {
    /// Every match of every rule of a route.
    pub(super) fn all_of(spec: &RouteSpec) -> Vec<Arc<Self>> {
        let mut all = Vec::new();
        for (rule, spec_of_rule) in spec.rules.iter().enumerate() {
            let every_path = [MatchSpec::default()];
            let matches = match spec_of_rule.matches.as_slice() {
                [] => &every_path,
                matches => matches,
            };
            for (place, asked) in matches.iter().enumerate() {
                let (headers, query) = (first_of_each(&asked.headers), first_of_each(&asked.query));
                let precedence = Precedence {
                    method: Reverse(asked.method.is_some()),
                    headers: Reverse(headers.len()),
                    query: Reverse(query.len()),
                    age_rank: spec.age_rank,
                    name: spec.name.clone(),
                    rule,
                    place,
                };
                all.push(Arc::new(Self {
                    path: asked
                        .path
                        .clone()
                        .unwrap_or_else(|| PathMatch::Prefix("/".to_owned())),
                    method: asked.method.clone(),
                    headers,
                    query,
                    cors: spec_of_rule
                        .action
                        .filters
                        .iter()
                        .any(|filter| matches!(filter, Filter::Cors(_))),
                    route: spec_of_rule.action.clone(),
                    precedence,
                }));
            }
        }
        all
    }

    /// What it asks of the path.
    pub(super) fn path(&self) -> &PathMatch {
        &self.path
    }

    /// Where it leads.
    pub(super) fn route(&self) -> &Arc<Route> {
        &self.route
    }

    /// Its place among candidates of equal host and path.
    pub(super) fn precedence(&self) -> &Precedence {
        &self.precedence
    }

    /// Whether method, fields and query are as asked. Host and path have been looked at.
    pub(super) fn matches(&self, request: &impl RequestView) -> bool {
        let parameter = |name: &str| query::first(request.query()?, name);
        self.method
            .as_deref()
            .is_none_or(|method| self.takes(method, request))
            && self
                .headers
                .iter()
                .all(|(name, asked)| request.header(name).is_some_and(|v| asked.holds(&v)))
            && self
                .query
                .iter()
                .all(|(name, asked)| parameter(name).is_some_and(|v| asked.holds(&v)))
    }
}

impl Candidate {
    fn takes(&self, method: &str, request: &impl RequestView) -> bool {
        method == request.method() || (self.cors && request.preflight() == Some(method))
    }
}

impl ValueMatch {
    /// Whether a value is as asked.
    fn holds(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(asked) => asked.as_bytes() == value,
            Self::Regex(pattern) => std::str::from_utf8(value).is_ok_and(|value| pattern.is_match(value)),
        }
    }
}

/// The entries without those whose name an earlier one has.
fn first_of_each(entries: &[(String, ValueMatch)]) -> Vec<(String, ValueMatch)> {
    let mut seen = BTreeSet::new();
    entries
        .iter()
        .filter(|(name, _)| seen.insert(name))
        .cloned()
        .collect()
}

/// Compiles an expression so that only the whole of a text can match it. The syntax is RE2's, and
/// matching takes time linear in the text.
///
/// # Errors
/// The expression is none, or compiled it would take more than 1 MiB.
pub fn anchored(pattern: &str) -> Result<Regex, regex::Error> {
    let compile = |pattern: &str| RegexBuilder::new(pattern).size_limit(PATTERN_BYTES_MAX).build();
    // Alone first: `a)|(?:b` is not an expression, and would escape from the group below.
    compile(pattern)?;
    compile(&format!(r"\A(?:{pattern})\z"))
}

/// Past this the expression is refused when it is read, as a table of many routes is held in memory
/// twice while a configuration is exchanged.
const PATTERN_BYTES_MAX: usize = 1024 * 1024;
