//! Nested keys (path prefixes, host suffixes), and those of them that cover a probe, found by one
//! binary search.
//!
//! Keys are sorted so that the separator comes before every other byte. Then all that a key covers
//! follows it without a gap, and so each key that covers a probe is either the probe's predecessor
//! or one of the predecessor's ancestors. The search does not depend on how many segments or labels
//! a client sends.

use std::cmp::Ordering;
use std::marker::PhantomData;

/// How keys are read: their order, and what it means to cover.
pub(super) trait Reading {
    /// The order of two texts.
    fn order(one: &str, other: &str) -> Ordering;
    /// Whether `key` covers `probe`. Transitive, and only ever true if `key` is not after `probe`.
    fn covers(key: &str, probe: &str) -> bool;
}

/// Paths, read from the left: `/a` covers `/a` and `/a/b`, not `/ab`. The empty key covers all.
#[derive(Debug)]
pub(super) struct Segments;

/// Host names, read from the right: `example.com` covers `a.example.com`, and not itself.
#[derive(Debug)]
pub(super) struct Labels;

impl Reading for Segments {
    fn order(one: &str, other: &str) -> Ordering {
        let same = in_common(one.as_bytes(), other.as_bytes());
        let next = |text: &str| text.as_bytes().get(same).copied().map(rank::<b'/'>);
        next(one).cmp(&next(other))
    }

    fn covers(key: &str, probe: &str) -> bool {
        let rest = probe.strip_prefix(key);
        key.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl Reading for Labels {
    fn order(one: &str, other: &str) -> Ordering {
        one.bytes()
            .rev()
            .map(rank::<b'.'>)
            .cmp(other.bytes().rev().map(rank::<b'.'>))
    }

    fn covers(key: &str, probe: &str) -> bool {
        probe
            .strip_suffix(key)
            .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
    }
}

/// How many bytes two texts have in common before they differ, or one ends.
fn in_common(one: &[u8], other: &[u8]) -> usize {
    let words = one.as_chunks::<8>().0.iter().zip(other.as_chunks::<8>().0);
    let same = 8 * words.take_while(|(one, other)| one == other).count();
    let bytes = one[same..].iter().zip(&other[same..]);
    same + bytes.take_while(|(one, other)| one == other).count()
}

/// A byte's place in the order: the separator first. UTF-8 has no byte that this could overflow.
fn rank<const SEPARATOR: u8>(byte: u8) -> u8 {
    if byte == SEPARATOR { 0 } else { byte + 1 }
}

/// Keys with their values, sorted, each knowing the closest key that covers it.
#[derive(Debug)]
pub(super) struct PrefixIndex<R, T> {
    entries: Vec<Entry<T>>,
    reading: PhantomData<R>,
}

#[derive(Debug)]
struct Entry<T> {
    key: Box<str>,
    parent: Option<usize>,
    value: T,
}

impl<R: Reading, T> PrefixIndex<R, T> {
    /// Its keys, in their order.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| &*entry.key)
    }

    /// Its values, in the order of their keys.
    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().map(|entry| &entry.value)
    }

    /// Sorts the keys, each of which must be there once.
    pub(super) fn new(keyed: impl IntoIterator<Item = (Box<str>, T)>) -> Self {
        let mut entries: Vec<_> = keyed
            .into_iter()
            .map(|(key, value)| Entry {
                key,
                parent: None,
                value,
            })
            .collect();
        entries.sort_unstable_by(|one, other| R::order(&one.key, &other.key));
        for at in 1..entries.len() {
            let key = &entries[at].key;
            let mut parent = Some(at - 1);
            while let Some(above) = parent.filter(|&above| !R::covers(&entries[above].key, key)) {
                parent = entries[above].parent;
            }
            entries[at].parent = parent;
        }
        Self {
            entries,
            reading: PhantomData,
        }
    }

    /// The keys that cover `probe`, the longest first, with their values.
    pub(super) fn covering<'a>(
        &'a self,
        probe: &str,
    ) -> impl Iterator<Item = (&'a str, &'a T)> + use<'a, R, T> {
        let after = self
            .entries
            .partition_point(|entry| R::order(&entry.key, probe).is_le());
        let mut longest = after.checked_sub(1);
        while let Some(at) = longest.filter(|&at| !R::covers(&self.entries[at].key, probe)) {
            longest = self.entries[at].parent;
        }
        let chain = std::iter::successors(longest, |&at| self.entries[at].parent);
        chain.map(|at| (&*self.entries[at].key, &self.entries[at].value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covering<R: Reading>(keys: &[&str], probe: &str) -> Vec<String> {
        let prefix_index = PrefixIndex::<R, ()>::new(keys.iter().map(|&key| (key.into(), ())));
        prefix_index
            .covering(probe)
            .map(|(key, ())| key.to_owned())
            .collect()
    }

    #[test]
    fn a_path_is_covered_by_whole_segments_and_the_longest_comes_first() {
        let keys = ["", "/a", "/a/b", "/a/b/c/d", "/a-b", "/ab", "/b"];
        assert_eq!(covering::<Segments>(&keys, "/a/b/c"), ["/a/b", "/a", ""]);
        assert_eq!(covering::<Segments>(&keys, "/a"), ["/a", ""]);
        assert_eq!(covering::<Segments>(&keys, "/a/"), ["/a", ""]);
        assert_eq!(covering::<Segments>(&keys, "/abc"), [""]);
        assert_eq!(covering::<Segments>(&keys, "*"), [""]);
        assert_eq!(covering::<Segments>(&keys[1..], "/"), Vec::<String>::new());
    }

    #[test]
    fn a_host_is_covered_by_what_follows_its_first_labels() {
        let keys = ["com", "example.com", "a.example.com", "bexample.com"];
        assert_eq!(
            covering::<Labels>(&keys, "b.a.example.com"),
            ["a.example.com", "example.com", "com"]
        );
        assert_eq!(covering::<Labels>(&keys, "example.com"), ["com"]);
        assert_eq!(covering::<Labels>(&keys, "cexample.com"), ["com"]);
        assert_eq!(covering::<Labels>(&keys, ".example.com"), ["com"]);
        assert_eq!(covering::<Labels>(&keys, ""), Vec::<String>::new());
    }
}
