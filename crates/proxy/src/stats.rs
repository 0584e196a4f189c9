//! What is counted outside of [`policy`]'s clusters, and how all of it is shown.
//!
//! Each worker writes its own numbers, without locks and without a cache line that another worker
//! writes; whoever asks adds them up.

mod catalogue;
mod exposition;
mod histogram;
mod meter;
mod tables;
mod view;

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use catalogue::Snapshot;
pub use exposition::{Selection, json, prometheus, text};
pub use histogram::{Histogram, Summary};
pub use meter::{
    ClusterSummaries, ClusterTimes, Counter, Downstream, DownstreamTotals, Gauge, Kind, LogCounts, Reading,
};
pub(crate) use view::shown;
pub use view::{ClusterView, Liveness, ServerView};

/// One worker's numbers. Only that worker writes them: a number that two threads write loses counts.
#[derive(Debug, Default)]
pub struct WorkerStats {
    downstream: Downstream,
    clusters: Mutex<BTreeMap<Arc<str>, Arc<ClusterTimes>>>,
}

impl WorkerStats {
    /// What this worker measures of a cluster. Takes this worker's own lock, which only the admin
    /// ever holds besides.
    #[must_use]
    pub fn cluster(&self, name: &Arc<str>) -> Arc<ClusterTimes> {
        let mut clusters = self.clusters();
        match clusters.get(name) {
            Some(times) => Arc::clone(times),
            None => Arc::clone(clusters.entry(Arc::clone(name)).or_default()),
        }
    }

    /// Forgets the clusters that `keep` does not name, after a reload: numbers of clusters that are
    /// gone must not pile up.
    pub fn retain_clusters(&self, keep: impl Fn(&str) -> bool) {
        self.clusters().retain(|name, _| keep(name));
    }

    fn clusters(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Arc<ClusterTimes>>> {
        // The map is whole whatever happened to whoever held the lock.
        self.clusters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deref for WorkerStats {
    type Target = Downstream;

    fn deref(&self) -> &Downstream {
        &self.downstream
    }
}

/// What all workers counted of their clients.
#[must_use]
pub fn downstream(workers: &[Arc<WorkerStats>]) -> DownstreamTotals {
    let mut totals = DownstreamTotals::default();
    workers.iter().for_each(|worker| totals.add(&worker.downstream));
    totals
}

/// What all workers measured of one cluster.
#[must_use]
pub fn cluster(workers: &[Arc<WorkerStats>], name: &str) -> ClusterSummaries {
    let mut summaries = ClusterSummaries::default();
    for worker in workers {
        let times = worker.clusters().get(name).cloned();
        times.iter().for_each(|times| summaries.add(times));
    }
    summaries
}

#[cfg(test)]
pub(crate) mod tests;
