//! Stories of one cluster; `machine` has random ones, `world` long ones.

mod events;
mod freezes;
mod hedged;
mod machine;
mod overload;
mod service;
mod world;

use std::net::{Ipv4Addr, SocketAddr};

use super::*;
use crate::evidence::Grade;
use crate::keepalive::Source;
use crate::plan::{ClusterPlan, HealthPlan, HealthProbe, Learning, Limits};
use crate::retry::attempts::RetryReason;

const ME: WorkerId = WorkerId(0);
const AT: fn(u64) -> Moment = Moment::from_millis;

pub(super) fn address(port: u16) -> Address {
    Address::Ip(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

/// Checks by connecting, of which each counts, in whole milliseconds.
fn checks(timeout: u64, interval: u64, initial_jitter: u64) -> HealthPlan {
    let one = std::num::NonZeroU32::MIN;
    HealthPlan {
        timeout: Duration::from_millis(timeout),
        interval: Duration::from_millis(interval),
        initial_jitter: Duration::from_millis(initial_jitter),
        unhealthy_threshold: one,
        healthy_threshold: one,
        port: None,
        probe: HealthProbe::Tcp {
            send: vec![],
            receive: vec![],
        },
    }
}

/// A cluster with endpoints on ports 1, 2, …, and what it takes to ask it.
struct Story {
    cluster: Cluster,
    members: Members,
    plan: Arc<ClusterPlan>,
    dice: Dice,
}

impl Story {
    fn new(endpoints: u16, plan: ClusterPlan) -> Self {
        let mut cluster = Cluster::new("a".into());
        let addresses: Vec<_> = (1..=endpoints).map(|port| (address(port), 1)).collect();
        let members = cluster.adopt(&addresses, AT(0));
        Self {
            cluster,
            members,
            plan: Arc::new(plan),
            dice: Dice::seeded(1),
        }
    }

    fn limited(endpoints: u16, limits: Limits) -> Self {
        Self::new(
            endpoints,
            ClusterPlan {
                limits,
                ..ClusterPlan::default()
            },
        )
    }

    fn ask(&mut self, replay_safety: ReplaySafety, reuse: Reuse, at: u64) -> Checkout {
        let ask = Ask {
            replay_safety,
            reuse,
            ..Ask::new(&self.members, &self.plan, ME)
        };
        self.cluster.checkout(&ask, AT(at), &mut self.dice)
    }

    fn get(&mut self, at: u64) -> Checkout {
        self.ask(ReplaySafety::Safe, Reuse::Allow, at)
    }

    fn post(&mut self, at: u64) -> Checkout {
        self.ask(ReplaySafety::NeedsProof, Reuse::Allow, at)
    }

    /// A connection is opened for a request.
    fn open(&mut self, at: u64) -> ConnectionId {
        let Checkout::Open { connection, .. } = self.ask(ReplaySafety::Safe, Reuse::Forbid, at) else {
            panic!("no room to open")
        };
        self.cluster.connected(connection, None, AT(at));
        connection
    }

    fn answer(&mut self, connection: ConnectionId, at: u64) -> Parked {
        let how = Handback::Reusable {
            hint: None,
            round_trip: None,
        };
        self.cluster.hand_back(connection, how, ME, AT(at))
    }

    /// So many connections go idle at this moment.
    fn idle(&mut self, count: usize, at: u64) -> Vec<ConnectionId> {
        let open: Vec<_> = (0..count).map(|_| self.open(at)).collect();
        open.iter()
            .for_each(|&connection| assert_eq!(self.answer(connection, at), Parked::Keep));
        open
    }

    /// The endpoint closes three idle connections, each after `age`; returns when that is done.
    fn teach(&mut self, age: u64, how: IdleEnd) -> u64 {
        let mut at = 0;
        for _ in 0..3 {
            let idle = self.idle(1, at)[0];
            at += age;
            assert!(self.cluster.idle_ended(idle, how, AT(at)));
        }
        at
    }

    fn claim(&mut self, ticket: Ticket, at: u64) -> Option<Checkout> {
        let ask = Ask::new(&self.members, &self.plan, ME);
        self.cluster.claim(ticket, &ask, AT(at), &mut self.dice)
    }
}

fn reused(checkout: &Checkout) -> (ConnectionId, Writing) {
    let Checkout::Reuse(reused) = checkout else {
        panic!("{checkout:?} reuses nothing")
    };
    (reused.connection, reused.writing)
}

fn queued(checkout: &Checkout) -> Ticket {
    let Checkout::Queue(ticket) = checkout else {
        panic!("{checkout:?} does not wait")
    };
    *ticket
}

#[test]
fn an_idle_connection_is_reused_and_says_how_old_it_is() {
    let mut story = Story::new(1, ClusterPlan::default());
    let idle = story.idle(1, 1000)[0];
    let Checkout::Reuse(reused) = story.get(3500) else {
        panic!("not reused")
    };
    assert_eq!(
        (reused.connection, reused.worker, reused.writing),
        (idle, ME, Writing::Direct)
    );
    let facts = ConnectionFacts {
        idle_age: Duration::from_millis(2500),
        age: Duration::from_millis(2500),
        uses: 1,
        limit: Some(Duration::from_secs(60)),
    };
    assert_eq!(reused.facts, facts);
    assert!(
        matches!(story.get(3500), Checkout::Open { .. }),
        "one connection, one request"
    );
}

#[test]
fn a_replay_gets_a_fresh_connection_whatever_idles() {
    let mut story = Story::new(1, ClusterPlan::default());
    story.idle(3, 0);
    assert!(matches!(
        story.ask(ReplaySafety::Safe, Reuse::Forbid, 1),
        Checkout::Open { .. }
    ));
}

#[test]
fn a_request_that_needs_proof_writes_in_two_steps_until_something_is_known() {
    let mut story = Story::new(1, ClusterPlan::default());
    story.idle(1, 0);
    let (idle, writing) = reused(&story.post(100));
    assert_eq!(writing, Writing::Direct, "a young connection is safe");
    story.answer(idle, 100);
    assert_eq!(reused(&story.post(5000)).1, Writing::TwoStep);
    assert_eq!(story.cluster.counters.race_priced, 1);
}

#[test]
fn an_acknowledgement_is_awaited_only_where_a_flow_may_have_been_forgotten() {
    let awaits = |checkout: &Checkout| match checkout {
        Checkout::Reuse(reused) if reused.writing == Writing::TwoStep => reused.hold.awaits_acknowledgement,
        other => panic!("{other:?} is not written in two steps"),
    };
    let mut story = Story::new(1, ClusterPlan::default());
    story.idle(1, 0);
    let exploring = story.post(5000);
    assert!(awaits(&exploring), "no request has survived such an age");
    story.answer(reused(&exploring).0, 5000);
    // Resets at that age: what is to be feared there is said within the path's length.
    let idle = story.idle(1, 5000)[0];
    assert!(story.cluster.idle_ended(idle, IdleEnd::Reset, AT(10_000)));
    let near = story.post(9900);
    assert!(!awaits(&near));
    story
        .cluster
        .hand_back(reused(&near).0, Handback::Silent, ME, AT(10_900));
    story.idle(1, 30_000);
    assert!(awaits(&story.post(33_900)), "silence was met at 4.9 s");
}

#[test]
fn an_endpoint_that_says_what_answers_nothing_is_kept_away_from_as_if_it_had_closed() {
    let mut story = Story::new(1, ClusterPlan::default());
    let at = story.teach(2000, IdleEnd::Unsolicited);
    let limit = story.cluster.describe(AT(at))[0].knowledge.limit;
    assert!(matches!(limit.source, Source::Learned { .. }), "{limit:?}");
    assert_eq!(story.cluster.describe(AT(at))[0].knowledge.resets, 0);
    story.idle(1, at);
    assert!(matches!(story.get(at + 1999), Checkout::Open { .. }));
}

#[test]
fn without_learning_too_every_request_to_such_an_endpoint_is_written_in_two_steps_for_an_hour() {
    let mut plan = ClusterPlan::default();
    plan.keep_alive.learning = Learning::Off;
    let mut story = Story::new(1, plan);
    let idle = story.idle(1, 0)[0];
    let writing = |checkout: &Checkout| match checkout {
        Checkout::Reuse(reused) => (reused.writing, reused.hold.awaits_acknowledgement),
        other => panic!("{other:?} is not reused"),
    };
    let before = story.get(500);
    assert_eq!(writing(&before).0, Writing::Direct);
    story.answer(reused(&before).0, 500);
    // Right behind a response it is more likely the response's own end: no timer is learned from it.
    assert!(story.cluster.idle_ended(idle, IdleEnd::Unsolicited, AT(510)));
    assert_eq!(story.cluster.describe(AT(510))[0].knowledge.closes, 0);
    story.idle(1, 1000);
    let after = story.get(1500);
    assert_eq!(writing(&after), (Writing::TwoStep, true));
    story.answer(reused(&after).0, 1500);
    story.idle(1, 4_000_000);
    assert_eq!(writing(&story.get(4_000_500)).0, Writing::Direct);
}

#[test]
fn past_a_learned_limit_nothing_is_reused_and_one_connection_stays_to_watch() {
    let mut story = Story::new(1, ClusterPlan::default());
    let at = story.teach(2000, IdleEnd::Fin);
    let idle = story.idle(3, at);
    let report = &story.cluster.describe(AT(at))[0];
    let limit = report.knowledge.limit.reuse;
    assert!(matches!(
        report.knowledge.limit.source,
        Source::Learned { closes: 3, .. }
    ));
    assert!(story.cluster.next_deadline() <= AT(at) + limit + Duration::from_nanos(1));
    assert_eq!(
        reused(&story.post(at + 1500)).1,
        Writing::Direct,
        "well inside the limit"
    );
    let plan = story.plan.clone();
    assert_eq!(story.cluster.reap(&plan, AT(at + 1990)), [idle[1]]);
    assert!(story.cluster.describe(AT(at + 1990))[0].probe);
    assert!(
        matches!(story.get(at + 1990), Checkout::Open { .. }),
        "the probe serves nobody"
    );
    assert_eq!(story.cluster.counters.race_avoided, 1);
    assert!(story.cluster.idle_ended(idle[0], IdleEnd::Fin, AT(at + 2000)));
    let report = &story.cluster.describe(AT(at + 2000))[0];
    assert_eq!((report.probe, report.knowledge.closes), (false, 4));
}

#[test]
fn after_a_silence_no_connection_that_is_too_old_for_use_is_kept() {
    let mut story = Story::new(1, ClusterPlan::default());
    let met = story.idle(1, 0)[0];
    assert_eq!(reused(&story.get(1000)).0, met);
    story.cluster.hand_back(met, Handback::Silent, ME, AT(1900));
    let kept = story.idle(3, 1900);
    assert!(story.cluster.next_deadline() <= AT(1900 + 900));
    let plan = story.plan.clone();
    assert!(story.cluster.reap(&plan, AT(2700)).is_empty());
    assert_eq!(story.cluster.reap(&plan, AT(2801)), kept);
    assert_eq!(story.cluster.describe(AT(2801))[0].open, 0);
    assert!(story.cluster.next_deadline() > AT(2801), "no look in vain");
    // What was closed so may have been dead: it refutes nothing.
    let idle = story.idle(1, 2801)[0];
    assert_eq!(reused(&story.get(3600)).0, idle);
    story.answer(idle, 3600);
    assert!(matches!(story.get(4510), Checkout::Open { .. }));
}

#[test]
fn a_probe_that_outlives_the_wall_says_so_at_once_and_three_of_them_raise_the_limit() {
    let mut story = Story::new(1, ClusterPlan::default());
    let mut at = story.teach(2000, IdleEnd::Fin);
    let plan = story.plan.clone();
    for _ in 0..3 {
        assert!(story.cluster.describe(AT(at))[0].knowledge.wall.is_some());
        let probe = story.idle(1, at)[0];
        assert!(story.cluster.reap(&plan, AT(at + 1990)).is_empty());
        at += 2200;
        assert!(story.cluster.next_deadline() <= AT(at));
        assert!(story.cluster.reap(&plan, AT(at)).is_empty());
        at += 120_000;
        assert_eq!(
            story.cluster.reap(&plan, AT(at)),
            [probe],
            "watched for long enough"
        );
    }
    assert_eq!(
        story.cluster.describe(AT(at))[0].knowledge.limit.source,
        Source::Configured
    );
}

#[test]
fn of_an_endpoint_that_resets_a_post_is_written_in_two_steps_near_a_close_that_was_seen() {
    let mut story = Story::new(1, ClusterPlan::default());
    let idle = story.idle(1, 0)[0];
    assert!(story.cluster.idle_ended(idle, IdleEnd::Reset, AT(2000)));
    story.idle(1, 2000);
    let (idle, writing) = reused(&story.get(3800));
    assert_eq!(writing, Writing::Direct, "a GET can be sent again");
    story.answer(idle, 3800);
    assert_eq!(
        reused(&story.post(5500)).1,
        Writing::TwoStep,
        "though a GET has survived that"
    );
    assert_eq!(story.cluster.counters.race_priced, 1);
}

#[test]
fn a_connection_found_dead_is_a_race_absorbed_and_teaches_its_age() {
    let mut story = Story::new(1, ClusterPlan::default());
    for n in 0..3 {
        story.idle(1, n * 10_000);
        let (dead, _) = reused(&story.get(n * 10_000 + 3001));
        story.cluster.on_stale(dead, IdleEnd::Fin, AT(n * 10_000 + 3001));
    }
    let counters = &story.cluster.counters;
    assert_eq!(
        (
            counters.race_met,
            counters.race_checked,
            counters.cx_destroy_remote
        ),
        (3, 3, 3)
    );
    assert_eq!(story.cluster.gauges().rq_active, 0);
    let wall = story.cluster.describe(AT(30_000))[0].knowledge.wall.unwrap();
    assert_eq!(wall.lo, Duration::from_millis(3001));
}

#[test]
fn a_close_that_met_a_request_counts_with_its_age_at_the_close() {
    let mut story = Story::new(1, ClusterPlan::default());
    for n in 0..3 {
        story.idle(1, n * 10_000);
        let (dead, _) = reused(&story.get(n * 10_000 + 2995));
        let how = Handback::PeerClosed {
            how: IdleEnd::Reset,
            raced: true,
            proven: false,
        };
        assert_eq!(
            story.cluster.hand_back(dead, how, ME, AT(n * 10_000 + 3000)),
            Parked::Close
        );
    }
    let knowledge = story.cluster.describe(AT(30_000))[0].knowledge;
    assert_eq!(
        (knowledge.wall.unwrap().lo, knowledge.resets),
        (Duration::from_secs(3), 3)
    );
    story
        .cluster
        .on_again(RetryReason::Replay(Grade::Unreceived), true);
    assert_eq!(
        (
            story.cluster.counters.race_met,
            story.cluster.counters.race_replayed
        ),
        (3, 1)
    );
}

#[test]
fn what_one_endpoint_taught_makes_the_others_careful() {
    let mut story = Story::new(1, ClusterPlan::default());
    let at = story.teach(2000, IdleEnd::Fin);
    let both = story.cluster.adopt(&[(address(1), 1), (address(2), 1)], AT(at));
    assert_eq!(
        both.list[0].0, story.members.list[0].0,
        "a known address keeps its endpoint"
    );
    let knowledge = story.cluster.knowledge(both.list[1].0).unwrap();
    assert!(knowledge.limit.safe < Duration::from_secs(2) && knowledge.wall.is_none());
}

#[test]
fn another_workers_connection_is_taken_over_before_one_is_opened() {
    let mut story = Story::new(1, ClusterPlan::default());
    let idle = story.open(0);
    let how = Handback::Reusable {
        hint: None,
        round_trip: None,
    };
    story.cluster.hand_back(idle, how, WorkerId(3), AT(0));
    let Checkout::Reuse(reused) = story.get(10) else {
        panic!("not reused")
    };
    assert_eq!(
        (reused.worker, story.cluster.counters.taken_over),
        (WorkerId(3), 1)
    );
}

#[test]
fn at_the_connection_limit_requests_wait_in_their_order_and_are_refused_beyond() {
    let mut story = Story::limited(
        1,
        Limits {
            max_connections: 1,
            max_pending_requests: 2,
            ..Limits::default()
        },
    );
    let only = story.open(0);
    let (one, two) = (queued(&story.get(1)), queued(&story.get(2)));
    assert_eq!(story.get(3), Checkout::Refuse(Refusal::Overflow));
    assert_eq!(story.cluster.granted(), None);
    story.answer(only, 10);
    assert_eq!(story.cluster.granted(), Some(one));
    assert_eq!(story.cluster.granted(), None);
    assert_eq!(story.claim(two, 11), None, "not yet");
    assert_eq!(reused(&story.claim(one, 11).unwrap()).0, only);
    story.cluster.hand_back(only, Handback::Closed, ME, AT(20));
    assert_eq!(story.cluster.granted(), Some(two));
    assert!(matches!(story.claim(two, 21), Some(Checkout::Open { .. })));
    assert_eq!(story.cluster.counters.rq_pending_overflow, 1);
}

#[test]
fn a_waiter_that_leaves_gives_its_turn_to_the_next() {
    let mut story = Story::limited(
        1,
        Limits {
            max_connections: 1,
            ..Limits::default()
        },
    );
    let only = story.open(0);
    let tickets: Vec<_> = (1..=3).map(|at| queued(&story.get(at))).collect();
    story.cluster.cancel(tickets[0], AT(5));
    story.answer(only, 10);
    assert_eq!(story.cluster.granted(), Some(tickets[1]));
    story.cluster.cancel(tickets[1], AT(11));
    assert_eq!(story.cluster.granted(), Some(tickets[2]));
    assert_eq!(reused(&story.claim(tickets[2], 12).unwrap()).0, only);
}

#[test]
fn a_connection_that_ends_while_it_is_held_becomes_the_right_to_open_one() {
    let mut story = Story::limited(
        1,
        Limits {
            max_connections: 1,
            ..Limits::default()
        },
    );
    let only = story.open(0);
    let ticket = queued(&story.get(1));
    story.answer(only, 10);
    assert!(story.cluster.idle_ended(only, IdleEnd::Fin, AT(11)));
    assert!(matches!(story.claim(ticket, 12), Some(Checkout::Open { .. })));
    assert_eq!(story.cluster.gauges().cx_active, 1);
}

#[test]
fn an_idle_connection_of_another_endpoint_makes_room() {
    let mut story = Story::limited(
        2,
        Limits {
            max_connections: 2,
            ..Limits::default()
        },
    );
    let idle = story.idle(2, 0);
    let avoid: Vec<_> = story.members.list.iter().map(|&(id, _)| id).take(1).collect();
    let ask = Ask {
        reuse: Reuse::Forbid,
        avoid: &avoid,
        ..Ask::new(&story.members, &story.plan, ME)
    };
    let checkout = story.cluster.checkout(&ask, AT(5), &mut story.dice);
    assert!(matches!(checkout, Checkout::Open { endpoint, .. } if endpoint != avoid[0]));
    assert!(idle.contains(&story.cluster.evicted().unwrap()));
    assert_eq!(story.cluster.evicted(), None);
    assert_eq!(story.cluster.gauges().cx_active, 2);
}

#[test]
fn too_many_requests_in_flight_are_refused_at_once() {
    let mut story = Story::limited(
        1,
        Limits {
            max_parallel_requests: 1,
            ..Limits::default()
        },
    );
    let one = story.open(0);
    assert_eq!(story.get(1), Checkout::Refuse(Refusal::Requests));
    story.answer(one, 2);
    reused(&story.get(3));
}

#[test]
fn a_full_endpoint_sends_the_request_to_another() {
    let limits = Limits {
        max_connections_per_endpoint: Some(1),
        ..Limits::default()
    };
    let mut story = Story::limited(2, limits);
    (0..2).for_each(|_| _ = story.open(0));
    assert!(matches!(story.get(1), Checkout::Queue(_)));
    assert!(
        story
            .cluster
            .describe(AT(1))
            .iter()
            .all(|endpoint| endpoint.open == 1)
    );
}

#[test]
fn a_pool_is_used_as_far_as_the_nearest_limit_allows() {
    let limits = Limits {
        max_connections: 100,
        max_connections_per_endpoint: Some(2),
        ..Limits::default()
    };
    let mut story = Story::limited(2, limits);
    let one = story.open(0);
    (0..2).for_each(|_| _ = story.open(0));
    assert_eq!(story.cluster.pool_used_percent(), 75);
    story.answer(one, 1);
    assert_eq!(
        story.cluster.pool_used_percent(),
        50,
        "an idle connection is not in use"
    );
    let opened: u64 = story.cluster.describe(AT(1)).iter().map(|one| one.opened).sum();
    assert_eq!(opened, 3);
}

#[test]
fn an_endpoint_that_failed_is_chosen_only_if_there_is_no_other() {
    let mut story = Story::new(2, ClusterPlan::default());
    let ids: Vec<_> = story.members.list.iter().map(|&(id, _)| id).collect();
    for (avoid, expected) in [
        (&ids[..1], Some(ids[1])),
        (&ids[1..], Some(ids[0])),
        (&ids[..], None),
    ] {
        for at in 0..20 {
            let ask = Ask {
                reuse: Reuse::Forbid,
                avoid,
                ..Ask::new(&story.members, &story.plan, ME)
            };
            let Checkout::Open {
                endpoint, connection, ..
            } = story.cluster.checkout(&ask, AT(at), &mut story.dice)
            else {
                panic!("not opened")
            };
            assert!(expected.is_none_or(|expected| endpoint == expected));
            story.cluster.connect_failed(connection, false, AT(at));
        }
    }
}

#[test]
fn worn_and_old_connections_are_closed_instead_of_parked() {
    let limits = Limits {
        max_requests_per_connection: std::num::NonZeroU32::new(2),
        max_connection_duration: Some(Duration::from_secs(10)),
        ..Limits::default()
    };
    let mut story = Story::limited(1, limits);
    let worn = story.idle(1, 0)[0];
    reused(&story.get(1));
    assert_eq!(story.answer(worn, 2), Parked::Close);
    let old = story.open(0);
    assert_eq!(story.answer(old, 10_000), Parked::Close);
    let aged = story.idle(1, 20_000)[0];
    assert!(
        matches!(story.get(30_000), Checkout::Open { .. }),
        "too old to be used"
    );
    assert!(story.cluster.next_deadline() <= AT(30_000));
    let plan = story.plan.clone();
    assert_eq!(story.cluster.reap(&plan, AT(30_000)), [aged]);
    let counters = &story.cluster.counters;
    assert_eq!(
        (counters.cx_max_requests, counters.cx_max_duration_reached),
        (1, 2)
    );
}

#[test]
fn an_endpoint_stays_until_the_last_snapshot_and_the_last_request_have_left() {
    let mut story = Story::new(1, ClusterPlan::default());
    let idle = story.idle(1, 0);
    let busy = story.open(0);
    let again = story.cluster.adopt(&[(address(1), 5)], AT(1));
    assert!(
        story.cluster.retire(&again, AT(2)).is_empty(),
        "the first snapshot still holds it"
    );
    let members = story.members.clone();
    assert_eq!(story.cluster.retire(&members, AT(3)), idle);
    assert!(story.cluster.describe(AT(3))[0].leaving);
    assert_eq!(story.answer(busy, 4), Parked::Close);
    assert!(story.cluster.describe(AT(4)).is_empty());
}

#[test]
fn a_cluster_without_endpoints_refuses() {
    let mut story = Story::new(0, ClusterPlan::default());
    assert_eq!(story.get(0), Checkout::Refuse(Refusal::NoEndpoint));
    assert_eq!(story.cluster.counters.cx_none_healthy, 1);
}

#[test]
fn retries_in_flight_are_limited() {
    let mut story = Story::new(1, ClusterPlan::default());
    let plan = ClusterPlan {
        limits: Limits {
            max_parallel_retries: 1,
            ..Limits::default()
        },
        ..ClusterPlan::default()
    };
    assert!(story.cluster.admit_retry(&plan, AT(1)));
    assert!(!story.cluster.admit_retry(&plan, AT(1)));
    story.cluster.retry_ended(true);
    assert!(story.cluster.admit_retry(&plan, AT(1)));
    let counters = &story.cluster.counters;
    assert_eq!((counters.rq_retry_overflow, counters.rq_retry_success), (1, 1));
}

#[test]
fn responses_are_counted_by_status_and_class() {
    let mut story = Story::new(1, ClusterPlan::default());
    for status in [200, 204, 503] {
        story.cluster.on_response(status, Duration::from_millis(7));
    }
    let counters = &story.cluster.counters;
    assert_eq!(
        (
            counters.rq_completed,
            counters.rq_class,
            counters.rq_time_ms_total
        ),
        (3, [0, 0, 2, 0, 0, 1], 21)
    );
    assert_eq!(counters.rq_status.get(204), 1);
    assert_eq!(counters.rq_status.iter().count(), 3);
}
