use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;

use proptest::prelude::*;

use super::*;

const AT: fn(u64) -> Moment = Moment::from_millis;
const MS: fn(u64) -> Duration = Duration::from_millis;

fn rule(requests: u32, per: Duration, distinct: Distinct) -> RateRule {
    RateRule {
        headers: Vec::new(),
        sources: Vec::new(),
        distinct,
        client: ClientPrefix::default(),
        requests: NonZeroU32::new(requests).unwrap(),
        per,
    }
}

fn limiter(rules: Vec<RateRule>) -> RateLimiter {
    RateLimiter::new(&RateLimitPlan { rules })
}

fn client(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 + number).into()
}

fn none(_: &str) -> Option<Cow<'static, [u8]>> {
    None
}

/// A request with one field.
fn field<'h>(name: &'h str, value: &'h str) -> impl Fn(&str) -> Option<Cow<'h, [u8]>> {
    move |asked| (asked == name).then_some(Cow::Borrowed(value.as_bytes()))
}

fn passes(limiter: &mut RateLimiter, number: u32, at: u64) -> bool {
    matches!(limiter.ask(client(number), none, AT(at)), Decision::Pass(_))
}

fn quota(decision: Decision) -> Quota {
    match decision {
        Decision::Pass(quota) | Decision::Limited(quota) => quota,
        Decision::Unruled => panic!("no rule matched"),
    }
}

#[test]
fn a_bucket_holds_its_requests_and_regains_them_evenly() {
    let mut limiter = limiter(vec![rule(5, MS(1_000), Distinct::Shared)]);
    assert_eq!((0..8).filter(|_| passes(&mut limiter, 1, 0)).count(), 5);
    assert!(!passes(&mut limiter, 1, 199));
    assert!(passes(&mut limiter, 1, 200));
    assert!(!passes(&mut limiter, 1, 200));
    assert_eq!((0..8).filter(|_| passes(&mut limiter, 2, 10_000)).count(), 5);
}

#[test]
fn a_rate_that_does_not_divide_its_span_still_holds_all_its_requests() {
    for requests in [3, 7, 11, 999, 65_537] {
        let mut limiter = limiter(vec![rule(requests, MS(1_000), Distinct::Shared)]);
        let passed = (0..requests + 5).filter(|_| passes(&mut limiter, 1, 0)).count();
        assert_eq!(passed, requests as usize);
    }
}

#[test]
fn each_client_has_a_bucket_whichever_way_its_address_is_written() {
    let mut limiter = limiter(vec![rule(1, MS(1_000), Distinct::Client)]);
    assert!(passes(&mut limiter, 1, 0));
    assert!(passes(&mut limiter, 2, 0));
    assert!(!passes(&mut limiter, 1, 0));
    let mapped: IpAddr = Ipv4Addr::from_bits(0x0a00_0001).to_ipv6_mapped().into();
    assert!(matches!(limiter.ask(mapped, none, AT(0)), Decision::Limited(_)));
}

#[test]
fn a_client_that_changes_address_within_its_network_has_one_bucket() {
    let passes = |limiter: &mut RateLimiter, address: &str| {
        let decision = limiter.ask(address.parse().unwrap(), none, AT(0));
        matches!(decision, Decision::Pass(_))
    };
    let by = |v4, v6| {
        limiter(vec![RateRule {
            client: ClientPrefix { v4, v6 },
            ..rule(1, MS(1_000), Distinct::Client)
        }])
    };
    let mut usual = limiter(vec![rule(1, MS(1_000), Distinct::Client)]);
    assert!(passes(&mut usual, "2001:db8:0:1::1"));
    assert!(!passes(&mut usual, "2001:db8:0:1:ffff::2"), "the same /64");
    assert!(passes(&mut usual, "2001:db8:0:2::1"));
    assert!(passes(&mut usual, "192.0.2.1") && passes(&mut usual, "192.0.2.2"));
    let mut whole = by(32, 128);
    assert!(passes(&mut whole, "2001:db8::1") && passes(&mut whole, "2001:db8::2"));
    let mut wide = by(24, 48);
    assert!(passes(&mut wide, "2001:db8::1") && !passes(&mut wide, "2001:db8:0:ff::1"));
    assert!(passes(&mut wide, "192.0.2.1") && !passes(&mut wide, "192.0.2.200"));
    let mut all = by(0, 0);
    assert!(passes(&mut all, "2001:db8::1") && !passes(&mut all, "ffff::1"));
    assert!(passes(&mut all, "192.0.2.1") && !passes(&mut all, "255.255.255.255"));
}

#[test]
fn each_value_of_a_field_has_a_bucket_and_those_without_it_share_one() {
    let mut limiter = limiter(vec![rule(1, MS(1_000), Distinct::Header("x-key".into()))]);
    let mut ask = |value: Option<&str>| match value {
        Some(value) => limiter.ask(client(1), field("x-key", value), AT(0)),
        None => limiter.ask(client(1), none, AT(0)),
    };
    let long = "t".repeat(500);
    for value in [
        Some("a"),
        Some("b"),
        Some(""),
        None,
        Some(&long),
        Some(&long[1..]),
    ] {
        assert!(matches!(ask(value), Decision::Pass(_)), "{value:?}");
        assert!(matches!(ask(value), Decision::Limited(_)), "{value:?}");
    }
    let other = format!("{}u", &long[1..]);
    assert!(
        matches!(ask(Some(&other)), Decision::Pass(_)),
        "alike but for its end"
    );
}

#[test]
fn of_several_rules_that_match_the_strictest_decides() {
    let gold = RateRule {
        headers: vec![("x-plan".into(), FieldTest::Exact("gold".into()))],
        ..rule(100, MS(1_000), Distinct::Shared)
    };
    let network = RateRule {
        sources: vec![("10.0.0.0".parse().unwrap(), 30)],
        ..rule(2, MS(1_000), Distinct::Shared)
    };
    for rules in [vec![gold.clone(), network.clone()], vec![network, gold]] {
        let strictest = u32::from(rules[0].requests.get() == 100);
        let mut limiter = limiter(rules);
        let field = field("x-plan", "gold");
        for left in [1, 0] {
            let told = quota(limiter.ask(client(1), &field, AT(0)));
            assert_eq!((told.rule, told.limit, told.remaining), (strictest, 2, left));
        }
        let refused = limiter.ask(client(1), &field, AT(0));
        assert!(matches!(refused, Decision::Limited(_)), "{refused:?}");
        assert_eq!(quota(refused).rule, strictest);
        assert!(!passes(&mut limiter, 3, 0), "10.0.0.3 is in the network");
        assert_eq!(limiter.ask(client(4), none, AT(0)), Decision::Unruled);
        let told = quota(limiter.ask(client(4), &field, AT(0)));
        assert_eq!(
            told.remaining, 97,
            "what was refused took nothing from the other rule"
        );
    }
}

#[test]
fn a_network_holds_its_own_family_only() {
    let v6 = |text: &str| IpAddr::from(text.parse::<Ipv6Addr>().unwrap());
    assert!(is_within(v6("2001:db8::7"), v6("2001:db8::"), 32));
    assert!(!is_within(v6("2001:db9::7"), v6("2001:db8::"), 32));
    assert!(is_within(v6("2001:db9::7"), v6("::"), 0));
    assert!(!is_within(client(1), v6("::"), 0));
    assert!(is_within(client(1), client(1), 32));
    assert!(!is_within(client(1), client(0), 32));
    assert!(is_within(client(9), "192.0.2.1".parse().unwrap(), 0));
}

#[test]
fn a_client_is_told_what_is_left_and_when_to_come_back() {
    let mut limiter = limiter(vec![rule(10, MS(60_000), Distinct::Client)]);
    let told = quota(limiter.ask(client(1), none, AT(0)));
    assert_eq!((told.limit, told.remaining, told.reset), (10, 9, MS(6_000)));
    assert_eq!(told.policy_field(), "\"rule-0\";q=10;w=60");
    assert_eq!(told.state_field(), "\"rule-0\";r=9;t=6");
    (0..9).for_each(|_| assert!(passes(&mut limiter, 1, 0)));
    let decision = limiter.ask(client(1), none, AT(500));
    assert!(matches!(decision, Decision::Limited(_)));
    let told = quota(decision);
    assert_eq!((told.remaining, told.wait, told.retry_after()), (0, MS(5_500), 6));
    assert_eq!(told.state_field(), "\"rule-0\";r=0;t=60");
    let later = told.retry_after() * 1_000 + 500;
    assert!(passes(&mut limiter, 1, later), "who waits as told is let in");
}

#[test]
fn a_window_that_is_no_whole_second_is_not_told() {
    let mut limiter = limiter(vec![rule(10, MS(100), Distinct::Shared)]);
    assert_eq!(
        quota(limiter.ask(client(1), none, AT(0))).policy_field(),
        "\"rule-0\";q=10"
    );
    (0..10).for_each(|_| _ = passes(&mut limiter, 1, 0));
    assert_eq!(quota(limiter.ask(client(1), none, AT(0))).retry_after(), 1);
}

#[test]
fn full_buckets_are_forgotten_while_new_values_come() {
    let mut limiter = limiter(vec![rule(2, MS(1_000), Distinct::Client)]);
    (0..10_000).for_each(|number| assert!(passes(&mut limiter, number, 0)));
    assert_eq!(limiter.values(), 10_000);
    (10_000..15_001).for_each(|number| assert!(passes(&mut limiter, number, 2_000)));
    assert!(limiter.values() <= 5_001, "{}", limiter.values());
}

#[test]
fn a_flood_of_values_takes_bounded_memory_and_the_latest_stay_limited() {
    let mut limiter = limiter(vec![rule(1, MS(3_600_000), Distinct::Client)]);
    let flood = VALUES_MAX as u32 + 1_000;
    (0..flood).for_each(|number| assert!(passes(&mut limiter, number, 0)));
    assert_eq!(limiter.values(), VALUES_MAX);
    assert!(!passes(&mut limiter, flood - 1, 1));
    assert!(!passes(&mut limiter, 1_000, 1));
    assert!(
        passes(&mut limiter, 999, 1),
        "the oldest were forgotten, and are let in again"
    );
}

#[test]
fn a_rule_that_stays_keeps_its_buckets_when_the_plan_changes() {
    let (first, second) = (
        rule(1, MS(60_000), Distinct::Client),
        rule(1, MS(60_000), Distinct::Shared),
    );
    let mut limiter = limiter(vec![first.clone()]);
    assert!(passes(&mut limiter, 1, 0));
    let only_v6 = RateRule {
        sources: vec![("::".parse().unwrap(), 0)],
        ..second
    };
    limiter.adopt(&RateLimitPlan {
        rules: vec![only_v6, first],
    });
    assert!(!passes(&mut limiter, 1, 1), "no free round");
    limiter.adopt(&RateLimitPlan {
        rules: vec![rule(2, MS(60_000), Distinct::Client)],
    });
    assert!(passes(&mut limiter, 1, 1), "another rule has buckets of its own");
}

proptest! {
    #[test]
    fn in_no_span_more_pass_than_a_bucket_and_what_is_regained(
        requests in 1_u32..50,
        per in 1_u64..5_000,
        waits in prop::collection::vec(prop_oneof![3 => Just(0), 2 => 0_u64..20, 1 => 0_u64..5_000], 1..200),
    ) {
        let mut limiter = limiter(vec![rule(requests, MS(per), Distinct::Client)]);
        let (mut now, mut passed) = (0, Vec::new());
        for wait in waits {
            now += wait;
            if passes(&mut limiter, 7, now) {
                passed.push(now);
            }
        }
        for (first, &from) in passed.iter().enumerate() {
            for (last, &to) in passed.iter().enumerate().skip(first) {
                let regained = (to - from) * u64::from(requests) / per;
                let bound = u64::from(requests) + regained;
                prop_assert!((last - first + 1) as u64 <= bound);
            }
        }
    }

    #[test]
    fn with_several_rules_each_of_them_holds(
        (one, other) in (1_u32..20, 1_u32..20),
        (per_one, per_other) in (1_u64..3_000, 1_u64..3_000),
        asks in prop::collection::vec((0_u32..3, 0_u64..200), 1..200),
    ) {
        let rules = [rule(one, MS(per_one), Distinct::Client), rule(other, MS(per_other), Distinct::Shared)];
        let mut alone: Vec<_> = rules.iter().map(|rule| limiter(vec![rule.clone()])).collect();
        let mut together = limiter(rules.to_vec());
        let mut now = 0;
        for (number, wait) in asks {
            now += wait;
            if passes(&mut together, number, now) {
                for rule in &mut alone {
                    prop_assert!(passes(rule, number, now), "it has taken from each, and from each as much");
                }
            }
        }
    }

    #[test]
    fn what_is_told_is_what_happens(
        requests in 1_u32..20,
        per in 1_000_u64..100_000,
        waits in prop::collection::vec(0_u64..3_000, 1..60),
    ) {
        let mut limiter = limiter(vec![rule(requests, MS(per), Distinct::Client)]);
        let mut now = 0;
        for wait in waits {
            now += wait;
            let told = quota(limiter.ask(client(1), none, AT(now)));
            prop_assert!(told.remaining < requests);
            prop_assert_eq!(told.remaining == 0, !told.wait.is_zero());
            let again = limiter.ask(client(1), none, AT(now));
            prop_assert_eq!(told.remaining > 0, matches!(again, Decision::Pass(_)));
            now += quota(again).retry_after() * 1_000;
            let after = limiter.ask(client(1), none, AT(now));
            prop_assert!(matches!(after, Decision::Pass(_)), "{:?} at {}", after, now);
        }
    }

    #[test]
    fn values_never_share_a_bucket_and_never_exceed_their_number(
        most in 1_usize..8,
        asks in prop::collection::vec((0_u32..12, 0_u64..400), 1..200),
    ) {
        let rate = Rate::of(&rule(2, MS(1_000), Distinct::Client));
        let mut table = Table::new();
        table.bound(most);
        let mut now = 0;
        for (number, wait) in asks {
            now += wait;
            let known = table.len();
            _ = table.with(&client(number), AT(now), |bucket| bucket.take(rate, AT(now)));
            prop_assert!(table.len() <= most && table.len() <= known + 1);
            prop_assert!(table.is_consistent());
        }
    }
}
