//! Eight connections that stall, and very many requests that wait for them: what one of them costs.

use std::time::{Duration, Instant};

use super::{Played, WORK_MS};
use crate::overload::endpoint::{Mood, Work};
use crate::overload::load::Stream;
use crate::overload::peers::Care;
use crate::overload::report::Figure;
use crate::overload::stage::{Stage, route};

pub(super) async fn play(stage: &Stage<'_>, requests: u32) -> Played {
    let endpoints = stage.endpoints(1, Work::steady(WORK_MS)).await?;
    let proxy = stage
        .proxy(&[route("/", &endpoints)], Care::EightAndAll, 1)
        .await?;
    let load = stage.load(proxy.address);
    let endpoint = &endpoints[0];
    endpoint.turn(Mood::Stalls);
    let rss_before = proxy.rss_kib();
    let span = Duration::from_secs(1) * requests / RATE;
    load.offer(Stream::get("/", RATE), Instant::now(), span).await;
    let rss_peak = stage.peak_rss_kib(&proxy, Instant::now() + REST).await;
    let waiting = load.under_way().saturating_sub(endpoint.busy());
    endpoint.turn(Mood::Serves);
    let shots = load.settle().await;
    let growth_mib = rss_peak.saturating_sub(rss_before) as f64 / 1024.0;
    // A few more were sent than have to wait, as some are with the endpoint.
    let enough = f64::from(requests) - ON_THEIR_WAY;
    let figures = vec![
        Figure::count("requests that wait", waiting).at_least(enough),
        Figure::number("RSS growth", growth_mib, "MiB").at_most(50.0),
        Figure::number("for each", growth_mib * 1024.0 / waiting.max(1) as f64, "KiB"),
        Figure::count("connections", endpoint.connections_peak()).at_most(8.0),
        Figure::words("answers", shots.tally()),
    ];
    Ok((figures, shots))
}

const RATE: u32 = 4_000;
const ON_THEIR_WAY: f64 = 20.0;
const REST: Duration = Duration::from_millis(500);
