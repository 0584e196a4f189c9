//! Eight connections, 100 ms of work, five times as many requests as that can serve.

use std::time::Instant;

use super::{Played, REFUSAL_MAX_MS};
use crate::overload::endpoint::Work;
use crate::overload::load::Stream;
use crate::overload::peers::Care;
use crate::overload::report::Figure;
use crate::overload::stage::{Stage, route};

pub(super) async fn play(stage: &Stage<'_>, workers: u32, clients: usize) -> Played {
    let endpoints = stage.endpoints(1, Work::steady(WORK_MS)).await?;
    let proxy = stage
        .proxy(&[route("/", &endpoints)], Care::Eight, workers)
        .await?;
    let load = stage.load(proxy.address);
    load.connect(clients).await?;
    let rss_before = proxy.rss_kib();
    let (start, span) = (Instant::now(), stage.pace.outage);
    let end = start + span;
    let ((), rss_peak) = tokio::join!(
        load.offer(Stream::get("/", RATE), start, span),
        stage.peak_rss_kib(&proxy, end),
    );
    let shots = load.settle().await;
    let good = shots.good();
    let in_time = good.filter(|shot| shot.ended() <= end).count() as f64 / span.as_secs_f64();
    let refused = shots.refused();
    let endpoint = &endpoints[0];
    let below = endpoint.longest_below(CONNECTIONS, end);
    let growth_mib = rss_peak.saturating_sub(rss_before) as f64 / 1024.0;
    let figures = vec![
        Figure::number("200s per s (ideal 80)", in_time, "").at_least(78.0),
        Figure::maybe("200s: p50", good.within_ms(0.5), "ms").at_most(115.0),
        Figure::maybe("200s: p99", good.within_ms(0.99), "ms"),
        Figure::words("answers", shots.tally()),
        Figure::maybe("refused: p50", refused.within_ms(0.5), "ms"),
        Figure::maybe("refused: p99", refused.within_ms(0.99), "ms").at_most(REFUSAL_MAX_MS),
        Figure::count(
            "requests worked on",
            endpoint.arrivals(start, Instant::now()).len(),
        ),
        Figure::count("connections", endpoint.connections_peak()).at_most(CONNECTIONS as f64),
        Figure::maybe(
            "longest with fewer at work",
            below.map(|span| span.as_secs_f64() * 1_000.0),
            "ms",
        )
        .at_most(TURN_AROUND_MAX_MS),
        Figure::number("RSS growth", growth_mib, "MiB").at_most(2.0),
    ];
    Ok((figures, shots))
}

const CONNECTIONS: usize = 8;
const RATE: u32 = 400;
const WORK_MS: u64 = 100;
/// From an answer to the next request on its connection, both through the kernel and this one thread,
/// when all eight answer at once.
const TURN_AROUND_MAX_MS: f64 = 10.0;
