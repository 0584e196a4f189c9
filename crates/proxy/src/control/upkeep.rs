//! What has to be done from time to time whether or not a request comes: idle connections that are
//! too old, ejections whose term ends, pools that run full, configurations that nobody uses any more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use policy::cluster::Gauges;
use policy::time::Moment;
use tokio::time::MissedTickBehavior;

use super::Control;
use crate::snapshot::Snapshot;
use crate::upstream::shared::ClusterHandle;

/// How often clusters are looked at.
const TURN: Duration = Duration::from_millis(50);

/// So many clusters are looked at in a turn, so that one takes well under a millisecond. Of 10,000
/// each has its turn twice a second: nothing here is needed sooner, since checkouts themselves keep
/// away from connections that are too old and endpoints that are out.
const LOOKS_MAX: usize = 1000;

/// A pool that is used this far is worth a warning, while there is still room.
const FULL_PERCENT: u32 = 80;

/// A cluster's pool is warned of once in this time.
const WARNED_AGAIN: Duration = Duration::from_secs(60);

/// Whose turn it is, and who was warned of.
#[derive(Debug, Default)]
struct Upkeep {
    /// The place, in the snapshot, of the cluster that is looked at next.
    next: usize,
    warned: BTreeMap<Arc<str>, Moment>,
}

impl Control {
    /// Upkeep, for as long as the process lives.
    pub(crate) async fn keep_up(self: Arc<Self>) {
        let mut interval = tokio::time::interval(TURN);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut upkeep = Upkeep::default();
        loop {
            interval.tick().await;
            upkeep.turn(&self.snapshot(), || self.clock.now());
            self.bury();
        }
    }

    /// Lets go of the configurations that nobody else uses any more.
    fn bury(&self) {
        let unused = |old: &mut Arc<Snapshot>| Arc::strong_count(old) == 1;
        let gone: Vec<_> = self.state().retired.extract_if(.., unused).collect();
        drop(gone);
    }
}

impl Upkeep {
    fn turn(&mut self, snapshot: &Snapshot, now: impl Fn() -> Moment) {
        let clusters = snapshot.clusters();
        for _ in 0..clusters.len().min(LOOKS_MAX) {
            self.next = (self.next + 1) % clusters.len();
            self.look_at(&clusters[self.next], now());
        }
    }

    fn look_at(&mut self, handle: &ClusterHandle, now: Moment) {
        let (closed, used) = handle.shared.with(|state| {
            let cluster = &mut state.cluster;
            let used = cluster.pool_used_percent();
            let used = (used >= FULL_PERCENT).then(|| (used, cluster.gauges()));
            if cluster.next_deadline() > now {
                return (Vec::new(), used);
            }
            let gone = cluster.reap(&handle.plan, now);
            (state.unpark(&gone), used)
        });
        drop(closed);
        if let Some((percent, gauges)) = used {
            self.warn(&handle.shared.name, percent, &gauges, now);
        }
    }

    fn warn(&mut self, cluster: &Arc<str>, percent: u32, gauges: &Gauges, now: Moment) {
        self.warned.retain(|_, warned| now.since(*warned) < WARNED_AGAIN);
        if self.warned.contains_key(cluster) {
            return;
        }
        self.warned.insert(cluster.clone(), now);
        let Gauges {
            cx_active,
            rq_active,
            rq_pending_active: waiting,
            ..
        } = gauges;
        tracing::warn!(
            "cluster {cluster} uses {percent} % of the connections that it may have ({cx_active} open, {rq_active} \
             requests in flight, {waiting} waiting); at 100 % requests wait, and are refused with 503 (UO) when too \
             many do or they wait too long. Find out why its endpoints answer late (/clusters on the admin), add \
             endpoints, or raise `circuitBreaker.maxConnections` if they bear more"
        );
    }
}
