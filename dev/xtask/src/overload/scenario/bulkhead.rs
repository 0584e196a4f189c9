//! Two routes, each with an endpoint of its own; that of B stalls.

use std::time::Duration;

use super::{Played, REFUSAL_MAX_MS, Trouble, Turn, WORK_MS, failed, waits};
use crate::overload::endpoint::{Mood, Work};
use crate::overload::load::Stream;
use crate::overload::peers::Care;
use crate::overload::report::Figure;
use crate::overload::stage::{Stage, route};

pub(super) async fn play(stage: &Stage<'_>, stall: Duration, rate: u32) -> Played {
    let endpoints = stage.endpoints(2, Work::steady(WORK_MS)).await?;
    let routes = [route(A, &endpoints[..1]), route(B, &endpoints[1..])];
    let proxy = stage.proxy(&routes, Care::Usual, 1).await?;
    let load = stage.load(proxy.address);
    let trouble = Trouble::from_now(stage, stall);
    let (start, span) = (trouble.start(stage), trouble.ends - trouble.start(stage));
    // Between those of A, so that neither waits for the other to be sent.
    let between = Duration::from_secs(1) / rate / 2;
    tokio::join!(
        load.offer(Stream::get(A, rate), start, span),
        load.offer(Stream::get(B, rate), start + between, span),
        trouble.direct(stage, |turn| endpoints[1].turn(match turn {
            Turn::Worse => Mood::Stalls,
            Turn::Well => Mood::Serves,
        })),
    );
    let shots = load.settle().await;
    let (a, b) = (shots.of(A), trouble.meanwhile(&shots.of(B)));
    let meanwhile = trouble.meanwhile(&a);
    let before_ms = trouble.before(&a).within_ms(0.99).unwrap_or(0.0);
    let figures = vec![
        waits("A before: p50 / p99", &trouble.before(&a)),
        failed("A during: failed", &meanwhile),
        Figure::maybe("A during: p50", meanwhile.within_ms(0.5), "ms"),
        Figure::maybe("A during: p99", meanwhile.within_ms(0.99), "ms").at_most(P99_GROWTH_MAX * before_ms),
        failed("A afterwards: failed", &trouble.after(&a)),
        Figure::words("B during", b.tally()),
        Figure::maybe("B refused: p50", b.refused().within_ms(0.5), "ms"),
        Figure::maybe("B refused: p99", b.refused().within_ms(0.99), "ms").at_most(REFUSAL_MAX_MS),
        Figure::count("connections at B", endpoints[1].connections_peak()),
    ];
    Ok((figures, shots))
}

const A: &str = "/a";
const B: &str = "/b";
/// A's p99 may be as many times the undisturbed one.
const P99_GROWTH_MAX: f64 = 1.2;
