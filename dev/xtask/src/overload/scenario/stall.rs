//! One route to four endpoints, of which one stalls.

use std::time::{Duration, Instant};

use super::{Played, RATE, Trouble, Turn, WORK_MS, failed, waits};
use crate::overload::endpoint::{Mood, Work};
use crate::overload::load::Stream;
use crate::overload::peers::Care;
use crate::overload::report::Figure;
use crate::overload::stage::{Stage, route};

pub(super) async fn play(stage: &Stage<'_>) -> Played {
    let endpoints = stage.endpoints(ENDPOINTS, Work::steady(WORK_MS)).await?;
    let proxy = stage.proxy(&[route("/", &endpoints)], Care::Usual, 1).await?;
    let load = stage.load(proxy.address);
    let sick = &endpoints[0];
    let trouble = Trouble::during(stage, &load, Stream::get("/", RATE), stage.pace.stall, |turn| {
        sick.turn(match turn {
            Turn::Worse => Mood::Stalls,
            Turn::Well => Mood::Serves,
        });
    })
    .await;
    let shots = load.settle().await;
    let got = sick.arrivals(trouble.begins, trouble.heals);
    let returned = sick.arrivals(trouble.heals, trouble.ends);
    let meanwhile = trouble.meanwhile(&shots);
    let figures = vec![
        waits("before: p50 / p99", &trouble.before(&shots)),
        failed("during: failed", &meanwhile),
        Figure::words("answers", meanwhile.tally()),
        waits("p50 / p99", &meanwhile),
        Figure::number("avoided after", avoided_after(&got, &trouble), "s").at_most(0.5),
        Figure::count("requests it got meanwhile", got.len()).at_most(69.0),
        Figure::number("used again after", used_after(&returned, trouble.heals), "s").at_most(1.0),
        failed("afterwards: failed", &trouble.after(&shots)),
    ];
    Ok((figures, shots))
}

/// Seconds from which on it got less than a tenth of its share: what looks whether it is back may.
fn avoided_after(arrivals: &[Instant], trouble: &Trouble) -> f64 {
    let step = Duration::from_millis(50);
    let mut from = trouble.begins;
    while from + LOOK <= trouble.heals {
        let rest = arrivals.iter().filter(|at| **at >= from).count() as f64;
        if rest < SHARE * (trouble.heals - from).as_secs_f64() / 10.0 {
            return (from - trouble.begins).as_secs_f64();
        }
        from += step;
    }
    f64::INFINITY
}

/// Seconds after which it begins to get at least half of its share.
fn used_after(arrivals: &[Instant], heals: Instant) -> f64 {
    let enough = (SHARE / 2.0 * LOOK.as_secs_f64()).ceil() as usize;
    let begins = arrivals
        .windows(enough)
        .find(|within| within[enough - 1] - within[0] <= LOOK);
    begins.map_or(f64::INFINITY, |within| (within[0] - heals).as_secs_f64())
}

const ENDPOINTS: usize = 4;
/// Requests a second that each gets when all is well.
const SHARE: f64 = RATE as f64 / ENDPOINTS as f64;
/// How long is looked at to tell use from chance.
const LOOK: Duration = Duration::from_millis(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_avoided_from_its_last_burst_on_and_used_from_its_first() {
        let begins = Instant::now();
        let at = |ms| begins + Duration::from_millis(ms);
        let trouble = Trouble {
            counts: begins,
            begins,
            heals: at(4_000),
            ends: at(8_000),
        };
        let mut arrivals: Vec<_> = (0..125).map(|index| at(index * 8)).collect();
        // One look a second is no use.
        arrivals.extend([at(2_000), at(3_000)]);
        let avoided = avoided_after(&arrivals, &trouble);
        assert!((0.7..=1.0).contains(&avoided), "{avoided}");
        assert_eq!(avoided_after(&[], &trouble), 0.0);
        let busy: Vec<_> = (0..500).map(|index| at(index * 8)).collect();
        assert_eq!(avoided_after(&busy, &trouble), f64::INFINITY);

        let mut returned = vec![at(4_001)];
        returned.extend((0..100).map(|index| at(4_500 + index * 8)));
        assert_eq!(used_after(&returned, at(4_000)), 0.5);
        assert_eq!(used_after(&returned[..3], at(4_000)), f64::INFINITY);
    }
}
