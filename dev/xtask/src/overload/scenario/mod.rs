//! The seven scenarios, and the acts that each consists of.

mod bulkhead;
mod hedging;
mod outage;
mod overflow;
mod recovery;
mod rolling;
mod stall;
mod waiting;

use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::ValueEnum;

use super::load::{Load, Stream};
use super::peers::Peer;
use super::report::{Figure, Row};
use super::shots::Shots;
use super::stage::{Pace, Stage};
use crate::Fallible;

/// What is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// Route B's endpoint stalls: route A must not notice
    Bulkhead,
    /// One of four endpoints stalls
    Stall,
    /// Five times the capacity is offered; and 10,000 requests wait
    Overflow,
    /// The only endpoint stalls, or all of them drop what they get, and are then healthy
    Recovery,
    /// All four endpoints answer 503, with retries configured
    Outage,
    /// One answer in a hundred takes a second
    Hedging,
    /// Four real servers restart one after the other
    Rolling,
}

/// One run of one proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Each route gets `rate` requests a second; B stalls for `stall`.
    Bulkhead {
        stall: Duration,
        rate: u32,
    },
    Stall,
    /// `clients` are connected beforehand.
    Overflow {
        workers: u32,
        clients: usize,
    },
    /// As many requests wait at once.
    Waiting {
        requests: u32,
    },
    /// The only endpoint stalls.
    Lone,
    /// All of four endpoints drop what they get.
    AllOut,
    Outage,
    /// Whether slow requests are sent a second time.
    Hedging,
    Rolling,
}

impl Scenario {
    /// What it consists of for `peer`. A stall of 30 s adds nothing about peers that 10 s do not show.
    pub(crate) fn acts(self, peer: Peer, pace: &Pace) -> Vec<Act> {
        let long = (peer == Peer::Evenkeel && pace.stall == Pace::FULL.stall).then_some(LONG_STALL);
        match self {
            Self::Bulkhead => std::iter::once(pace.stall)
                .chain(long)
                .flat_map(|stall| RATES.map(|rate| Act::Bulkhead { stall, rate }))
                .collect(),
            Self::Stall => vec![Act::Stall],
            Self::Overflow => vec![
                Act::Overflow {
                    workers: 1,
                    clients: 0,
                },
                Act::Overflow {
                    workers: 4,
                    clients: 1_000,
                },
                Act::Waiting { requests: 10_000 },
            ],
            Self::Recovery => vec![Act::Lone, Act::AllOut],
            Self::Outage => vec![Act::Outage],
            Self::Hedging => vec![Act::Hedging],
            Self::Rolling => vec![Act::Rolling],
        }
    }
}

impl Act {
    /// The heading of its table.
    pub(crate) fn table(self) -> &'static str {
        match self {
            Self::Bulkhead { .. } => "Bulkhead: the endpoint of route B stalls, route A has its own",
            Self::Stall => "One of four endpoints stalls",
            Self::Overflow { .. } => "Overflow: five times what eight connections of 100 ms can do",
            Self::Waiting { .. } => "Memory: many requests wait for eight connections",
            Self::Lone => "Recovery: the only endpoint stalls, then is healthy",
            Self::AllOut => "Recovery: all four endpoints drop every request, then are healthy",
            Self::Outage => "Total outage: all four endpoints answer 503, with retries on 503",
            Self::Hedging => "Hedging: one answer in a hundred takes a second",
            Self::Rolling => "Rolling restart of four real servers: 500 GET/s and 200 POST/s",
        }
    }

    /// Its name in those of files.
    pub(crate) fn slug(self) -> &'static str {
        match self {
            Self::Bulkhead { .. } => "bulkhead",
            Self::Stall => "stall",
            Self::Overflow { .. } => "overflow",
            Self::Waiting { .. } => "waiting",
            Self::Lone => "lone",
            Self::AllOut => "all-out",
            Self::Outage => "outage",
            Self::Hedging => "hedging",
            Self::Rolling => "rolling",
        }
    }

    /// What tells it from others of its table.
    pub(crate) fn variant(self) -> String {
        match self {
            Self::Bulkhead { stall, rate } => format!("{} s, {rate}/s each", stall.as_secs()),
            Self::Overflow { workers: 1, .. } => "1 worker".into(),
            Self::Overflow { workers, clients } => format!("{workers} workers, {clients} clients"),
            Self::Waiting { .. }
            | Self::Lone
            | Self::AllOut
            | Self::Stall
            | Self::Outage
            | Self::Hedging
            | Self::Rolling => String::new(),
        }
    }

    /// Both in one, for those who wait.
    pub(crate) fn name(self) -> String {
        let variant = self.variant();
        if variant.is_empty() {
            self.table().to_owned()
        } else {
            format!("{} ({variant})", self.table())
        }
    }

    /// Why `peer` has no part in it.
    pub(crate) fn is_beyond(self, peer: Peer) -> Option<&'static str> {
        match (self, peer) {
            (Self::Waiting { .. }, Peer::Nginx) => Some("has no queue"),
            (Self::Hedging, Peer::Nginx | Peer::Haproxy) => Some("has no hedging"),
            _ => None,
        }
    }

    /// How often it is played, for the median: more than once where a bar is the tail of a short run.
    pub(crate) fn plays(self, peer: Peer) -> u32 {
        match self {
            Self::Bulkhead { .. } | Self::Overflow { .. } if peer == Peer::Evenkeel => 3,
            _ => 1,
        }
    }

    /// About how long it takes, once.
    pub(crate) fn span(self, pace: &Pace) -> Duration {
        let start = Duration::from_secs(1);
        let around = start + pace.before + pace.after;
        match self {
            Self::Bulkhead { stall, .. } => around + stall,
            Self::Stall | Self::Lone => around + pace.stall,
            Self::Overflow { .. } => start + pace.outage + Duration::from_secs(2),
            Self::Waiting { .. } => start + Duration::from_secs(8),
            Self::AllOut | Self::Outage => around + pace.outage,
            Self::Hedging => 2 * (start + pace.before + pace.hedged),
            Self::Rolling => around + rolling::SPAN,
        }
    }

    /// Runs it.
    ///
    /// # Errors
    /// When the proxy does not start, or the scenery can not be set up.
    pub(crate) async fn play(self, stage: &Stage<'_>) -> Fallible<Row> {
        let (figures, shots) = match self {
            Self::Bulkhead { stall, rate } => bulkhead::play(stage, stall, rate).await,
            Self::Stall => stall::play(stage).await,
            Self::Overflow { workers, clients } => overflow::play(stage, workers, clients).await,
            Self::Waiting { requests } => waiting::play(stage, requests).await,
            Self::Lone => recovery::lone(stage).await,
            Self::AllOut => recovery::all_out(stage).await,
            Self::Outage => outage::play(stage).await,
            Self::Hedging => hedging::play(stage).await,
            Self::Rolling => rolling::play(stage).await,
        }?;
        Ok(Row {
            table: self.table(),
            variant: self.variant(),
            proxy: stage.peer.name(),
            figures,
            load_late_ms: shots.late_ms(0.99).unwrap_or(0.0),
        })
    }
}

/// What an act gives: its figures, and all requests that it sent.
type Played = Fallible<(Vec<Figure>, Shots)>;

/// Something goes wrong between two moments of a steady load.
struct Trouble {
    /// From when on requests count; those before warm up what is cold.
    counts: Instant,
    /// When it goes wrong.
    begins: Instant,
    /// When it is well again.
    heals: Instant,
    /// After the last request.
    ends: Instant,
}

impl Trouble {
    /// Offers `stream`, and lets it go wrong for `span`.
    async fn during(
        stage: &Stage<'_>,
        load: &Rc<Load>,
        stream: Stream,
        span: Duration,
        turn: impl Fn(Turn),
    ) -> Self {
        let trouble = Self::from_now(stage, span);
        let whole = stage.pace.before + span + stage.pace.after;
        tokio::join!(
            load.offer(stream, trouble.start(stage), whole),
            trouble.direct(stage, turn)
        );
        trouble
    }

    fn from_now(stage: &Stage<'_>, span: Duration) -> Self {
        let start = Instant::now();
        let begins = start + stage.pace.before;
        Self {
            counts: start + WARM_UP,
            begins,
            heals: begins + span,
            ends: begins + span + stage.pace.after,
        }
    }

    fn start(&self, stage: &Stage<'_>) -> Instant {
        self.begins - stage.pace.before
    }

    /// Calls `turn` at both moments.
    async fn direct(&self, stage: &Stage<'_>, turn: impl Fn(Turn)) {
        stage.alarms.until(self.begins).await;
        turn(Turn::Worse);
        stage.alarms.until(self.heals).await;
        turn(Turn::Well);
    }

    fn before(&self, shots: &Shots) -> Shots {
        shots.due(self.counts, self.begins)
    }

    fn meanwhile(&self, shots: &Shots) -> Shots {
        shots.due(self.begins, self.heals)
    }

    fn after(&self, shots: &Shots) -> Shots {
        shots.due(self.heals, self.ends)
    }

    /// The share of requests that failed later than a recovery may take, in percent.
    fn failed_afterwards(&self, shots: &Shots) -> Figure {
        let calm = shots.due(self.heals + RECOVERY_MAX, self.ends);
        failed("failed afterwards", &calm)
    }

    /// How soon all is as before.
    fn recovery(&self, shots: &Shots) -> [Figure; 2] {
        let after = self.after(shots);
        let usual_ms = self.before(shots).within_ms(0.99).unwrap_or(f64::INFINITY);
        let limit = RECOVERY_MAX.as_secs_f64();
        [
            Figure::number("errors < 0.1 % after", after.errors_end_after(self.heals), "s").at_most(limit),
            Figure::number(
                "p99 back after",
                after.p99_is_back_after(self.heals, usual_ms),
                "s",
            )
            .at_most(limit),
        ]
    }
}

/// Which way it goes with the endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Worse,
    Well,
}

/// The share that failed, which must be none.
fn failed(name: &'static str, of: &Shots) -> Figure {
    let percent = of.failed() as f64 * 100.0 / of.count().max(1) as f64;
    Figure::number(name, percent, "%").at_most(0.0)
}

/// A median and a 99th percentile that are not judged.
fn waits(name: &'static str, of: &Shots) -> Figure {
    match (of.within_ms(0.5), of.within_ms(0.99)) {
        (Some(p50), Some(p99)) => Figure::words(name, format!("{p50:.1} / {p99:.1} ms")),
        _ => Figure::words(name, "-"),
    }
}

const LONG_STALL: Duration = Duration::from_secs(30);
const RATES: [u32; 2] = [500, 1_000];
/// Requests a second, where a scenario has one rate.
const RATE: u32 = 500;
/// What an answer takes, in milliseconds, where a scenario does not say.
const WORK_MS: u64 = 5;
const WARM_UP: Duration = Duration::from_millis(500);
/// A recovery may take as long.
const RECOVERY_MAX: Duration = Duration::from_millis(100);
/// A refusal may take as long, in milliseconds.
const REFUSAL_MAX_MS: f64 = 1.0;
