use proptest::prelude::*;

use super::*;
use crate::deadline::Arrival;
use crate::plan::RetryOn;

const NOW: Moment = Moment::from_millis(1000);
const POST: RetryTraits = RetryTraits {
    idempotent: false,
    keyed: false,
    fits_copy: true,
};
const GET: RetryTraits = RetryTraits {
    idempotent: true,
    keyed: false,
    fits_copy: true,
};

fn died(end: End, grade: Grade) -> Summary {
    Summary {
        endpoint: Some(EndpointId(7)),
        reused: true,
        raced: false,
        copy_whole: true,
        answered: false,
        arrival: Arrival::Whole,
        result: Outcome::Died { end, grade },
    }
}

fn again(why: RetryReason) -> NextStep {
    NextStep::Again {
        reuse: Reuse::Forbid,
        at: NOW,
        why,
    }
}

fn owner(attempts: u32, on: RetryOn) -> RetryPlan {
    RetryPlan::Owner(OwnerRetry {
        unsafe_methods: UnsafeMethods::Retry,
        attempts,
        backoff: None,
        backoff_max: None,
        on,
    })
}

#[test]
fn an_owner_may_keep_unsafe_methods_to_proven_replays() {
    let on = RetryOn {
        reset: true,
        timeout: true,
        statuses: vec![503],
        ..RetryOn::default()
    };
    let RetryPlan::Owner(asked) = owner(3, on) else {
        unreachable!("it is an owner's")
    };
    let kept = RetryPlan::Owner(OwnerRetry {
        unsafe_methods: UnsafeMethods::ProvenOnly,
        ..asked.clone()
    });
    let post = RetryTraits {
        idempotent: false,
        keyed: false,
        fits_copy: true,
    };
    let after = |plan: &RetryPlan, traits: RetryTraits, result: Outcome| {
        let summary = Summary {
            result,
            ..died(End::Reset, Grade::Unknown)
        };
        Attempts::new(plan, traits).on_result(&summary, NOW, &mut Dice::seeded(1))
    };
    let unknown = Outcome::Died {
        end: End::Reset,
        grade: Grade::Unknown,
    };
    for result in [Outcome::Status(503), unknown] {
        assert_eq!(
            after(&kept, post, result),
            NextStep::Answer,
            "it may have been applied"
        );
        let retried = after(&RetryPlan::Owner(asked.clone()), post, result);
        assert!(
            matches!(
                retried,
                NextStep::Again {
                    why: RetryReason::Retry,
                    ..
                }
            ),
            "{retried:?}"
        );
        for bears in [
            RetryTraits {
                idempotent: true,
                ..post
            },
            RetryTraits { keyed: true, ..post },
        ] {
            let retried = after(&kept, bears, result);
            assert!(
                matches!(
                    retried,
                    NextStep::Again {
                        why: RetryReason::Retry,
                        ..
                    }
                ),
                "{retried:?}"
            );
        }
    }
    assert_eq!(
        Attempts::new(&kept, post).replay_safety(),
        ReplaySafety::NeedsProof
    );
    for grade in [
        Grade::Unsent,
        Grade::Stillborn,
        Grade::Incomplete,
        Grade::Unreceived,
    ] {
        let proven = Outcome::Died {
            end: End::Reset,
            grade,
        };
        assert_eq!(
            after(&kept, post, proven),
            again(RetryReason::Replay(grade)),
            "proof is proof"
        );
    }
}

#[test]
fn a_client_that_kept_an_endpoint_waiting_is_not_taken_to_another() {
    let stalled = |end, grade| Summary {
        arrival: Arrival::Stalled,
        ..died(end, grade)
    };
    let mut dice = Dice::seeded(1);
    for plan in [
        RetryPlan::Transparent,
        owner(
            3,
            RetryOn {
                reset: true,
                ..RetryOn::default()
            },
        ),
    ] {
        let mut attempts = Attempts::new(&plan, GET);
        let after = attempts.on_result(&stalled(End::Eof, Grade::Unknown), NOW, &mut dice);
        assert_eq!(after, NextStep::Answer);
        assert!(!attempts.limit_exceeded(), "no limit was met");
    }
    let mut attempts = Attempts::new(&RetryPlan::Transparent, GET);
    let after = attempts.on_result(&stalled(End::Eof, Grade::Unreceived), NOW, &mut dice);
    assert_eq!(
        after,
        again(RetryReason::Replay(Grade::Unreceived)),
        "proof is proof"
    );
}

#[test]
fn a_proven_death_is_replayed_at_once_on_a_fresh_connection_three_times_and_no_more() {
    for grade in [
        Grade::Unsent,
        Grade::Stillborn,
        Grade::Unreceived,
        Grade::Incomplete,
    ] {
        let mut attempts = Attempts::new(&RetryPlan::Transparent, POST);
        for _ in 0..3 {
            let after = attempts.on_result(&died(End::Eof, grade), NOW, &mut Dice::seeded(1));
            assert_eq!(after, again(RetryReason::Replay(grade)));
        }
        assert_eq!((attempts.retries(), attempts.saved_by()), (0, Some(grade)));
        assert!(!attempts.limit_exceeded());
        assert_eq!(
            attempts.on_result(&died(End::Eof, grade), NOW, &mut Dice::seeded(1)),
            NextStep::Answer
        );
        assert!(attempts.limit_exceeded());
        assert!(attempts.avoid().is_empty(), "a race is no fault of the endpoint");
    }
}

#[test]
fn an_unproven_death_is_retried_once_if_the_request_bears_it() {
    for end in [End::Reset, End::Eof, End::Silent, End::BrokenPipe] {
        let lost = died(end, Grade::Unknown);
        let dice = &mut Dice::seeded(1);
        let mut get = Attempts::new(&RetryPlan::Transparent, GET);
        assert_eq!(get.replay_safety(), ReplaySafety::Safe);
        assert_eq!(get.on_result(&lost, NOW, dice), again(RetryReason::Retry));
        assert_eq!(
            get.replay_safety(),
            ReplaySafety::NeedsProof,
            "its one retry is spent"
        );
        assert_eq!(get.on_result(&lost, NOW, dice), NextStep::Answer);
        let mut keyed = Attempts::new(&RetryPlan::Transparent, RetryTraits { keyed: true, ..POST });
        assert_eq!(keyed.on_result(&lost, NOW, dice), again(RetryReason::Retry));
        let mut post = Attempts::new(&RetryPlan::Transparent, POST);
        assert_eq!(post.replay_safety(), ReplaySafety::NeedsProof);
        assert_eq!(post.on_result(&lost, NOW, dice), NextStep::Answer);
    }
    let mut slow = Attempts::new(&RetryPlan::Transparent, GET);
    let timed_out = died(End::TimedOut, Grade::Unknown);
    assert_eq!(
        slow.on_result(&timed_out, NOW, &mut Dice::seeded(1)),
        NextStep::Answer
    );
}

#[test]
fn a_failed_connect_goes_to_another_endpoint_and_a_timed_out_one_only_once() {
    let dice = &mut Dice::seeded(1);
    let fresh = |result| Summary {
        reused: false,
        raced: false,
        result,
        ..died(End::Eof, Grade::Unsent)
    };
    let refused = fresh(Outcome::Died {
        end: End::ConnectFailed,
        grade: Grade::Unsent,
    });
    let mut attempts = Attempts::new(&RetryPlan::Transparent, POST);
    assert_eq!(
        attempts.on_result(&refused, NOW, dice),
        again(RetryReason::Replay(Grade::Unsent))
    );
    assert_eq!(attempts.avoid(), [EndpointId(7)]);
    let timed_out = fresh(Outcome::ConnectTimedOut);
    assert_eq!(
        attempts.on_result(&timed_out, NOW, dice),
        again(RetryReason::Replay(Grade::Unsent))
    );
    assert_eq!(attempts.on_result(&timed_out, NOW, dice), NextStep::Answer);
    assert_eq!(attempts.avoid(), [EndpointId(7)], "each endpoint once");
}

#[test]
fn no_attempts_at_all_means_not_even_a_proven_replay() {
    let plan = owner(
        0,
        RetryOn {
            reset: true,
            connect_failure: true,
            ..RetryOn::default()
        },
    );
    let mut attempts = Attempts::new(&plan, GET);
    assert_eq!(attempts.replay_safety(), ReplaySafety::NeedsProof);
    let after = attempts.on_result(&died(End::Eof, Grade::Stillborn), NOW, &mut Dice::seeded(1));
    assert_eq!(after, NextStep::Answer);
    assert!(!attempts.limit_exceeded(), "none were configured");
}

#[test]
fn the_owners_retry_covers_every_method_on_the_configured_cases() {
    let on = RetryOn {
        reset: true,
        statuses: vec![502, 503],
        ..RetryOn::default()
    };
    let (plan, dice) = (owner(2, on), &mut Dice::seeded(1));
    let mut attempts = Attempts::new(&plan, POST);
    assert_eq!(attempts.replay_safety(), ReplaySafety::Safe);
    assert_eq!(
        attempts.on_result(&died(End::Reset, Grade::Unknown), NOW, dice),
        again(RetryReason::Retry)
    );
    let status = |status| Summary {
        result: Outcome::Status(status),
        ..died(End::Eof, Grade::Unknown)
    };
    assert_eq!(attempts.on_result(&status(500), NOW, dice), NextStep::Answer);
    let retry = NextStep::Again {
        reuse: Reuse::Allow,
        at: NOW,
        why: RetryReason::Retry,
    };
    assert_eq!(attempts.on_result(&status(503), NOW, dice), retry);
    assert_eq!(
        attempts.avoid(),
        [EndpointId(7)],
        "a bad answer is the endpoint's fault"
    );
    assert_eq!(attempts.on_result(&status(503), NOW, dice), NextStep::Answer);
    assert!(attempts.limit_exceeded());
}

#[test]
fn the_owners_pause_is_a_minimum_and_doubles_with_jitter_up_to_the_longest() {
    let first = Duration::from_millis(200);
    for longest in [None, Some(first), Some(Duration::from_millis(300))] {
        let retry = OwnerRetry {
            unsafe_methods: UnsafeMethods::Retry,
            attempts: 9,
            backoff: Some(first),
            backoff_max: longest,
            on: RetryOn::default(),
        };
        let most = longest.unwrap_or(first * 10);
        for (nth, doubled) in (1..).zip([1, 2, 4, 8, 16, 32, 64]) {
            let pauses = (0..50).map(|seed| pause(&retry, nth, &mut Dice::seeded(seed)));
            let (least, largest) = pauses.fold((Duration::MAX, Duration::ZERO), |(least, most), pause| {
                (least.min(pause), most.max(pause))
            });
            let expected = (first * doubled).min(most - most / 3).max(first);
            assert!(
                least >= expected && largest <= most,
                "{nth}: {least:?} to {largest:?}"
            );
            assert!(largest > least || most == first, "{nth}: no jitter");
        }
    }
}

fn summaries() -> impl Strategy<Value = Summary> {
    use Grade::{Begun, Incomplete, Stillborn, Unknown, Unreceived, Unsent};
    let grade = prop::sample::select(vec![Unsent, Stillborn, Unreceived, Incomplete, Unknown, Begun]);
    let end = prop::sample::select(vec![
        End::ConnectFailed,
        End::Eof,
        End::BrokenPipe,
        End::Reset,
        End::Silent,
        End::TimedOut,
        End::Other,
    ]);
    let result = prop_oneof![
        6 => (end, grade).prop_map(|(end, grade)| Outcome::Died { end, grade }),
        1 => (200_u16..600).prop_map(Outcome::Status),
        1 => Just(Outcome::ConnectTimedOut),
    ];
    (
        prop::option::of(0_u32..9),
        any::<bool>(),
        prop::bool::weighted(0.9),
        prop::bool::weighted(0.1),
        prop_oneof![8 => Just(Arrival::Whole), 1 => Just(Arrival::Coming), 1 => Just(Arrival::Stalled)],
        result,
    )
        .prop_map(
            |(endpoint, reused, copy_whole, answered, arrival, result)| Summary {
                endpoint: endpoint.map(|id| EndpointId(id.into())),
                reused,
                raced: false,
                copy_whole,
                answered,
                arrival,
                result,
            },
        )
}

proptest! {
    #[test]
    fn without_the_owners_word_nothing_that_may_have_been_applied_is_sent_twice(
        results in prop::collection::vec(summaries(), 1..20),
    ) {
        let mut attempts = Attempts::new(&RetryPlan::Transparent, POST);
        for summary in &results {
            let after = attempts.on_result(summary, NOW, &mut Dice::seeded(1));
            if let NextStep::Again { why, at, reuse } = after {
                let proven = summary.result.grade().is_some_and(Grade::proves_unapplied);
                prop_assert!(proven && matches!(why, RetryReason::Replay(_)));
                prop_assert_eq!((at, reuse), (NOW, Reuse::Forbid));
                prop_assert!(summary.copy_whole && !summary.answered);
            }
        }
        prop_assert!(attempts.made_again() <= REPLAYS_MAX + CONNECT_TIMEOUTS_MAX);
    }

    #[test]
    fn every_exchange_ends(
        traits in (any::<bool>(), any::<bool>(), any::<bool>()),
        allowed in prop::option::of(0_u32..6),
        results in prop::collection::vec(summaries(), 1..40),
    ) {
        let all = RetryOn {
            reset: true,
            connect_failure: true,
            reset_before_request: true,
            timeout: true,
            statuses: (500..600).collect(),
        };
        let plan = allowed.map_or(RetryPlan::Transparent, |attempts| owner(attempts, all));
        let (idempotent, keyed, fits_copy) = traits;
        let mut attempts = Attempts::new(&plan, RetryTraits { idempotent, keyed, fits_copy });
        let mut made = 0;
        for summary in &results {
            if attempts.on_result(summary, NOW, &mut Dice::seeded(1)) != NextStep::Answer {
                made += 1;
            }
        }
        let most = allowed.unwrap_or(REPLAYS_MAX + CONNECT_TIMEOUTS_MAX + TRANSPARENT_RETRIES_MAX);
        prop_assert!(made <= most && made == attempts.made_again());
        prop_assert!(attempts.avoid().len() <= AVOID_MAX);
    }
}
