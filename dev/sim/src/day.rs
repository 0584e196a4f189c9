//! A world's life: phases of traffic and faults, calm, rest, and a drain at the end of each process.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use policy::time::{Dice, Moment};
use proxy::sim::{Proxy, freeze, now, run, sleep, spawn, use_network};

use crate::client::Clients;
use crate::endpoint::{Endpoint, Mood};
use crate::ledger::{End, Ledger, Tally};
use crate::network::{Net, Seats};
use crate::plan::Plan;

/// Worlds begin here, so that no moment is the origin.
const BEGIN: Moment = Moment::from_millis(1_000);

/// Faults may be felt for so long after they ended.
const RECOVERY: Duration = Duration::from_secs(1);

/// At rest everything that has a time limit has met it.
const REST_MIN: Duration = Duration::from_secs(400);

/// A drain ends exchanges within this.
const DRAIN: Duration = Duration::from_secs(60);

/// Alarms of the proxy's go off so late.
const ALARMS_LATE: Duration = Duration::from_millis(5);

/// The process is stopped so often on average …
const FREEZE_EVERY: Duration = Duration::from_secs(40);

/// … and for so long at most.
const FREEZE_MAX: Duration = Duration::from_millis(1500);

/// What a seed told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Story {
    /// A hash of all that happened, in its order.
    pub hash: u64,
    /// How long it lasted, in its own time.
    pub lasted: Duration,
    /// What was counted.
    pub tally: Tally,
    /// What happened that must never.
    pub violations: Vec<String>,
}

thread_local! {
    /// The seed of the world that lives on this thread.
    static LIVING: Cell<Option<u64>> = const { Cell::new(None) };
    /// What a task of this thread said when it panicked: the engine goes on without the task.
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Lives the world of `seed` for `span` of its own time.
///
/// # Panics
/// The machine gives no sockets, or the world cannot go on.
#[must_use]
pub fn live(seed: u64, span: Duration) -> Story {
    listen_for_panics();
    let mut dice = Dice::seeded(seed);
    let mut plan = Plan::draw(&mut dice);
    // By another chance, so that the rest of a seed's story is as it was with one.
    plan.workers += Dice::seeded(!seed).below(2) as u16;
    let ledger = Rc::<Ledger>::default();
    let mut at = BEGIN;
    while at < BEGIN + span && ledger.violations().is_empty() {
        let process = Process {
            plan: plan.clone(),
            ledger: ledger.clone(),
            dice: Dice::seeded(dice.bits()),
            ends: BEGIN + span,
        };
        let chance = dice.bits();
        // Not only tasks may panic: where time stands still, the engine does.
        LIVING.set(Some(seed));
        let lived = catch_unwind(AssertUnwindSafe(|| run(at, chance, process.live())));
        LIVING.set(None);
        PANICS
            .take()
            .into_iter()
            .for_each(|said| ledger.panicked(at, said));
        match lived {
            Ok(ended) => at = ended.expect("an engine").1,
            Err(_) => break,
        }
    }
    Story {
        hash: ledger.hash(),
        lasted: at.since(BEGIN),
        tally: ledger.tally.get(),
        violations: ledger.violations(),
    }
}

fn listen_for_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let otherwise = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            match LIVING.get() {
                Some(seed) => {
                    // At once: a panic under a cluster's lock ends the process.
                    eprintln!("seed {seed:#x}: {panic}");
                    PANICS.with_borrow_mut(|panics| panics.push(panic.to_string()));
                }
                None => otherwise(panic),
            }
        }));
    });
}

/// One process of the proxy, from its start to the end of its drain.
struct Process {
    plan: Plan,
    ledger: Rc<Ledger>,
    dice: Dice,
    /// When the world ends.
    ends: Moment,
}

impl Process {
    async fn live(mut self) {
        let net = self.network();
        use_network(net.clone());
        let proxy = Proxy::start(self.plan.model(&mut self.dice), self.plan.workers).expect("workers");
        let clients = Clients::new(proxy.clone(), self.ledger.clone(), Dice::seeded(self.dice.bits()));
        spawn(watch(proxy.clone(), self.plan.clone(), self.ledger.clone()));
        let chance = self.dice.clone().bits();
        spawn(stop_and_go(Dice::seeded(!chance), self.ledger.clone()));
        // The worker listens once its task has run.
        sleep(Duration::from_millis(1)).await;
        for _ in 0..3 + self.dice.below(6) {
            if now() >= self.ends || !self.ledger.violations().is_empty() {
                break;
            }
            self.trouble(&net, &clients).await;
            self.calm(&net, &clients).await;
            self.rest(&net, &clients).await;
        }
        self.drain(&net, &clients).await;
    }

    fn network(&mut self) -> Rc<Net> {
        let mut endpoints = Vec::new();
        for cluster in &self.plan.clusters {
            let together = Rc::new(Seats::of(cluster.connections));
            for plan in &cluster.endpoints {
                let own = Seats::of(cluster.connections_per_endpoint.unwrap_or(u32::MAX));
                endpoints.push(Rc::new(Endpoint::new(
                    plan.address,
                    (plan.distance, plan.habits),
                    (own, together.clone()),
                    cluster.owner_retries,
                    Dice::seeded(self.dice.bits()),
                    self.ledger.clone(),
                )));
            }
        }
        Rc::new(Net::new(endpoints, self.ledger.clone()))
    }

    /// Traffic of any kind, while things befall the endpoints and configurations change.
    async fn trouble(&mut self, net: &Rc<Net>, clients: &Rc<Clients>) {
        let span = Duration::from_secs(5) + self.dice.up_to(Duration::from_secs(60));
        let rate = [1, 3, 10, 40][self.dice.below(4) as usize];
        let (asking, count) = (clients.clone(), self.plan.clusters.len());
        spawn(async move { asking.ask_openly(count, rate, span).await });
        let end = now() + span;
        while now() < end {
            let pause = self.dice.up_to(Duration::from_secs(10));
            sleep(pause.min(end.since(now()))).await;
            let endpoint = &net.endpoints[self.dice.below(net.endpoints.len() as u64) as usize];
            let mood = self.mood();
            self.ledger
                .note("feels", u64::from(endpoint.address.port()), self.dice.bits());
            endpoint.feels(mood);
            if self.dice.below(4) == 0 {
                let model = self.plan.model(&mut self.dice);
                clients.proxy.reload(model);
            }
        }
    }

    fn mood(&mut self) -> Mood {
        match self.dice.below(14) {
            0..5 => Mood::Well,
            5 => Mood::Slow(self.dice.up_to(Duration::from_secs(3))),
            6 => Mood::Stalled,
            7 => Mood::Failing,
            8 => Mood::Restarting,
            9 => Mood::Dead,
            10 => Mood::Unreachable,
            _ => Mood::Erratic(1 + self.dice.below(8)),
        }
    }

    /// The faults are over, and whoever waited in vain leaves: from the next second on every
    /// request of a client with good manners must succeed.
    async fn calm(&mut self, net: &Rc<Net>, clients: &Rc<Clients>) {
        net.endpoints
            .iter()
            .for_each(|endpoint| endpoint.feels(Mood::Well));
        let healed = now();
        clients.dismiss().await;
        sleep((healed + RECOVERY).since(now())).await;
        for _ in 0..20 + self.dice.below(100) {
            for cluster in 0..self.plan.clusters.len() {
                let begun = now();
                let end = clients.ask(cluster).await;
                if end != End::Answered(200) {
                    let (healed, took) = (begun.since(healed), now().since(begun));
                    let view = &clients.proxy.clusters()[cluster];
                    self.ledger.violated(format!(
                        "{healed:?} after the faults ended, cluster {cluster} gave {end:?} after {took:?}: {:?}, {:?}",
                        view.gauges, view.counters
                    ));
                    return;
                }
            }
            // Around the times at which endpoints close idle connections, too.
            let gap = match self.dice.below(4) {
                0 => self.keep_alive_of_chance(net),
                _ => self.dice.up_to(Duration::from_secs(2)),
            };
            sleep(gap).await;
        }
    }

    fn keep_alive_of_chance(&mut self, net: &Net) -> Duration {
        let endpoint = &net.endpoints[self.dice.below(net.endpoints.len() as u64) as usize];
        let timer = endpoint.habits.keep_alive + endpoint.distance;
        (timer + self.dice.up_to(endpoint.distance * 4)).saturating_sub(endpoint.distance * 2)
    }

    /// Nobody asks anything: nothing may be held.
    async fn rest(&mut self, net: &Rc<Net>, clients: &Rc<Clients>) {
        clients.all_ended().await;
        sleep(REST_MIN + self.dice.up_to(Duration::from_secs(3 * 3600))).await;
        let mut held = Vec::new();
        let mut connections = 0;
        for cluster in clients.proxy.clusters() {
            let gauges = cluster.gauges;
            let parked: u32 = cluster
                .endpoints
                .iter()
                .map(|e| e.report.idle + u32::from(e.report.probe))
                .sum();
            connections += gauges.cx_active;
            if gauges.rq_active + gauges.rq_pending_active + gauges.rq_retry_active > 0
                || gauges.cx_active != u64::from(parked)
            {
                held.push(format!("{}: {gauges:?}, {parked} idle", cluster.name));
            }
        }
        let seen = u64::from(net.connections());
        if seen != connections {
            held.push(format!("{connections} connections in the accounts, {seen} open"));
        }
        let waiters = clients.proxy.waiters();
        if waiters > 0 {
            held.push(format!("{waiters} wakers"));
        }
        held.extend(self.downstream(clients));
        if !held.is_empty() {
            self.ledger.violated(format!("held at rest: {}", held.join("; ")));
        }
        self.ledger.forget();
    }

    /// What the worker counted of its clients does not add up.
    fn downstream(&self, clients: &Clients) -> Vec<String> {
        let totals = clients.proxy.downstream();
        let value = |name: &str| {
            let reading = totals.readings.iter().find(|reading| reading.name == name);
            reading.map_or(0, |reading| reading.value)
        };
        let (begun, active) = (value("downstream_rq_total"), value("downstream_rq_active"));
        let (records, tally) = (totals.rq_time.count(), self.ledger.tally.get());
        let mut wrong = Vec::new();
        if begun != records || active != 0 {
            wrong.push(format!("{begun} requests, {records} records, {active} in flight"));
        }
        if tally.sent != tally.ended {
            wrong.push(format!("{} requests sent, {} ended", tally.sent, tally.ended));
        }
        wrong
    }

    /// The process is told to drain under light traffic: nothing that was asked is lost.
    async fn drain(&mut self, net: &Rc<Net>, clients: &Rc<Clients>) {
        let proxy = clients.proxy.clone();
        let mut asked = Vec::new();
        for cluster in 0..self.plan.clusters.len() {
            let (clients, end) = (clients.clone(), Rc::new(RefCell::new(None)));
            asked.push(end.clone());
            spawn(async move {
                let ended = clients.ask(cluster).await;
                end.replace(Some(ended));
            });
        }
        // The requests are on their way when the order comes.
        sleep(Duration::from_micros(50)).await;
        let begun = now();
        proxy.drain(DRAIN).await.expect("a worker that ends well");
        clients.all_ended().await;
        for (cluster, end) in asked.iter().enumerate() {
            if *end.borrow() != Some(End::Answered(200)) {
                self.ledger
                    .violated(format!("a drain cost cluster {cluster} its request: {end:?}"));
            }
        }
        if now().since(begun) > DRAIN {
            self.ledger
                .violated(format!("a drain took {:?}", now().since(begun)));
        }
        clients.close_idle();
        let seen = net.connections();
        self.ledger.note("drained", u64::from(seen), 0);
        self.ledger.forget();
    }
}

/// Stops the process now and then, in trouble and calm alike: that costs no request its answer, and no endpoint
/// its place.
async fn stop_and_go(mut dice: Dice, ledger: Rc<Ledger>) {
    loop {
        sleep(dice.up_to(FREEZE_EVERY * 2)).await;
        let span = dice.up_to(FREEZE_MAX);
        ledger.note("stops", 0, dice.bits());
        freeze(span);
    }
}

/// Looks at what clusters hold, twice a second.
async fn watch(proxy: Rc<Proxy>, plan: Plan, ledger: Rc<Ledger>) {
    loop {
        sleep(Duration::from_millis(500)).await;
        for (view, plan) in proxy.clusters().iter().zip(&plan.clusters) {
            let held = view.gauges;
            let waited = view.vitals.queue.oldest_wait;
            if held.cx_active > u64::from(plan.connections)
                || waited > plan.patience + ALARMS_LATE
                || held.rq_pending_active > u64::from(plan.pending)
                || held.rq_active > u64::from(plan.parallel)
            {
                ledger.violated(format!(
                    "{}: {held:?}, {waited:?} waited, allowed {plan:?}",
                    view.name
                ));
            }
        }
    }
}
