//! How many client connections there are, over all workers: in all, and by the address they came to.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// The counts of one process.
#[derive(Debug, Default)]
pub(crate) struct ConnectionCounts {
    all: AtomicUsize,
    by_address: Mutex<BTreeMap<SocketAddr, Arc<AtomicUsize>>>,
}

impl ConnectionCounts {
    /// The count of one configured address, the same for every worker. For who starts to listen
    /// there: it takes a lock.
    pub(crate) fn of(&self, address: SocketAddr) -> Arc<AtomicUsize> {
        let mut counts = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever listens, and every connection, holds its count.
        counts.retain(|_, count| Arc::strong_count(count) > 1);
        counts.entry(address).or_default().clone()
    }

    /// All client connections.
    pub(crate) fn all(&self) -> usize {
        self.all.load(Relaxed)
    }

    /// One more, of those that came to the address of this count.
    pub(crate) fn opened(&self, at: &AtomicUsize) {
        self.all.fetch_add(1, Relaxed);
        at.fetch_add(1, Relaxed);
    }

    /// One less.
    pub(crate) fn closed(&self, at: &AtomicUsize) {
        self.all.fetch_sub(1, Relaxed);
        at.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_connections_of_an_address_are_counted_apart_and_outlive_its_listener() {
        let counts = ConnectionCounts::default();
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let (one, other) = (counts.of(at(1)), counts.of(at(2)));
        counts.opened(&one);
        counts.opened(&one);
        counts.opened(&other);
        assert_eq!((counts.all(), one.load(Relaxed), other.load(Relaxed)), (3, 2, 1));
        drop(counts.of(at(1)));
        assert_eq!(
            counts.of(at(1)).load(Relaxed),
            2,
            "every worker has the same count"
        );
        counts.closed(&one);
        assert_eq!((counts.all(), counts.of(at(1)).load(Relaxed)), (2, 1));
        drop((one, other));
        assert_eq!(counts.of(at(3)).load(Relaxed), 0);
        assert_eq!(
            counts.by_address.lock().expect("no panic").len(),
            1,
            "the others are forgotten"
        );
    }
}
