use proptest::prelude::*;

use super::*;
use crate::plan::AutoTimeout;

const AT: fn(u64) -> Moment = Moment::from_millis;
const MS: fn(u64) -> Duration = Duration::from_millis;

#[test]
fn it_takes_less_than_four_kibibytes() {
    assert!(size_of::<Latencies>() < 4096, "{}", size_of::<Latencies>());
}

#[test]
fn nothing_is_told_of_too_few_samples() {
    let mut latencies = Latencies::new(AT(0));
    (1..SAMPLES_MIN).for_each(|_| latencies.record(MS(5), AT(1)));
    assert_eq!(latencies.quantile(0.5), None);
    latencies.record(MS(5), AT(1));
    assert!(latencies.quantile(0.5).is_some());
}

#[test]
fn quantiles_of_a_spread_are_right_within_a_sixteenth() {
    let mut latencies = Latencies::new(AT(0));
    (1..=1000).for_each(|ms| latencies.record(MS(ms), AT(1)));
    for (share, exact) in [(0.5, 500), (0.95, 950), (0.99, 990), (1.0, 1000)] {
        let told = latencies.quantile(share).unwrap();
        assert!(
            told >= MS(exact) && told <= MS(exact) * 17 / 16,
            "p{share}: {told:?}"
        );
    }
}

#[test]
fn what_was_usual_a_few_minutes_ago_is_forgotten() {
    let mut latencies = Latencies::new(AT(0));
    (0..1000).for_each(|number| latencies.record(MS(900), AT(number * 20)));
    for number in 0..7_000 {
        latencies.record(MS(3), AT(20_000 + number * 10));
    }
    let p99 = latencies.quantile(0.99).unwrap();
    assert!(p99 <= MS(4), "{p99:?}");
}

#[test]
fn a_route_of_little_traffic_remembers_longer() {
    let mut latencies = Latencies::new(AT(0));
    (0..60).for_each(|number| latencies.record(MS(7), AT(number * 5_000)));
    assert!(
        latencies.quantile(0.9).is_some(),
        "60 requests in five minutes are told"
    );
    latencies.record(MS(7), AT(1_000_000));
    latencies.record(MS(7), AT(1_700_000));
    assert_eq!(latencies.quantile(0.9), None, "but not for ever");
}

#[test]
fn a_remembered_quantile_is_looked_up_again_after_a_tenth_of_a_second() {
    let (mut latencies, mut remembered) = (Latencies::new(AT(0)), Remembered::default());
    (0..100).for_each(|_| latencies.record(MS(8), AT(1)));
    let before = remembered.quantile(&latencies, 0.95, AT(1));
    (0..1000).for_each(|_| latencies.record(MS(80), AT(2)));
    assert_eq!(remembered.quantile(&latencies, 0.95, AT(100)), before);
    assert_eq!(
        remembered.quantile(&latencies, 0.95, AT(101)),
        latencies.quantile(0.95)
    );
    assert_eq!(
        remembered.quantile(&latencies, 0.01, AT(101)),
        latencies.quantile(0.01),
        "another share is another question"
    );
}

#[test]
fn a_hedge_waits_for_the_quantile_but_not_for_less_than_the_least() {
    let plan = HedgePlan::default();
    assert_eq!(hedge_wait(&plan, None), None);
    assert_eq!(hedge_wait(&plan, Some(MS(1))), Some(MS(5)));
    assert_eq!(hedge_wait(&plan, Some(MS(40))), Some(MS(40)));
}

#[test]
fn an_automatic_timeout_says_how_it_came_about() {
    let plan = AutoTimeout::default();
    let told = |p99| {
        let answer = auto_timeout(&plan, p99);
        (answer.timeout, answer.to_string())
    };
    let of = |timeout, sentence: &str| (timeout, sentence.to_owned());
    assert_eq!(
        told(None),
        of(
            MS(60_000),
            "60.000s, the longest allowed: fewer than 50 responses are known"
        )
    );
    assert_eq!(
        told(Some(MS(640))),
        of(MS(3_200), "3.200s: 5 times the p99 of 640.000ms")
    );
    assert_eq!(
        told(Some(MS(20))),
        of(
            MS(1_000),
            "1.000s, the shortest allowed: 5 times the p99 of 20.000ms is no longer"
        )
    );
    assert_eq!(
        told(Some(MS(30_000))),
        of(
            MS(60_000),
            "60.000s, the longest allowed: 5 times the p99 of 30.000s is no shorter"
        )
    );
}

#[test]
fn the_peak_average_rises_at_once_and_sinks_slowly() {
    let mut peak = PeakEwma::default();
    peak.observe(MS(10), AT(0));
    peak.observe(MS(1_000), AT(1));
    assert_eq!(peak.average(), Some(MS(1_000)));
    peak.observe(MS(10), AT(1_001));
    let soon = peak.average().unwrap();
    assert!(
        soon > MS(900) && soon < MS(920),
        "{soon:?}: a tenth of ten seconds"
    );
    (0..60).for_each(|second| peak.observe(MS(10), AT(2_000 + second * 1_000)));
    assert!(peak.average().unwrap() < MS(15));
}

#[test]
fn a_cost_counts_what_is_in_flight_and_fades_without_news() {
    let mut peak = PeakEwma::default();
    peak.observe(MS(10), AT(0));
    assert_eq!(peak.cost(0, AT(0)), 10_000_000);
    assert_eq!(peak.cost(4, AT(0)), 50_000_000);
    let later = peak.cost(0, AT(10_000));
    assert!((3_600_000..3_700_000).contains(&later), "{later}");
}

#[test]
fn an_endpoint_that_was_never_asked_is_asked_first_and_then_not_flooded() {
    let (new, mut usual) = (PeakEwma::default(), PeakEwma::default());
    usual.observe(MS(10), AT(0));
    assert!(new.cost(0, AT(0)) < usual.cost(0, AT(0)));
    assert!(new.cost(1, AT(0)) > usual.cost(50, AT(0)));
}

proptest! {
    #[test]
    fn every_bucket_ends_where_the_next_begins(micros in 0_u64..=MICROS_MAX) {
        let at = bucket(micros);
        prop_assert!(at < BUCKETS);
        prop_assert!(micros < upper_edge(at));
        prop_assert_eq!(bucket(upper_edge(at)), at + 1);
        prop_assert!(upper_edge(at) <= micros + 1 + micros / 16);
    }

    #[test]
    fn a_quantile_is_never_too_short_and_a_sixteenth_too_long_at_most(
        mut micros in prop::collection::vec(prop_oneof![0_u64..100, 0_u64..1_000_000, 0..=MICROS_MAX], 50..200),
        share in 0.0_f64..=1.0,
    ) {
        let mut latencies = Latencies::new(AT(0));
        micros.iter().for_each(|&micros| latencies.record(Duration::from_micros(micros), AT(0)));
        micros.sort_unstable();
        let rank = (share * micros.len() as f64).ceil().max(1.0) as usize;
        let exact = micros[rank - 1];
        let told = latencies.quantile(share).unwrap().as_micros() as u64;
        prop_assert!(told >= exact && told <= exact + 1 + exact / 16, "{} for {}", told, exact);
    }

    #[test]
    fn a_peak_average_stays_between_what_was_seen(
        samples in prop::collection::vec((1_u64..10_000, 0_u64..5_000), 1..50),
    ) {
        let (mut peak, mut now) = (PeakEwma::default(), 0);
        for &(latency, wait) in &samples {
            now += wait;
            peak.observe(MS(latency), AT(now));
            let average = peak.average().unwrap();
            prop_assert!(average >= MS(latency) - Duration::from_nanos(1));
            prop_assert!(average <= MS(samples.iter().map(|s| s.0).max().unwrap()));
        }
    }
}
