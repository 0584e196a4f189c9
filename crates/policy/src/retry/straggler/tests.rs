use proptest::prelude::*;

use super::*;

const AT: fn(u64) -> Moment = Moment::from_millis;
const FOLLOWED: ConnectionId = ConnectionId(7);

/// Stragglers that began 20 ms before they lost, at these moments; the first of them is followed.
fn lost_at(moments: &[u64]) -> Stragglers {
    let mut stragglers = Stragglers::default();
    for (nth, &at) in moments.iter().enumerate() {
        stragglers.lost(AT(at - 20), (nth == 0).then_some(FOLLOWED), AT(at));
    }
    stragglers
}

#[test]
fn an_answer_to_what_began_later_shows_that_the_endpoint_is_not_stalled() {
    let mut stragglers = lost_at(&[100, 110, 120, 130]);
    assert_eq!(stragglers.len(), 4);
    stragglers.answered(AT(100));
    assert_eq!(
        stragglers.len(),
        1,
        "begun at 110, after the one that was answered"
    );
    stragglers.answered(AT(110));
    assert_eq!(stragglers.len(), 0);
}

#[test]
fn three_that_take_four_times_as_long_as_their_hedges_make_an_endpoint_to_be_avoided() {
    let two = lost_at(&[100, 110]);
    assert!(!two.stalled(AT(9000)), "two may be unlucky");
    let three = lost_at(&[100, 110, 120]);
    assert!(!three.stalled(AT(179)) && three.stalled(AT(180)));
}

#[test]
fn they_fail_once_each_after_a_second_of_silence() {
    let mut stragglers = lost_at(&[100, 600]);
    assert_eq!(stragglers.due(), AT(1080));
    assert!(stragglers.failures(AT(1079)).is_empty());
    assert_eq!(stragglers.failures(AT(1080)), [AT(80)]);
    assert_eq!(stragglers.failures(AT(1600)), [AT(580)]);
    assert!(stragglers.failures(AT(5000)).is_empty());
    assert_eq!(stragglers.len(), 2, "its endpoint still has them");
    assert_eq!(stragglers.given_up(AT(10_080)), Some(FOLLOWED));
    stragglers.followed_gone(AT(10_080));
    assert!(stragglers.failures(AT(10_700)).is_empty() && stragglers.len() == 0);
    assert_eq!(stragglers.due(), Moment::NEVER);
}

#[test]
fn what_was_waited_for_long_is_waited_for_four_times_as_long_before_it_is_a_failure() {
    let mut stragglers = Stragglers::default();
    stragglers.lost(AT(0), Some(FOLLOWED), AT(5000));
    assert!(stragglers.failures(AT(19_999)).is_empty() || stragglers.len() == 0);
    assert_eq!(
        stragglers.given_up(AT(20_999)),
        None,
        "followed until after it is a failure"
    );
}

#[test]
fn an_answer_of_the_followed_one_tells_how_long_the_others_need() {
    let mut stragglers = lost_at(&[100, 110, 120, 130]);
    assert_eq!(stragglers.followed_answered(AT(180)), Some(AT(80)));
    assert_eq!(stragglers.len(), 3);
    assert!(
        !stragglers.stalled(AT(5000)),
        "it answers, so it is slow and no more"
    );
    assert_eq!(stragglers.due(), AT(190), "begun at 90, and 100 ms later");
    stragglers.failures(AT(210));
    assert_eq!(stragglers.len(), 0);
    assert!(stragglers.wants_to_follow());
}

#[test]
fn without_a_followed_connection_nothing_is_a_failure_and_all_is_forgotten_soon() {
    let mut stragglers = lost_at(&[100, 110, 120]);
    stragglers.followed_gone(AT(200));
    assert_eq!(stragglers.len(), 3);
    assert!(stragglers.failures(AT(1200)).is_empty());
    assert_eq!(stragglers.len(), 0);
}

#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Lost { waited: u64, followable: bool },
    Answered { ago: u64 },
    FollowedAnswered,
    FollowedGone,
    Look,
}

fn before(now: Moment, millis: u64) -> Moment {
    Moment::from_nanos(now.as_nanos() - millis * 1_000_000)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0_u64..3000).prop_map(Step::Wait),
        4 => (1_u64..2000, any::<bool>()).prop_map(|(waited, followable)| Step::Lost { waited, followable }),
        1 => (0_u64..2000).prop_map(|ago| Step::Answered { ago }),
        1 => Just(Step::FollowedAnswered),
        1 => Just(Step::FollowedGone),
        3 => Just(Step::Look),
    ];
    prop::collection::vec(step, 1..100)
}

proptest! {
    #[test]
    fn each_is_bounded_told_once_and_only_in_a_silence_of_the_followed_one(steps in steps()) {
        let (mut stragglers, mut now, mut next) = (Stragglers::default(), AT(10_000), 0);
        let mut told = std::collections::BTreeMap::<Moment, u32>::new();
        let mut lost = std::collections::BTreeMap::<Moment, u32>::new();
        for step in steps {
            match step {
                Step::Wait(millis) => now = now + Duration::from_millis(millis),
                Step::Lost { waited, followable } => {
                    let begun = before(now, waited);
                    let follow = followable && stragglers.wants_to_follow();
                    next += u64::from(follow);
                    stragglers.lost(begun, follow.then_some(ConnectionId(next)), now);
                    *lost.entry(begun).or_default() += 1;
                }
                Step::Answered { ago } => {
                    let begun = before(now, ago);
                    stragglers.answered(begun);
                    prop_assert!(stragglers.list.iter().all(|one| one.begun > begun));
                }
                Step::FollowedAnswered => {
                    let had = stragglers.followed().is_some();
                    prop_assert_eq!(stragglers.followed_answered(now).is_some(), had);
                    prop_assert!(!had || !stragglers.stalled(Moment::from_nanos(u64::MAX - 1)));
                }
                Step::FollowedGone => drop(stragglers.followed_gone(now)),
                Step::Look => {
                    let silent = stragglers.followed().is_some();
                    let failures = stragglers.failures(now);
                    prop_assert!(silent || failures.is_empty());
                    for begun in failures {
                        prop_assert!(now.since(begun) >= FAILS_AFTER_MIN);
                        *told.entry(begun).or_default() += 1;
                    }
                    if stragglers.given_up(now).is_some() {
                        stragglers.followed_gone(now);
                    }
                    prop_assert!(stragglers.due() > now, "it is looked at once, not for ever");
                }
            }
            prop_assert!(stragglers.list.len() <= STRAGGLERS_MAX);
        }
        for (begun, times) in told {
            prop_assert!(times <= lost[&begun]);
        }
        let end = now + Duration::from_secs(60);
        stragglers.failures(end);
        prop_assert_eq!(stragglers.len(), 0, "none is outstanding for ever");
    }
}
