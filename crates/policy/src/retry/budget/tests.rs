use proptest::prelude::*;

use super::*;

const AT: fn(u64) -> Moment = Moment::from_millis;
const NOTHING: InFlight = InFlight {
    requests: 0,
    retries: 0,
};

fn rate(share: f64, floor: u32) -> RetryBudgetPlan {
    RetryBudgetPlan::Rate {
        share,
        interval: Duration::from_secs(1),
        floor,
        burst: 0,
    }
}

/// Requests come evenly and each of them fails and asks for a retry at once, and again when that was
/// admitted: attempts and requests of each second.
fn outage(plan: &RetryBudgetPlan, per_second: u64, seconds: u64) -> Vec<(u32, u32)> {
    let mut budget = RetryBudget::new();
    let mut told = vec![(0, 0); seconds as usize];
    for number in 0..per_second * seconds {
        let now = Moment::from_nanos(number * 1_000_000_000 / per_second);
        let (attempts, requests) = &mut told[(number / per_second) as usize];
        budget.on_request(plan, now);
        (*attempts, *requests) = (*attempts + 1, *requests + 1);
        while budget.admit(plan, NOTHING, now) {
            *attempts += 1;
        }
    }
    told
}

#[test]
fn a_total_outage_makes_a_fifth_more_attempts_in_every_second_the_first_included() {
    for per_second in [20, 100, 250, 500, 5_000] {
        for (second, (attempts, requests)) in outage(&RetryBudgetPlan::default(), per_second, 10)
            .into_iter()
            .enumerate()
        {
            // The burst and what it regains show where they are more than a fifth of what comes, and then once only.
            let burst = if second == 0 { 60.0 } else { 0.0 };
            let bound = f64::from(requests) + (f64::from(requests) * 0.2).max(10.0).max(burst);
            assert!(
                f64::from(attempts) <= bound,
                "second {second} at {per_second}/s: {attempts} attempts of {requests} requests"
            );
            assert!(attempts > requests, "some are retried");
        }
    }
}

#[test]
fn an_outage_after_good_times_has_no_credit_of_them_whenever_it_begins() {
    let plan = RetryBudgetPlan::default();
    for begins in (3_000..3_100).step_by(10) {
        let mut budget = RetryBudget::new();
        let mut retries = vec![];
        for ms in (0..begins + 5_000).step_by(2) {
            budget.on_request(&plan, AT(ms));
            while ms >= begins && budget.admit(&plan, NOTHING, AT(ms)) {
                retries.push(ms);
            }
        }
        assert!(retries.len() <= 5 * 100, "{} at {begins}", retries.len());
        for &from in &retries {
            let within = retries.iter().filter(|&&at| at >= from && at < from + 1_000);
            assert!(within.count() <= 100, "from {from}, begun at {begins}");
        }
    }
}

#[test]
fn a_few_failures_are_all_retried() {
    let plan = RetryBudgetPlan::default();
    let mut budget = RetryBudget::new();
    for number in 0..10_000 {
        budget.on_request(&plan, AT(number));
        if number % 10 == 0 {
            assert!(budget.admit(&plan, NOTHING, AT(number)), "request {number}");
        }
    }
}

#[test]
fn the_floor_is_there_without_traffic_and_comes_back_a_part_after_the_interval() {
    let plan = rate(0.2, 3);
    let mut budget = RetryBudget::new();
    assert_eq!(budget.remaining(&plan, NOTHING, AT(0)), 3);
    assert!((0..3).all(|_| budget.admit(&plan, NOTHING, AT(50))));
    assert!(!budget.admit(&plan, NOTHING, AT(1_099)));
    assert!(budget.admit(&plan, NOTHING, AT(1_100)));
}

#[test]
fn four_clients_side_by_side_get_the_retries_that_their_rule_asks_for() {
    let plan = RetryBudgetPlan::default();
    let mut budget = RetryBudget::new();
    for nth in 0..4 {
        budget.on_request(&plan, AT(nth));
    }
    // Three retries each, four times over, as a conformance suite asks.
    assert!((0..48).all(|nth| budget.admit(&plan, NOTHING, AT(5 + nth))));
    let more = (0..100)
        .filter(|nth| budget.admit(&plan, NOTHING, AT(100 + nth)))
        .count();
    assert!(more <= 4, "{more}");
    // What was spent comes back at the floor's rate.
    assert_eq!(budget.remaining(&plan, NOTHING, AT(3_200)), 30);
    assert_eq!(budget.remaining(&plan, NOTHING, AT(60_000)), 50);
}

#[test]
fn a_share_is_not_rounded_down_by_its_fraction() {
    let plan = rate(0.29, 0);
    let mut budget = RetryBudget::new();
    (0..100).for_each(|_| budget.on_request(&plan, AT(0)));
    assert_eq!(budget.remaining(&plan, NOTHING, AT(0)), 29);
}

#[test]
fn a_parallel_budget_looks_at_what_is_in_flight_only() {
    let plan = RetryBudgetPlan::Parallel { share: 0.2, floor: 3 };
    let mut budget = RetryBudget::new();
    let of = |requests, retries| InFlight { requests, retries };
    assert!(budget.admit(&plan, of(1, 2), AT(0)));
    assert!(!budget.admit(&plan, of(1, 3), AT(0)));
    assert!(budget.admit(&plan, of(100, 19), AT(0)));
    assert!(!budget.admit(&plan, of(100, 20), AT(0)));
    assert_eq!(budget.remaining(&plan, of(100, 5), AT(0)), 15);
}

#[test]
fn snapshots_that_take_turns_with_other_intervals_win_no_extra_floor() {
    let slow = RetryBudgetPlan::Rate {
        share: 0.2,
        interval: Duration::from_secs(10),
        floor: 3,
        burst: 0,
    };
    let mut budget = RetryBudget::new();
    let admitted = (0..100)
        .filter(|number| {
            let plan = if number % 2 == 0 { slow } else { rate(0.2, 3) };
            budget.admit(&plan, NOTHING, AT(*number))
        })
        .count();
    assert_eq!(admitted, 3);
}

#[test]
fn a_clock_that_is_read_a_little_early_harms_nothing() {
    let plan = rate(0.5, 0);
    let mut budget = RetryBudget::new();
    budget.on_request(&plan, AT(1_000));
    budget.on_request(&plan, AT(890));
    assert!(budget.admit(&plan, NOTHING, AT(890)));
    assert!(!budget.admit(&plan, NOTHING, AT(1_000)));
}

proptest! {
    #[test]
    fn retries_never_exceed_their_share_of_all_requests(
        millionths in 0_u32..=1_000_000,
        floor in 0_u32..4,
        steps in prop::collection::vec((0_u64..700, 0_u32..40, 0_u32..40), 1..100),
    ) {
        let plan = rate(f64::from(millionths) / 1e6, floor);
        let mut budget = RetryBudget::new();
        let (mut now, mut requests, mut retries) = (0, 0_u64, 0_u64);
        for (wait, asked, failed) in steps {
            now += wait;
            (0..asked).for_each(|_| budget.on_request(&plan, AT(now)));
            requests += u64::from(asked);
            retries += (0..failed).filter(|_| budget.admit(&plan, NOTHING, AT(now))).count() as u64;
            // A window slides by a tenth of its length, so it is nine of them at least.
            let windows = now / 900 + 1;
            let bound = requests * u64::from(millionths) / 1_000_000 + windows * u64::from(floor);
            prop_assert!(retries <= bound, "{} retries of {} requests by {} ms", retries, requests, now);
        }
    }

    #[test]
    fn a_window_holds_what_was_counted_within_it(
        waits in prop::collection::vec(0_u64..2_000, 1..60),
    ) {
        let plan = rate(1.0, 0);
        let mut budget = RetryBudget::new();
        let (mut now, mut moments) = (0, Vec::new());
        for wait in waits {
            now += wait;
            budget.on_request(&plan, AT(now));
            moments.push(now);
            let within = moments.iter().filter(|&&at| at / 100 + 10 > now / 100).count();
            prop_assert_eq!(budget.remaining(&plan, NOTHING, AT(now)) as usize, within);
        }
    }
}
