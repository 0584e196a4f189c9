//! Paths of one hostname: exact, then expressions, then prefixes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::candidate::Candidate;
use super::expressions::Expressions;
use super::prefix_index::{PrefixIndex, Segments};
use super::{Matched, PathMatch, RequestView};

/// The candidates of one hostname by path. Candidates of equal path are in one list, best first.
#[derive(Debug)]
pub(super) struct PathMap {
    exact: BTreeMap<Box<str>, Vec<Arc<Candidate>>>,
    patterns: Expressions<Arc<Candidate>>,
    /// Without trailing slash: the root is the empty key.
    prefixes: PrefixIndex<Segments, Vec<Arc<Candidate>>>,
}

impl PathMap {
    /// Sorts the candidates in.
    pub(super) fn new(mut candidates: Vec<Arc<Candidate>>) -> Self {
        candidates.sort_by(|one, other| one.precedence().cmp(other.precedence()));
        let (mut exact, mut patterns, mut prefixes) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
        for candidate in candidates {
            let list: &mut Vec<_> = match candidate.path() {
                PathMatch::Exact(path) => exact.entry(Box::from(path.as_str())).or_default(),
                PathMatch::Prefix(prefix) => prefixes.entry(trimmed(prefix)).or_default(),
                PathMatch::Regex(pattern) => {
                    patterns.push((pattern.clone(), candidate));
                    continue;
                }
            };
            list.push(candidate);
        }
        Self {
            exact,
            patterns: Expressions::new(patterns),
            prefixes: PrefixIndex::new(prefixes),
        }
    }

    /// The first candidate that matches.
    pub(super) fn find<'a>(&'a self, request: &impl RequestView) -> Option<Matched<'a>> {
        let path = request.path();
        let matching = |list: &'a [Arc<Candidate>]| list.iter().find(|candidate| candidate.matches(request));
        if let Some(candidate) = self.exact.get(path).and_then(|list| matching(list)) {
            return Some(Matched {
                route: candidate.route(),
                prefix: None,
            });
        }
        if let Some(candidate) = self.patterns.find(path, |candidate| candidate.matches(request)) {
            return Some(Matched {
                route: candidate.route(),
                prefix: None,
            });
        }
        self.prefixes.covering(path).find_map(|(prefix, list)| {
            let prefix = if prefix.is_empty() { "/" } else { prefix };
            Some(Matched {
                route: matching(list)?.route(),
                prefix: Some(prefix),
            })
        })
    }
}

/// A prefix as key: without trailing slash.
fn trimmed(prefix: &str) -> Box<str> {
    prefix.trim_end_matches('/').into()
}
