//! All four endpoints answer 503 at once, and the owner asked for retries on 503: how much more load do
//! retries make of it?

use std::time::{Duration, Instant};

use super::{Played, RATE, Trouble, Turn, WORK_MS, waits};
use crate::overload::endpoint::{Mood, Work};
use crate::overload::load::Stream;
use crate::overload::peers::Care;
use crate::overload::report::Figure;
use crate::overload::stage::{Stage, route};

pub(super) async fn play(stage: &Stage<'_>) -> Played {
    let endpoints = stage.endpoints(4, Work::steady(WORK_MS)).await?;
    let proxy = stage.proxy(&[route("/", &endpoints)], Care::Retry503, 1).await?;
    let load = stage.load(proxy.address);
    let stream = Stream::get("/", RATE);
    let trouble = Trouble::during(stage, &load, stream, stage.pace.outage, |turn| {
        let mood = match turn {
            Turn::Worse => Mood::Fails,
            Turn::Well => Mood::Serves,
        };
        endpoints.iter().for_each(|endpoint| endpoint.turn(mood));
    })
    .await;
    let shots = load.settle().await;
    let attempts_per_request = |from: Instant, until: Instant| {
        let attempts: usize = endpoints
            .iter()
            .map(|endpoint| endpoint.arrivals(from, until).len())
            .sum();
        attempts as f64 / shots.due(from, until).count().max(1) as f64
    };
    let (begins, heals) = (trouble.begins, trouble.heals);
    let meanwhile = trouble.meanwhile(&shots);
    let mut figures = vec![
        Figure::number("attempts per request", attempts_per_request(begins, heals), "").at_most(ATTEMPTS_MAX),
        Figure::number(
            "in the first second",
            attempts_per_request(begins, begins + Duration::from_secs(1)),
            "",
        )
        .at_most(ATTEMPTS_MAX),
        Figure::words("during", meanwhile.tally()),
        waits("p50 / p99", &meanwhile),
    ];
    figures.extend(trouble.recovery(&shots));
    figures.push(trouble.failed_afterwards(&shots));
    Ok((figures, shots))
}

const ATTEMPTS_MAX: f64 = 1.2;
