//! One answer in a hundred takes a second, by chance: without hedging and with it.

use std::time::{Duration, Instant};

use super::{Played, RATE, WORK_MS, waits};
use crate::Fallible;
use crate::overload::endpoint::Work;
use crate::overload::load::Stream;
use crate::overload::peers::Care;
use crate::overload::report::Figure;
use crate::overload::shots::Shots;
use crate::overload::stage::{Stage, route};

struct Ran {
    /// The requests that count.
    shots: Shots,
    /// Requests that endpoints got for them.
    attempts: usize,
}

pub(super) async fn play(stage: &Stage<'_>) -> Played {
    let without = run(stage, Care::Usual).await?;
    let with = run(stage, Care::Hedge).await?;
    let (slow, fast) = (without.shots.within_ms(0.995), with.shots.within_ms(0.995));
    let gain = slow.zip(fast).map(|(slow, fast)| slow / fast);
    let extra = with.attempts as f64 * 100.0 / with.shots.count().max(1) as f64 - 100.0;
    let figures = vec![
        waits("without: p50 / p99", &without.shots),
        Figure::maybe("without: p99.5", slow, "ms"),
        waits("with: p50 / p99", &with.shots),
        Figure::maybe("with: p99.5", fast, "ms"),
        Figure::maybe("p99.5 without over with", gain, "").at_least(10.0),
        Figure::number("extra requests", extra, "%").at_most(5.0),
        Figure::words("answers", with.shots.tally()),
    ];
    Ok((figures, with.shots))
}

async fn run(stage: &Stage<'_>, care: Care) -> Fallible<Ran> {
    let work = Work {
        usual: Duration::from_millis(WORK_MS),
        rare: Duration::from_secs(1),
    };
    let endpoints = stage.endpoints(4, work).await?;
    let proxy = stage.proxy(&[route("/", &endpoints)], care, 1).await?;
    let load = stage.load(proxy.address);
    // What is usual has to be learned first.
    let start = Instant::now();
    let counts = start + stage.pace.before;
    let end = counts + stage.pace.hedged;
    load.offer(Stream::get("/", RATE), start, end - start).await;
    let shots = load.settle().await.due(counts, end);
    let attempts = endpoints
        .iter()
        .map(|endpoint| endpoint.arrivals(counts, end).len())
        .sum();
    Ok(Ran { shots, attempts })
}
