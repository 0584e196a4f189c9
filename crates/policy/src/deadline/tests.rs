use super::*;
use proptest::prelude::*;

const BOUNDS: Bounds = Bounds {
    asked: Moment::from_millis(0),
    request: Some(Duration::from_millis(10_000)),
    per_try: Some(Duration::from_millis(5_000)),
    silence: Some(Duration::from_millis(2_000)),
    client: Duration::from_millis(600),
    idle: Some(Duration::from_millis(1_000)),
};

fn at(ms: u64) -> Moment {
    Moment::from_millis(ms)
}

/// The request has come whole, and the endpoint is waited for.
fn awaiting(moved: u64) -> Signs {
    Signs {
        moved: at(moved),
        turn: Turn::Endpoint,
        whole: Some(at(0)),
    }
}

/// More of the request is to come.
fn uploading(moved: u64, turn: Turn) -> Signs {
    Signs {
        moved: at(moved),
        turn,
        whole: None,
    }
}

#[test]
fn a_wait_without_a_byte_is_idle_after_its_span_and_no_later() {
    let mut deadlines = Deadlines::begin(BOUNDS, at(0));
    let signs = awaiting(7);
    assert_eq!(deadlines.next(&signs), at(1_007));
    assert_eq!(deadlines.passed(&signs, at(1_006)), None);
    assert_eq!(deadlines.passed(&signs, at(1_007)), Some(Which::Idle));
}

#[test]
fn a_freeze_gives_its_time_back_to_what_it_fell_into() {
    let freeze = |began, ended| Freeze {
        began: at(began),
        ended: at(ended),
    };
    let mut deadlines = Deadlines::begin(BOUNDS, at(100));
    deadlines.excuse(freeze(0, 100));
    assert_eq!(deadlines.next(&awaiting(100)), at(1_100), "it was over before");
    deadlines.excuse(freeze(600, 900));
    assert_eq!(deadlines.next(&awaiting(100)), at(1_400));
    assert_eq!(deadlines.passed(&awaiting(100), at(1_399)), None);
    assert_eq!(deadlines.next(&awaiting(950)), at(1_950), "a byte came since");
    deadlines.excuse(freeze(1_000, 9_000));
    assert_eq!(
        deadlines.next(&awaiting(950)),
        at(2_950),
        "no more than as long again"
    );
}

#[test]
fn a_stuck_client_is_told_from_a_slow_endpoint() {
    let mut deadlines = Deadlines::begin(BOUNDS, at(0));
    let signs = uploading(0, Turn::Client);
    assert_eq!(deadlines.next(&signs), at(600));
    assert_eq!(deadlines.passed(&signs, at(600)), Some(Which::Client));
    let mut deadlines = Deadlines::begin(
        Bounds {
            client: Duration::from_secs(60),
            ..BOUNDS
        },
        at(0),
    );
    assert_eq!(deadlines.passed(&signs, at(1_000)), Some(Which::ClientIdle));
}

#[test]
fn a_byte_moves_the_idle_limits_but_not_those_of_a_request_that_has_come_whole() {
    let mut deadlines = Deadlines::begin(BOUNDS, at(0));
    let mut passed = Vec::new();
    for ms in (0..10_500).step_by(500) {
        passed.extend(deadlines.passed(&awaiting(ms), at(ms)).map(|which| (which, ms)));
    }
    assert_eq!(passed[0], (Which::Silence, 2_000));
    assert_eq!(passed[1], (Which::PerTry, 5_000));
    assert_eq!(passed.last(), Some(&(Which::Request, 10_000)));
}

#[test]
fn a_slow_upload_is_not_charged_to_the_endpoint() {
    let mut deadlines = Deadlines::begin(BOUNDS, at(0));
    assert_eq!(
        deadlines.passed(&uploading(2_000, Turn::Client), at(2_000)),
        Some(Which::Silence)
    );
    for ms in (2_000..60_000).step_by(500) {
        assert_eq!(
            deadlines.passed(&uploading(ms, Turn::Client), at(ms + 400)),
            None,
            "{ms}"
        );
    }
    let whole = |moved| Signs {
        whole: Some(at(60_000)),
        ..awaiting(moved)
    };
    assert_eq!(deadlines.passed(&whole(64_500), at(64_999)), None);
    assert_eq!(deadlines.passed(&whole(64_500), at(65_000)), Some(Which::PerTry));
}

#[test]
fn an_endpoint_that_takes_no_byte_of_an_upload_is_late_by_its_own_limits() {
    let bounds = Bounds { idle: None, ..BOUNDS };
    let mut deadlines = Deadlines::begin(bounds, at(0));
    let signs = uploading(3_000, Turn::Endpoint);
    assert_eq!(deadlines.passed(&signs, at(3_000)), Some(Which::Silence));
    assert_eq!(deadlines.next(&signs), at(8_000));
    assert_eq!(deadlines.passed(&signs, at(7_999)), None);
    assert_eq!(deadlines.passed(&signs, at(8_000)), Some(Which::PerTry));
}

#[test]
fn a_client_that_ended_its_side_has_left_once_nothing_moves() {
    let mut deadlines = Deadlines::begin(BOUNDS, at(0));
    deadlines.client_ended(at(50));
    assert_eq!(deadlines.next(&awaiting(20)), at(550));
    assert_eq!(
        deadlines.passed(&awaiting(300), at(550)),
        None,
        "it takes its answer"
    );
    assert_eq!(deadlines.passed(&awaiting(300), at(800)), Some(Which::Left));
}

#[test]
fn what_is_unlimited_never_passes() {
    let bounds = Bounds {
        request: None,
        per_try: None,
        silence: None,
        client: Duration::MAX,
        idle: None,
        ..BOUNDS
    };
    let mut deadlines = Deadlines::begin(bounds, at(0));
    for signs in [
        awaiting(5),
        uploading(5, Turn::Client),
        uploading(5, Turn::Endpoint),
    ] {
        assert_eq!(deadlines.next(&signs), Moment::NEVER);
        assert_eq!(deadlines.passed(&signs, at(1_000_000_000)), None);
    }
}

#[test]
fn what_had_come_when_an_attempt_ended_says_whose_fault_it_may_be() {
    assert_eq!(awaiting(0).arrival(at(5_000)), Arrival::Whole);
    assert_eq!(uploading(0, Turn::Endpoint).arrival(at(5_000)), Arrival::Coming);
    assert_eq!(uploading(4_500, Turn::Client).arrival(at(5_000)), Arrival::Coming);
    assert_eq!(
        uploading(4_000, Turn::Client).arrival(at(5_000)),
        Arrival::Stalled
    );
}

fn span() -> impl Strategy<Value = Option<Duration>> {
    proptest::option::of((1_u64..5_000).prop_map(Duration::from_millis))
}

prop_compose! {
    fn bounds()(
        asked in 0_u64..1_000,
        (request, per_try, silence, idle) in (span(), span(), span(), span()),
        client in 1_u64..5_000,
    ) -> Bounds {
        Bounds {
            asked: at(asked),
            request,
            per_try,
            silence,
            client: Duration::from_millis(client),
            idle,
        }
    }
}

prop_compose! {
    fn any_signs()(
        moved in 0_u64..5_000,
        client in any::<bool>(),
        whole in proptest::option::of(0_u64..5_000),
    ) -> Signs {
        Signs {
            moved: at(moved),
            turn: if client { Turn::Client } else { Turn::Endpoint },
            whole: whole.map(at),
        }
    }
}

proptest! {
    #[test]
    fn a_limit_passes_exactly_when_it_is_to_be_looked_at(
        bounds in bounds(),
        signs in any_signs(),
        ended in proptest::option::of(0_u64..5_000),
        ms in 0_u64..12_000,
    ) {
        let mut deadlines = Deadlines::begin(bounds, at(0));
        if let Some(ended) = ended {
            deadlines.client_ended(at(ended));
        }
        let due = deadlines.next(&signs) <= at(ms);
        let passed = deadlines.passed(&signs, at(ms));
        prop_assert_eq!(passed.is_some(), due);
        if passed.is_none_or(|which| which == Which::Silence) {
            prop_assert!(deadlines.next(&signs) > at(ms) || deadlines.passed(&signs, at(ms)).is_some());
        }
    }

    /// Whatever the limits: while the client is to send, none passes that would be the endpoint's fault.
    #[test]
    fn waiting_for_a_client_is_never_an_endpoints_fault(
        bounds in bounds(),
        moved in 0_u64..5_000,
        looks in proptest::collection::vec(0_u64..20_000, 1..20),
    ) {
        let mut deadlines = Deadlines::begin(bounds, at(0));
        for ms in looks {
            let passed = deadlines.passed(&uploading(moved, Turn::Client), at(ms));
            prop_assert!(
                matches!(passed, None | Some(Which::Silence | Which::Client | Which::ClientIdle)),
                "{:?}", passed
            );
        }
    }

    /// However slowly a request came: the endpoint has its whole time from the request's end on.
    #[test]
    fn an_endpoint_has_its_whole_time_once_the_request_has_come(
        bounds in bounds(),
        whole in 1_000_u64..50_000,
        used in 0_u64..5_000,
    ) {
        let bounds = Bounds { silence: None, idle: None, ..bounds };
        let mut deadlines = Deadlines::begin(bounds, at(0));
        let signs = Signs { moved: at(whole), turn: Turn::Endpoint, whole: Some(at(whole)) };
        let used = Duration::from_millis(used);
        let passed = deadlines.passed(&signs, at(whole) + used);
        let over = |span: Option<Duration>| span.is_some_and(|span| span <= used);
        prop_assert_eq!(passed.is_some(), over(bounds.request) || over(bounds.per_try));
    }
}
