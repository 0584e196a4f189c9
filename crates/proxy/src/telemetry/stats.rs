//! What is counted outside of [`policy`]'s clusters, and how all of it is shown.
//!
//! Each worker writes its own numbers, without locks and without a cache line that another worker
//! writes; whoever asks adds them up.

mod catalogue;
mod certificates;
mod exposition;
mod histogram;
mod meter;
mod overload;
mod process;
mod prometheus;
pub(crate) mod reloads;
mod server;
mod tables;
pub(crate) mod view;

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use catalogue::{Detail, Snapshot};
pub use certificates::CertificateView;
pub use exposition::{JsonForm, Selection, Text};
pub use histogram::{Histogram, Summary};
pub use meter::{
    ClusterSummaries, ClusterTimes, Counter, Downstream, DownstreamTotals, Gauge, Kind, LogCounts, Reading,
};
pub use prometheus::{Exposition, Form};
pub(crate) use view::shown;
pub use view::{ClusterView, EndpointView, Liveness, NameView, ServerView};

/// One worker's numbers. Only that worker writes them: a number that two threads write loses counts.
#[derive(Debug, Default)]
pub struct WorkerStats {
    downstream: Downstream,
    clusters: Mutex<BTreeMap<Arc<str>, Arc<ClusterTimes>>>,
}

impl WorkerStats {
    /// What this worker measures of each of these clusters, in their order. The others are forgotten:
    /// numbers of clusters that are gone must not pile up. Takes milliseconds where there are
    /// thousands, and a lock that only the admin ever holds besides.
    pub fn adopt<'a>(&self, names: impl IntoIterator<Item = &'a Arc<str>>) -> Vec<Arc<ClusterTimes>> {
        let mut clusters = self.clusters();
        let before = std::mem::take(&mut *clusters);
        let mut times = Vec::new();
        let named = names.into_iter().map(|name| {
            let known = before.get(name).cloned().unwrap_or_default();
            times.push(Arc::clone(&known));
            (Arc::clone(name), known)
        });
        *clusters = named.collect();
        times
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
