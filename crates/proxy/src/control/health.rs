//! Active health checks: makes those that clusters ask for, tells them what came of each, and says so
//! in the log when an endpoint's service begins or ends by it. When to check, and what the results
//! amount to, is `policy`'s.

mod check;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use policy::cluster::{Check, Cluster, Vitals};
use policy::health::{Change, CheckResult};
use policy::plan::HealthPlan;
use policy::time::{Dice, Moment};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::cluster::{ClusterHandle, SharedCluster};
use crate::control::reload::Control;
use crate::engine::clock::Clock;
use crate::snapshot::Snapshot;
use crate::telemetry::stats::shown;
use check::Finding;

/// Checks that are due are begun together, so they come at most this much late.
const TURN: Duration = Duration::from_millis(50);

/// Nobody waits for the next check longer than this: timers have an end.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// With so many checks running no others begin, but for those of one more cluster: each is a socket
/// of the process, which clients need. Those that are due come when others have ended.
const RUNNING_MAX: usize = 512;

/// Makes checks for as long as the process lives.
pub(crate) async fn run(control: Arc<Control>) {
    let (mut checker, mut ended) = Checker::new(control.clock);
    loop {
        let turned = Instant::now();
        let in_a_turn = |span: Duration| turned + span.clamp(TURN, LONGEST);
        let mut due = checker.turn(&control.snapshot()).map(in_a_turn);
        loop {
            tokio::select! {
                () = until(due) => break,
                () = control.published.notified() => break,
                Some(done) = ended.recv() => {
                    let next = in_a_turn(turned.elapsed() + checker.report(&done));
                    due = Some(due.map_or(next, |due| due.min(next)));
                }
            }
        }
    }
}

/// Waits for a time that may never come.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Who is checked, and which checks run.
struct Checker {
    clock: Clock,
    dice: Dice,
    /// The configuration that `checked` is of.
    snapshot: Weak<Snapshot>,
    /// By name.
    checked: Vec<Checked>,
    /// Whose turn it is first, in `checked`.
    first: usize,
    tell: UnboundedSender<Done>,
}

/// A cluster under checks. Dropping it gives up those that run, sockets included.
struct Checked {
    name: Arc<str>,
    /// Its place in the snapshot.
    place: usize,
    /// When it has checks to be made.
    next: Moment,
    running: JoinSet<()>,
}

/// A check that has ended.
struct Done {
    cluster: Arc<SharedCluster>,
    check: Check,
    finding: Finding,
}

impl Checker {
    fn new(clock: Clock) -> (Self, UnboundedReceiver<Done>) {
        let (tell, ended) = unbounded_channel();
        let checker = Self {
            clock,
            dice: Dice::seeded(crate::engine::clock::entropy()),
            snapshot: Weak::new(),
            checked: Vec::new(),
            first: 0,
            tell,
        };
        (checker, ended)
    }

    /// Begins the checks that are due. Says when the next ones are; `None` if nobody is checked.
    fn turn(&mut self, snapshot: &Arc<Snapshot>) -> Option<Duration> {
        if self.snapshot.as_ptr() != Arc::as_ptr(snapshot) {
            self.follow(snapshot);
        }
        let now = self.clock.now();
        let mut running = 0;
        for checked in &mut self.checked {
            while checked.running.try_join_next().is_some() {}
            running += checked.running.len();
        }
        let count = self.checked.len();
        for place in (self.first..count).chain(0..self.first.min(count)) {
            if running >= RUNNING_MAX {
                self.first = place;
                return Some(TURN);
            }
            if self.checked[place].next <= now {
                running += self.begin(place, snapshot, now);
            }
        }
        let next = self.checked.iter().map(|checked| checked.next).min()?;
        Some(next.since(now))
    }

    /// Begins the checks that are due in one cluster; gives their number.
    fn begin(&mut self, place: usize, snapshot: &Snapshot, now: Moment) -> usize {
        let checked = &mut self.checked[place];
        let ClusterHandle { shared, plan, .. } = &snapshot.clusters()[checked.place];
        let due = shared.with(|state| {
            let due = state.cluster.checks_due(plan, now, &mut self.dice);
            checked.next = state.cluster.next_check();
            due
        });
        let Some(plan) = &plan.health else { return 0 };
        let count = due.len();
        for check in due {
            let (tell, cluster, plan) = (self.tell.clone(), shared.clone(), plan.clone());
            let limit = limit(&plan, check.until.since(now));
            checked.running.spawn(async move {
                let finding = check::make(&check.address, &plan, limit).await;
                // Without a checker nobody wants to know.
                let _ = tell.send(Done {
                    cluster,
                    check,
                    finding,
                });
            });
        }
        count
    }

    /// A check has ended: tells its cluster, and the log if that changes anything. Says when its cluster's next is
    /// due.
    fn report(&mut self, done: &Done) -> Duration {
        let now = self.clock.now();
        let (endpoint, result) = (done.check.endpoint, done.finding.result());
        let (change, next, vitals) = done.cluster.with(|state| {
            let cluster: &mut Cluster = &mut state.cluster;
            if result != CheckResult::Good {
                cluster.check_error(endpoint, done.finding.to_string(), now);
            }
            let change = cluster.on_check(endpoint, result, now, &mut self.dice);
            let vitals = (change != Change::None).then(|| cluster.vitals(now));
            (change, cluster.next_check(), vitals)
        });
        let name = &done.cluster.name;
        if let Ok(place) = self.checked.binary_search_by(|one| one.name.cmp(name)) {
            self.checked[place].next = next;
        }
        if let Some(vitals) = vitals {
            log(done, change, &vitals);
        }
        next.since(now)
    }

    /// Takes a configuration up. Checks of clusters that are gone from it, or not checked any more,
    /// are given up; one of an endpoint that is gone ends with its timeout.
    fn follow(&mut self, snapshot: &Arc<Snapshot>) {
        let now = self.clock.now();
        let before = self.checked.drain(..).map(|one| (one.name.clone(), one));
        let mut before: BTreeMap<Arc<str>, Checked> = before.collect();
        for (place, handle) in snapshot.clusters().iter().enumerate() {
            let name = handle.shared.name.clone();
            let known = before.remove(&name);
            if handle.plan.health.is_some() {
                self.checked.push(Checked {
                    name,
                    place,
                    next: now,
                    running: known.map(|one| one.running).unwrap_or_default(),
                });
            } else if known.is_some() {
                // Asked under a plan without checks, the cluster forgets what they found.
                handle.shared.with(|state| {
                    let none = state.cluster.checks_due(&handle.plan, now, &mut self.dice);
                    assert!(none.is_empty(), "a check without a plan for it");
                });
            }
        }
        self.checked.sort_unstable_by(|one, two| one.name.cmp(&two.name));
        self.first = 0;
        self.snapshot = Arc::downgrade(snapshot);
    }
}

/// How long a check may take of the time that its cluster gives it. A little less than all: its
/// cluster counts one that is late as failed by itself.
fn limit(plan: &HealthPlan, left: Duration) -> Duration {
    left.saturating_sub((plan.timeout / 10).min(Duration::from_millis(10)))
}

fn log(done: &Done, change: Change, vitals: &Vitals) {
    let (endpoint, cluster) = (shown(&done.check.address), &done.cluster.name);
    let (healthy, total) = (vitals.membership_healthy, vitals.membership_total);
    let why = &done.finding;
    match change {
        Change::None => {}
        Change::BecameUnhealthy => tracing::warn!(
            "endpoint {endpoint} of cluster {cluster} is out of service by its health checks, the last of which \
             failed: {why}; {healthy} of {total} endpoints are in service"
        ),
        Change::BecameHealthy => tracing::info!(
            "endpoint {endpoint} of cluster {cluster} is in service again by its health checks: {why}; \
             {healthy} of {total} endpoints are in service"
        ),
    }
}
