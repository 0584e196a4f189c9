//! What has to be done from time to time whether or not a request comes: idle connections that are
//! too old, ejections whose term ends, pools that run full, configurations that nobody uses any more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use policy::cluster::Gauges;
use policy::freeze::Freeze;
use policy::time::Moment;

use super::Control;
use crate::cluster::ClusterHandle;
use crate::snapshot::Snapshot;
use crate::telemetry::stats::WorkerStats;

/// How often clusters are looked at while requests come.
const TURN: Duration = Duration::from_millis(50);

/// … and how often it is asked whether any have come, while none do: what wakes a process at rest.
const REST: Duration = Duration::from_secs(2);

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
        let mut upkeep = Upkeep::default();
        let mut seen = None;
        loop {
            let snapshot = self.snapshot();
            upkeep.turn(&snapshot, || self.clock.now());
            self.record_death();
            let events = self.downstream_events();
            let pause = match seen.replace(events) == Some(events) {
                true => rest(&snapshot, self.clock.now()),
                false => TURN,
            };
            drop(snapshot);
            let due = self.clock.now() + pause;
            tokio::time::sleep(pause).await;
            if let Some(freeze) = Freeze::seen(due, self.clock.now()) {
                tell(&self.snapshot(), freeze);
            }
        }
    }

    /// What clients did so far; the same number again means nothing.
    fn downstream_events(&self) -> u64 {
        let of = |worker: &Arc<WorkerStats>| {
            let (connections, requests) = (&worker.cx_total, &worker.rq_total);
            connections.get() + worker.cx_destroy.get() + requests.get() + worker.rq_completed.get()
        };
        self.stats.iter().map(of).sum()
    }

    /// Lets go of the configurations that nobody else uses any more.
    fn record_death(&self) {
        let unused = |old: &mut Arc<Snapshot>| Arc::strong_count(old) == 1;
        let gone: Vec<_> = self.state().retired.extract_if(.., unused).collect();
        drop(gone);
    }
}

/// How long upkeep may wait while no client does anything: until something is due in a cluster.
fn rest(snapshot: &Snapshot, now: Moment) -> Duration {
    let due = |handle: &ClusterHandle| handle.shared.with(|state| state.cluster.next_deadline());
    let next = snapshot.clusters().iter().map(due).min();
    next.map_or(REST, |next| next.since(now).clamp(TURN, REST))
}

/// The process was frozen: nobody who waits is to be sent away for that, whoever looks first.
fn tell(snapshot: &Snapshot, freeze: Freeze) {
    for handle in snapshot.clusters() {
        handle.shared.with(|state| state.cluster.on_freeze(freeze));
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
