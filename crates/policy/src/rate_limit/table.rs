//! Buckets by value, in bounded memory.

use std::collections::{BTreeMap, VecDeque};
use std::hash::Hasher;

use super::Rate;
use crate::time::Moment;

/// One bucket, as the moment at which it is full again if nothing more is taken: it says how much is
/// missing (the generic cell rate algorithm's theoretical arrival time).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bucket {
    full_at: Moment,
}

impl Bucket {
    /// Full since ever.
    pub(super) const FULL: Self = Self {
        full_at: Moment::from_nanos(0),
    };

    /// Whether one request could be taken out, and when the bucket is full again as it is.
    pub(super) fn look(self, rate: Rate, now: Moment) -> Result<Moment, Moment> {
        let mut copy = self;
        copy.take(rate, now).map(|_| self.full_at)
    }

    /// Takes one request out. Either way it says when the bucket is full again.
    pub(super) fn take(&mut self, rate: Rate, now: Moment) -> Result<Moment, Moment> {
        let after = self.full_at.max(now) + rate.each();
        if after.since(now) > rate.all() {
            return Err(self.full_at);
        }
        self.full_at = after;
        Ok(after)
    }
}

/// The buckets that are not full, by value.
///
/// ```text
///   line:  (t1, a) (t2, b) (t3, c) ...       in the order of entering; each value is in it once
///            |
///            '- looked at with every new value: full by now -> gone
///                                               taken from since -> to the end, with its new moment
///                                               else it stays, unless its place is needed
/// ```
#[derive(Debug)]
pub(super) struct Table<K> {
    buckets: BTreeMap<K, Bucket>,
    line: VecDeque<(Moment, K)>,
    most: usize,
}

/// How many values at the head of the line are looked at with every new one. More than one, so that
/// the line gets shorter while new values come.
const LOOKS: usize = 3;

impl<K: Ord + Copy> Table<K> {
    pub(super) fn new() -> Self {
        Self {
            buckets: BTreeMap::new(),
            line: VecDeque::new(),
            most: 1,
        }
    }

    /// From now on it holds no more than `most` values, and at least one.
    pub(super) fn bound(&mut self, most: usize) {
        self.most = most.max(1);
        while self.buckets.len() > self.most {
            self.forget_first();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.buckets.len()
    }

    /// The bucket of a value: full, if it is not remembered.
    pub(super) fn get(&self, key: &K) -> Bucket {
        self.buckets.get(key).copied().unwrap_or(Bucket::FULL)
    }

    /// Does something to the bucket of a value.
    pub(super) fn with<T>(&mut self, key: &K, now: Moment, act: impl FnOnce(&mut Bucket) -> T) -> T {
        if let Some(bucket) = self.buckets.get_mut(key) {
            return act(bucket);
        }
        self.tidy(now);
        if self.buckets.len() >= self.most {
            self.forget_first();
        }
        let mut bucket = Bucket::FULL;
        let result = act(&mut bucket);
        self.buckets.insert(*key, bucket);
        self.line.push_back((bucket.full_at, *key));
        result
    }

    /// Looks at the head of the line.
    fn tidy(&mut self, now: Moment) {
        for _ in 0..LOOKS {
            let Some((seen, key)) = self.line.pop_front() else {
                return;
            };
            let full_at = self.buckets.get(&key).map_or(Moment::default(), |b| b.full_at);
            if full_at <= now {
                self.buckets.remove(&key);
            } else if full_at > seen {
                self.line.push_back((full_at, key));
            } else {
                self.line.push_front((seen, key));
                return;
            }
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, key)) = self.line.pop_front() {
            self.buckets.remove(&key);
        }
    }
}

/// A field's value as a key: all of it up to [`TEXT_MAX`] bytes; of a longer one its beginning and two
/// sums over all of it, so that tokens which begin alike are told apart, and memory stays bounded. Who
/// finds two values that are not told apart has one bucket for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TextKey {
    length: usize,
    start: [u8; TEXT_MAX],
    sums: [u64; 2],
}

const TEXT_MAX: usize = 40;

impl TextKey {
    pub(super) fn of(value: &[u8]) -> Self {
        let kept = value.len().min(TEXT_MAX);
        let mut start = [0; TEXT_MAX];
        start[..kept].copy_from_slice(&value[..kept]);
        let sum = |seed: u8| {
            // The one hasher of the standard library without a random key: the same on every run.
            let mut hasher = std::hash::DefaultHasher::new();
            hasher.write_u8(seed);
            hasher.write(value);
            hasher.finish()
        };
        let is_whole = kept == value.len();
        Self {
            length: value.len(),
            start,
            sums: if is_whole { [0; 2] } else { [sum(0), sum(1)] },
        }
    }
}

#[cfg(test)]
impl<K: Ord + Copy> Table<K> {
    /// Whether each value is in the line once.
    pub(super) fn is_consistent(&self) -> bool {
        let in_line: std::collections::BTreeSet<K> = self.line.iter().map(|&(_, key)| key).collect();
        self.line.len() == self.buckets.len() && in_line.iter().eq(self.buckets.keys())
    }
}
