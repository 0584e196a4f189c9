//! Hostnames: whole names, `*.` wildcards, any; the most specific one first.

use std::collections::BTreeMap;

use super::prefix_index::{Labels, PrefixIndex, Reading};

/// A hostname of a listener or route, taken apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum HostPattern {
    /// Every host, and requests without one.
    Any,
    /// `*.` and this: one label or more to its left, so not the name itself.
    Wildcard(Box<str>),
    /// This name.
    Exact(Box<str>),
}

impl HostPattern {
    /// Takes a hostname apart; none, or a bare `*`, is any.
    pub(super) fn read(hostname: Option<&str>) -> Self {
        match hostname {
            None | Some("" | "*") => Self::Any,
            Some(name) => match name.strip_prefix("*.") {
                Some(suffix) => Self::Wildcard(suffix.into()),
                None => Self::Exact(name.into()),
            },
        }
    }

    /// All hostnames of a route, each once; any if there is none.
    pub(super) fn read_all(hostnames: &[String]) -> Vec<Self> {
        let mut patterns: Vec<_> = hostnames.iter().map(|name| Self::read(Some(name))).collect();
        if patterns.is_empty() {
            patterns.push(Self::Any);
        }
        patterns.sort_unstable();
        patterns.dedup();
        patterns
    }
}

/// Whether some host matches both hostnames (lower case, `*.` prefix allowed; `None` is any). A route
/// of whose hostnames none intersects with a listener's is not attached to it.
#[must_use]
pub fn hostnames_intersect(listener: Option<&str>, route: Option<&str>) -> bool {
    use HostPattern::{Any, Exact, Wildcard};
    match (HostPattern::read(listener), HostPattern::read(route)) {
        (Any, _) | (_, Any) => true,
        (Exact(one), Exact(other)) => one == other,
        (Wildcard(suffix), Exact(name)) | (Exact(name), Wildcard(suffix)) => Labels::covers(&suffix, &name),
        (Wildcard(one), Wildcard(other)) => {
            one == other || Labels::covers(&one, &other) || Labels::covers(&other, &one)
        }
    }
}

/// Values by hostname.
#[derive(Debug)]
pub(super) struct HostMap<T> {
    exact: BTreeMap<Box<str>, T>,
    wildcard: PrefixIndex<Labels, T>,
    any: Option<T>,
}

impl<T> HostMap<T> {
    /// The value of the most specific hostname that matches.
    pub(super) fn closest(&self, host: &str) -> Option<&T> {
        self.exact.get(host).or_else(|| self.covering(host))
    }

    /// The value of the most specific of those hostnames that match whatever `hostname` does.
    pub(super) fn less_specific(&self, hostname: &HostPattern) -> Option<&T> {
        match hostname {
            HostPattern::Any => None,
            HostPattern::Wildcard(name) | HostPattern::Exact(name) => self.covering(name),
        }
    }

    /// The hostnames, as they are written: whole names, wildcards, `*` for any.
    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        let exact = self.exact.keys().map(|name| name.to_string());
        let wildcard = self.wildcard.keys().map(|suffix| format!("*.{suffix}"));
        let any = self.any.iter().map(|_| String::from("*"));
        exact.chain(wildcard).chain(any)
    }

    /// All values, in no order of meaning.
    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        let wildcard = self.wildcard.values();
        self.exact.values().chain(wildcard).chain(&self.any)
    }

    fn covering(&self, name: &str) -> Option<&T> {
        let wildcard = self.wildcard.covering(name).next();
        wildcard.map(|(_, value)| value).or(self.any.as_ref())
    }
}

impl<T> FromIterator<(HostPattern, T)> for HostMap<T> {
    fn from_iter<I: IntoIterator<Item = (HostPattern, T)>>(hosts: I) -> Self {
        let (mut exact, mut wildcard, mut any) = (BTreeMap::new(), Vec::new(), None);
        for (pattern, value) in hosts {
            match pattern {
                HostPattern::Any => any = Some(value),
                HostPattern::Wildcard(suffix) => wildcard.push((suffix, value)),
                HostPattern::Exact(name) => _ = exact.insert(name, value),
            }
        }
        Self {
            exact,
            wildcard: PrefixIndex::new(wildcard),
            any,
        }
    }
}
