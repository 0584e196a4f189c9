//! Overload and outages as seeded, discrete-event simulations: the cluster is the real one, clients,
//! endpoints and time are not.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::deadline::Arrival;
use crate::plan::Balance;
use crate::retry::attempts::{Outcome, Summary};

/// When the next request comes.
#[derive(Clone, Copy)]
enum Arrivals {
    Uniform,
    Poisson,
    AtOnce,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A response's last byte, or that of the handshake before it.
    Answered(ConnectionId),
    Arrives(u32),
    Upkeep,
}

/// What became of a request.
#[derive(Clone, Copy, Debug)]
struct Fate {
    came: Moment,
    ended: Moment,
    good: bool,
    endpoint: Option<usize>,
}

impl Fate {
    fn took(&self) -> Duration {
        self.ended.since(self.came)
    }
}

struct Sim {
    story: Story,
    service: Duration,
    /// The endpoint of this place answers nothing from the first moment to the second.
    stall: Option<(usize, Moment, Moment)>,
    events: BTreeSet<(Moment, Event)>,
    requests: Vec<Fate>,
    waiting: BTreeMap<Ticket, u32>,
    /// What each connection carries, and since when.
    served: BTreeMap<ConnectionId, (u32, Moment)>,
    in_service_most: usize,
    /// Moments at which somebody waited although a connection was free to be opened or used.
    idle_while_waiting: u32,
    dice: Dice,
}

impl Sim {
    fn new(endpoints: u16, limits: Limits, service: Duration, seed: u64) -> Self {
        Self {
            story: Story::limited(endpoints, limits),
            service,
            stall: None,
            events: BTreeSet::from([(AT(0), Event::Upkeep)]),
            requests: Vec::new(),
            waiting: BTreeMap::new(),
            served: BTreeMap::new(),
            in_service_most: 0,
            idle_while_waiting: 0,
            dice: Dice::seeded(seed),
        }
    }

    /// Requests that come from `from` on, `per_second` for so long.
    fn offer(&mut self, arrivals: Arrivals, from: Moment, per_second: u64, span: Duration) {
        let count = per_second * span.as_millis() as u64 / 1000;
        let mut at = from;
        for _ in 0..count {
            let gap = match arrivals {
                Arrivals::Uniform => 1e9 / per_second as f64,
                Arrivals::Poisson => {
                    let chance = (self.dice.below(1 << 32) + 1) as f64 / (1_u64 << 32) as f64;
                    -chance.ln() * 1e9 / per_second as f64
                }
                Arrivals::AtOnce => 0.0,
            };
            at = at + Duration::from_nanos(gap as u64);
            let request = self.requests.len() as u32;
            self.requests.push(Fate {
                came: at,
                ended: Moment::NEVER,
                good: false,
                endpoint: None,
            });
            self.events.insert((at, Event::Arrives(request)));
        }
    }

    fn run(&mut self, until: Moment) {
        while let Some(&(now, event)) = self.events.first() {
            if now > until {
                break;
            }
            self.events.pop_first();
            self.step(event, now);
            while let Some(ticket) = self.story.cluster.granted() {
                let request = self.waiting.remove(&ticket).unwrap();
                let story = &mut self.story;
                let ask = Ask::new(&story.members, &story.plan, ME);
                let checkout = story.cluster.claim(ticket, &ask, now, &mut self.dice).unwrap();
                self.given(request, &checkout, now);
            }
            let most = self.story.plan.limits.max_connections as usize;
            self.in_service_most = self.in_service_most.max(self.served.len());
            self.idle_while_waiting += u32::from(!self.waiting.is_empty() && self.served.len() < most);
        }
    }

    fn step(&mut self, event: Event, now: Moment) {
        match event {
            Event::Upkeep => {
                if self.story.cluster.next_deadline() <= now {
                    let plan = self.story.plan.clone();
                    self.story.cluster.reap(&plan, now);
                }
                self.events
                    .insert((now + Duration::from_millis(10), Event::Upkeep));
            }
            Event::Arrives(request) => {
                let story = &mut self.story;
                let ask = Ask::new(&story.members, &story.plan, ME);
                let checkout = story.cluster.checkout(&ask, now, &mut self.dice);
                self.given(request, &checkout, now);
            }
            Event::Answered(connection) => {
                let (request, begun) = self.served.remove(&connection).unwrap();
                let fate = &mut self.requests[request as usize];
                (fate.ended, fate.good) = (now, true);
                let summary = Summary {
                    endpoint: fate.endpoint.map(|place| self.story.members.list[place].0),
                    reused: true,
                    raced: false,
                    copy_whole: true,
                    answered: false,
                    arrival: Arrival::Whole,
                    result: Outcome::Status(200),
                };
                self.story.cluster.on_attempt(&summary, begun, now);
                let how = Handback::Reusable {
                    hint: None,
                    round_trip: None,
                };
                self.story.cluster.hand_back(connection, how, ME, now);
            }
        }
    }

    fn given(&mut self, request: u32, checkout: &Checkout, now: Moment) {
        let (connection, endpoint) = match checkout {
            Checkout::Queue(ticket) => {
                self.waiting.insert(*ticket, request);
                return;
            }
            Checkout::Refuse(_) => {
                self.requests[request as usize].ended = now;
                return;
            }
            Checkout::Open {
                connection, endpoint, ..
            } => {
                self.story.cluster.connected(*connection, None, now);
                (*connection, *endpoint)
            }
            Checkout::Reuse(reused) => (reused.connection, reused.endpoint),
        };
        let list = &self.story.members.list;
        let place = list.iter().position(|&(id, _)| id == endpoint).unwrap();
        self.requests[request as usize].endpoint = Some(place);
        self.served.insert(connection, (request, now));
        let mut answered = now + self.service;
        if let Some((stalled, from, to)) = self.stall
            && stalled == place
            && answered > from
            && now < to
        {
            answered = to + self.service.min(now.since(from));
        }
        self.events.insert((answered, Event::Answered(connection)));
    }

    fn fates(&self, came: std::ops::Range<Moment>) -> Vec<Fate> {
        let within = |fate: &&Fate| came.contains(&fate.came);
        self.requests.iter().filter(within).copied().collect()
    }
}

fn quantile(fates: &[Fate], good: bool, share: f64) -> Duration {
    let mut took: Vec<Duration> = fates
        .iter()
        .filter(|fate| fate.good == good && fate.ended != Moment::NEVER)
        .map(Fate::took)
        .collect();
    took.sort_unstable();
    let at = (took.len() as f64 * share) as usize;
    took.get(at.min(took.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}

fn few(connections: u32) -> Limits {
    Limits {
        max_connections: connections,
        max_parallel_requests: u32::MAX,
        ..Limits::default()
    }
}

const MS: fn(u64) -> Duration = Duration::from_millis;

#[test]
fn five_times_the_capacity_leaves_the_answers_good_and_quick_and_refuses_the_rest_at_once() {
    for (seed, arrivals) in (1..).zip([Arrivals::Uniform, Arrivals::Poisson, Arrivals::Poisson]) {
        let mut sim = Sim::new(1, few(8), MS(100), seed);
        sim.offer(arrivals, AT(0), 400, MS(5000));
        sim.run(AT(5000));
        let fates = sim.fates(AT(0)..AT(5000));
        let good = fates.iter().filter(|fate| fate.good).count();
        let usual = quantile(&fates, true, 0.5);
        let refused: Vec<_> = fates
            .iter()
            .filter(|fate| !fate.good && fate.ended != Moment::NEVER)
            .collect();
        let late = refused.iter().filter(|fate| fate.took() > MS(1)).count();
        assert!(good >= 78 * 5, "{good} of 400");
        assert!(usual <= MS(115), "{usual:?}");
        assert!(late * 100 < refused.len(), "{late} of {}", refused.len());
        assert!(sim.in_service_most == 8 && sim.idle_while_waiting == 0);
    }
}

#[test]
fn in_a_full_stall_requests_are_refused_at_once_and_it_is_over_with_the_stall() {
    for (per_second, arrivals) in [
        (500, Arrivals::Uniform),
        (1000, Arrivals::Uniform),
        (1000, Arrivals::Poisson),
    ] {
        let mut sim = Sim::new(1, few(1024), MS(5), per_second);
        let (from, to) = (AT(2000), AT(12_000));
        sim.stall = Some((0, from, to));
        sim.offer(arrivals, AT(0), per_second, MS(14_000));
        sim.run(AT(15_000));
        let during = sim.fates(from..to);
        let late = quantile(&during, false, 0.99);
        let refused = during.iter().filter(|fate| !fate.good).count();
        assert!(refused > 2500 && late <= MS(1), "{late:?}");
        assert!(sim.fates(AT(0)..AT(1900)).iter().all(|fate| fate.good));
        let after = sim.fates(to + MS(100)..AT(14_000));
        assert!(
            after.iter().all(|fate| fate.good),
            "back within a tenth of a second"
        );
        assert!(quantile(&after, true, 0.99) <= MS(6));
    }
}

#[test]
fn a_harmless_burst_is_served_whole() {
    let mut sim = Sim::new(1, few(8), MS(5), 1);
    sim.offer(Arrivals::AtOnce, AT(10), 1000, MS(1000));
    sim.run(AT(2000));
    assert!(sim.requests.iter().all(|fate| fate.good));
}

#[test]
fn nobody_waits_longer_than_patience_or_their_own_deadline() {
    let mut story = Story::limited(1, few(1));
    story.open(0);
    let patient = queued(&story.get(10));
    let ask = Ask {
        deadline: AT(200),
        ..Ask::new(&story.members, &story.plan, ME)
    };
    let hurried = queued(&story.cluster.checkout(&ask, AT(20), &mut story.dice));
    let plan = story.plan.clone();
    for (at, ticket) in [(200, hurried), (1010, patient)] {
        assert!(story.cluster.next_deadline() <= AT(at));
        story.cluster.reap(&plan, AT(at - 1));
        assert_eq!(story.cluster.granted(), None);
        story.cluster.reap(&plan, AT(at));
        assert_eq!(story.cluster.granted(), Some(ticket));
        assert_eq!(story.claim(ticket, at), Some(Checkout::Refuse(Refusal::Shed)));
    }
    assert_eq!(story.cluster.counters.rq_pending_shed, 2);
}

#[test]
fn where_all_are_full_whoever_has_room_again_is_found_at_once() {
    let limits = Limits {
        max_connections_per_endpoint: Some(1),
        ..Limits::default()
    };
    let mut story = Story::limited(200, limits);
    let open: Vec<_> = (0..200).map(|_| story.open(0)).collect();
    for &connection in &open {
        for _ in 0..3 {
            let in_vain = queued(&story.get(1));
            story.cluster.cancel(in_vain, AT(1));
        }
        story.answer(connection, 2);
        assert_eq!(reused(&story.get(2)).0, connection);
        let waits = queued(&story.get(2));
        story.answer(connection, 3);
        assert_eq!(story.cluster.granted(), Some(waits));
        assert_eq!(reused(&story.claim(waits, 3).unwrap()).0, connection);
    }
}

#[test]
fn a_queue_that_hardly_delays_anybody_refuses_nobody() {
    // 97 % of what eight connections of 5 ms bear, in random order: the queue is seldom empty.
    let mut sim = Sim::new(1, few(8), MS(5), 9);
    sim.offer(Arrivals::Poisson, AT(0), 1550, MS(5000));
    sim.run(AT(6000));
    let refused = sim.requests.iter().filter(|fate| !fate.good).count();
    assert!(refused * 50 < sim.requests.len(), "{refused}");
}

#[test]
fn ten_thousand_who_wait_cost_little_and_each_leaves_in_no_time() {
    let limits = Limits {
        max_pending_requests: 10_000,
        ..few(1)
    };
    let mut story = Story::limited(1, limits);
    let only = story.open(0);
    let tickets: Vec<_> = (0..10_000).map(|_| queued(&story.get(1))).collect();
    assert_eq!(story.cluster.gauges().rq_pending_active, 10_000);
    for &ticket in tickets.iter().skip(1).step_by(2) {
        story.cluster.cancel(ticket, AT(2));
    }
    for &ticket in tickets.iter().step_by(2) {
        story.answer(only, 3);
        assert_eq!(story.cluster.granted(), Some(ticket));
        assert_eq!(reused(&story.claim(ticket, 3).unwrap()).0, only);
    }
    assert_eq!(story.cluster.gauges().rq_pending_active, 0);
}

/// One of four endpoints stalls for five seconds at 500 requests a second. Returns how many went to it
/// meanwhile, and within a second afterwards.
fn one_of_four_stalls(balance: Balance, seed: u64) -> (usize, usize) {
    let mut sim = Sim::new(4, Limits::default(), MS(5), seed);
    Arc::make_mut(&mut sim.story.plan).balance = balance;
    let (from, to) = (AT(2000), AT(7000));
    sim.stall = Some((2, from, to));
    sim.offer(Arrivals::Uniform, AT(0), 500, MS(9000));
    sim.run(AT(10_000));
    assert!(sim.requests.iter().all(|fate| fate.good));
    let to_it = |fates: Vec<Fate>| fates.iter().filter(|fate| fate.endpoint == Some(2)).count();
    (to_it(sim.fates(from..to)), to_it(sim.fates(to..to + MS(1000))))
}

#[test]
fn one_of_four_endpoints_that_stalls_is_avoided_after_a_few_requests_and_used_again_at_once() {
    for seed in 1..=5 {
        let (slow, after) = one_of_four_stalls(Balance::LeastRequest, seed);
        assert!(slow < 10 && after > 80, "{slow}, {after}");
    }
}

#[test]
fn by_peak_ewma_one_that_stalls_is_avoided_likewise() {
    for seed in 1..=5 {
        let (slow, _) = one_of_four_stalls(Balance::PeakEwma, seed);
        assert!(slow < 10, "{slow}");
    }
}
