//! A small world: lanes of POSTs that aim at the idle timer of an endpoint which closes by a bare
//! RST, over a wire with a delay. No proof is ever left behind, so only avoiding helps.

use super::*;

/// How the endpoint's timer goes off.
#[derive(Clone, Copy)]
struct Timer {
    least: Duration,
    spread: Duration,
}

struct World {
    story: Story,
    timer: Timer,
    round_trip: Duration,
    now: Moment,
    dice: Dice,
    /// Idle connections, and when the RST of each arrives here.
    idle: Vec<(Moment, ConnectionId)>,
    closes: u32,
    requests: u32,
    reused: u32,
    /// POSTs that met a close, and were written whole.
    lost: u32,
}

impl World {
    fn new(timer: Timer, round_trip: Duration, seed: u64) -> Self {
        let story = Story::new(1, ClusterPlan::default());
        let (now, dice) = (AT(1), Dice::seeded(seed));
        Self {
            story,
            timer,
            round_trip,
            now,
            dice,
            idle: vec![],
            closes: 0,
            requests: 0,
            reused: 0,
            lost: 0,
        }
    }

    /// Time passes; the endpoint's RSTs arrive and what is due is reaped.
    fn pass(&mut self, until: Moment) {
        loop {
            let close = self.idle.iter().copied().min();
            let at = close.map_or(Moment::NEVER, |(at, _)| at);
            let reap = self.story.cluster.next_deadline();
            if at.min(reap) > until {
                self.now = until;
                return;
            }
            self.now = self.now.max(at.min(reap));
            if let Some((_, connection)) = close.filter(|_| at <= reap) {
                self.closes += 1;
                assert!(
                    self.story
                        .cluster
                        .idle_ended(connection, IdleEnd::Reset, self.now)
                );
                self.idle.retain(|&(_, other)| other != connection);
            } else {
                let plan = self.story.plan.clone();
                let gone = self.story.cluster.reap(&plan, self.now);
                self.idle.retain(|(_, connection)| !gone.contains(connection));
            }
        }
    }

    /// A POST, answered one round trip later, unless it arrives after the endpoint's close.
    fn post(&mut self) {
        self.requests += 1;
        let ask = Ask {
            replay_safety: ReplaySafety::NeedsProof,
            ..Ask::new(&self.story.members, &self.story.plan, ME)
        };
        let connection = match self.story.cluster.checkout(&ask, self.now, &mut self.dice) {
            Checkout::Open { connection, .. } => {
                self.story
                    .cluster
                    .connected(connection, Some(self.round_trip), self.now);
                connection
            }
            Checkout::Reuse(reused) => {
                self.reused += 1;
                let at = self
                    .idle
                    .iter()
                    .position(|&(_, other)| other == reused.connection)
                    .unwrap();
                let (rst_arrives, connection) = self.idle.swap_remove(at);
                if self.now + self.round_trip >= rst_arrives {
                    self.lost += u32::from(reused.writing == Writing::Direct);
                    let raced = Handback::PeerClosed {
                        how: IdleEnd::Reset,
                        raced: true,
                        proven: false,
                    };
                    self.story.cluster.hand_back(connection, raced, ME, rst_arrives);
                    return;
                }
                connection
            }
            other => panic!("{other:?}"),
        };
        self.now = self.now + self.round_trip;
        let how = Handback::Reusable {
            hint: None,
            round_trip: Some(self.round_trip),
        };
        if self.story.cluster.hand_back(connection, how, ME, self.now) == Parked::Keep {
            let age = self.timer.least + self.dice.up_to(self.timer.spread);
            self.idle.push((self.now + age, connection));
        }
    }

    fn run(&mut self, requests: u32, pause: impl Fn(&mut Dice) -> Duration) {
        for _ in 0..requests {
            let until = self.now + pause(&mut self.dice);
            self.pass(until);
            self.post();
        }
    }
}

#[test]
fn after_fifty_closes_no_post_meets_another_however_the_timer_goes() {
    let ms = Duration::from_millis;
    let timers = [(400, 0), (400, 8), (5000, 20), (2000, 950), (60, 2)];
    for (seed, (least, spread)) in (1..).zip(timers) {
        let timer = Timer {
            least: ms(least),
            spread: ms(spread),
        };
        let mut world = World::new(timer, ms(10), seed);
        // First the endpoint is left alone often enough to be seen closing.
        while world.closes < 50 {
            world.run(1, |_| ms(least + spread + 100));
        }
        let before = (world.requests, world.lost);
        // Then every request aims at the close, from well before to well after it.
        let (from, window) = (ms(least * 8 / 10), ms(least * 4 / 10 + spread));
        world.run(20_000, |dice| from + dice.up_to(window));
        assert_eq!(
            world.lost,
            before.1,
            "of {} at {least} ms",
            world.requests - before.0
        );
    }
}

#[test]
fn pauses_well_under_the_timer_reuse_nearly_always() {
    let ms = Duration::from_millis;
    let mut world = World::new(
        Timer {
            least: ms(2000),
            spread: ms(0),
        },
        ms(1),
        7,
    );
    while world.closes < 10 {
        world.run(1, |_| ms(2100));
    }
    let (requests, reused) = (world.requests, world.reused);
    world.run(5000, |dice| dice.up_to(ms(1000)));
    let share = f64::from(world.reused - reused) / f64::from(world.requests - requests);
    assert!(share >= 0.99, "{share}");
    assert_eq!(world.lost, 0);
}
