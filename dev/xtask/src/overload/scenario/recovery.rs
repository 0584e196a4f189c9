//! How soon a cluster is back when what failed is healthy again.

use super::{Played, RATE, Trouble, Turn, WORK_MS, waits};
use crate::overload::endpoint::{Mood, Work};
use crate::overload::load::Stream;
use crate::overload::peers::Care;
use crate::overload::report::Figure;
use crate::overload::stage::{Stage, route};

/// The only endpoint stalls.
pub(super) async fn lone(stage: &Stage<'_>) -> Played {
    let endpoints = stage.endpoints(1, Work::steady(WORK_MS)).await?;
    let proxy = stage.proxy(&[route("/", &endpoints)], Care::Usual, 1).await?;
    let load = stage.load(proxy.address);
    let endpoint = &endpoints[0];
    let stream = Stream::get("/", RATE);
    let trouble = Trouble::during(stage, &load, stream, stage.pace.stall, |turn| {
        endpoint.turn(match turn {
            Turn::Worse => Mood::Stalls,
            Turn::Well => Mood::Serves,
        });
    })
    .await;
    let shots = load.settle().await;
    let meanwhile = trouble.meanwhile(&shots);
    let attempts = endpoint.arrivals(trouble.begins, trouble.heals).len();
    let mut figures = vec![
        waits("before: p50 / p99", &trouble.before(&shots)),
        Figure::words("during", meanwhile.tally()),
        waits("waits p50 / p99", &meanwhile),
        Figure::number(
            "attempts per request",
            attempts as f64 / meanwhile.count().max(1) as f64,
            "",
        ),
        Figure::count("connections", endpoint.connections_peak()),
    ];
    figures.extend(trouble.recovery(&shots));
    figures.push(trouble.failed_afterwards(&shots));
    Ok((figures, shots))
}

/// Every endpoint drops every request, so that whoever ejects has reason to eject all of them.
pub(super) async fn all_out(stage: &Stage<'_>) -> Played {
    let endpoints = stage.endpoints(4, Work::steady(WORK_MS)).await?;
    let proxy = stage.proxy(&[route("/", &endpoints)], Care::Usual, 1).await?;
    let load = stage.load(proxy.address);
    let stream = Stream::get("/", RATE);
    let trouble = Trouble::during(stage, &load, stream, stage.pace.outage, |turn| {
        let mood = match turn {
            Turn::Worse => Mood::Drops,
            Turn::Well => Mood::Serves,
        };
        endpoints.iter().for_each(|endpoint| endpoint.turn(mood));
    })
    .await;
    let shots = load.settle().await;
    let meanwhile = trouble.meanwhile(&shots);
    let mut figures = vec![
        waits("before: p50 / p99", &trouble.before(&shots)),
        Figure::words("during", meanwhile.tally()),
        waits("waits p50 / p99", &meanwhile),
    ];
    figures.extend(trouble.recovery(&shots));
    figures.push(trouble.failed_afterwards(&shots));
    Ok((figures, shots))
}
