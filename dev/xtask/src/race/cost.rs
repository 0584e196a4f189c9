//! `cargo xtask race-cost`: what protection costs in usual traffic. The same requests, at the same pauses, to
//! evenkeel, to another proxy, and to the backend itself; what each took, by minute.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};

use super::client::PROXY_PORT;
use super::dice::Dice;
use super::ledger::Backends;
use super::message::Wired;
use super::net::{self, Lab};
use super::peers::{Peer, Site};
use super::plan::Way;
use super::signals::{self, Stop};
use super::{OutputArgs, install};
use crate::{Fallible, Verdict};

/// What to measure.
#[derive(Args, Clone, Debug)]
pub(crate) struct CostArgs {
    /// The proxies beside which evenkeel is held; the first of them sets the bar
    #[arg(long, value_delimiter = ',', default_value = "nginx-best")]
    peers: Vec<Peer>,
    /// Minutes for each
    #[arg(long, default_value_t = 5)]
    minutes: u64,
    /// Lanes of each kind of traffic and method, each with an endpoint of its own
    #[arg(long, default_value_t = 10)]
    lanes: usize,
    /// The backend's idle timeout, in milliseconds
    #[arg(long, default_value_t = 5_000)]
    idle: u64,
    /// The wire's one-way delay, in milliseconds
    #[arg(long, default_value_t = 10)]
    delay: u64,
    #[command(flatten)]
    output: OutputArgs,
}

/// How requests come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Traffic {
    /// One every 110 ms.
    Every110ms,
    /// One every 200 ms.
    Every200ms,
    /// One every 3 s.
    Every3s,
    /// One a second, by chance.
    Poisson1s,
    /// Ten close together, then up to 4 s of nothing.
    Bursts,
}

const TRAFFIC: [Traffic; 5] = [
    Traffic::Every110ms,
    Traffic::Every200ms,
    Traffic::Every3s,
    Traffic::Poisson1s,
    Traffic::Bursts,
];
const METHODS: [&str; 2] = ["GET", "POST"];

impl Traffic {
    /// From one request's begin to the next one's.
    fn pause(self, nth: u64, dice: &mut Dice) -> Duration {
        let ms = Duration::from_millis;
        match self {
            Self::Every110ms => ms(110),
            Self::Every200ms => ms(200),
            Self::Every3s => ms(3000),
            Self::Poisson1s => {
                let unit = dice.between(1, 1_000_000) as f64 / 1e6;
                Duration::from_secs_f64(-unit.ln())
            }
            Self::Bursts if !nth.is_multiple_of(10) => ms(40),
            Self::Bursts => ms(dice.between(0, 4000).unsigned_abs()),
        }
    }
}

/// What one request took.
#[derive(Clone, Copy, Debug)]
struct Sample {
    traffic: usize,
    method: usize,
    minute: u64,
    /// `None` if it failed.
    took: Option<Duration>,
}

/// What one subject did.
struct Ran {
    name: String,
    samples: Vec<Sample>,
    /// Connections opened at the backend, by traffic and method.
    opened: [[u64; 2]; 5],
}

/// Runs it.
///
/// # Errors
/// When the lab can not be built, or a proxy does not start.
pub(crate) fn run(args: &CostArgs) -> Fallible<Verdict> {
    super::raise_descriptor_limit();
    let stop = signals::stop_on_signal()?;
    let lab = Lab::new(Duration::from_millis(args.delay))?;
    let evenkeel = args.output.program(true)?;
    let lanes: Vec<(String, SocketAddrV4)> = (0..args.lanes * TRAFFIC.len() * METHODS.len())
        .map(|lane| {
            (
                format!("/lane/{lane}"),
                net::lane_address(lane, super::BACKEND_PORT),
            )
        })
        .collect();
    let everywhere = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, super::BACKEND_PORT);
    let backends = Backends::start(&lab.backend_side.door(), &[everywhere], Way::Close, args.idle)?;
    lab.backend_side.run(|| super::wait_for(&lanes))??;
    let mut subjects = vec![Some(Peer::EvenkeelOn)];
    subjects.extend(args.peers.iter().copied().map(Some));
    subjects.push(None);
    let mut all = Vec::new();
    for subject in subjects {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let name = subject.map_or_else(|| "direct".into(), Peer::name);
        subject.map_or(Ok(()), Peer::ensure_installed)?;
        let site = Site {
            namespace: &lab.proxy_side,
            lanes: &lanes,
            attempt_timeout: None,
            evenkeel: &evenkeel,
            log: install::lanes_directory()?.join(format!("{name}-cost.log")),
        };
        let running = subject.map(|peer| peer.start(&site)).transpose()?;
        lab.wire.forget();
        let to_proxy = running.is_some();
        let samples = lab.proxy_side.run(|| measure(args, &lanes, to_proxy, &stop))??;
        let mut opened = [[0; 2]; 5];
        lab.wire.flows().with(|flows| {
            for (index, (_, endpoint)) in lanes.iter().enumerate() {
                let (traffic, method) = place(index, args.lanes);
                opened[traffic][method] += flows.lane(*endpoint).opened;
            }
        });
        drop(running);
        all.push(Ran {
            name,
            samples,
            opened,
        });
    }
    drop((backends, lab));
    let (text, missed) = report(&all, args.minutes);
    match &args.output.out {
        Some(path) => std::fs::write(path, &text)?,
        None => print!("{text}"),
    }
    for missed in &missed {
        eprintln!("MISSED  {missed}");
    }
    Ok(if missed.is_empty() {
        Verdict::Passed
    } else {
        Verdict::Failed
    })
}

/// Which traffic and method a lane has.
fn place(lane: usize, lanes: usize) -> (usize, usize) {
    let kind = lane / lanes;
    (kind / METHODS.len(), kind % METHODS.len())
}

fn measure(
    args: &CostArgs,
    lanes: &[(String, SocketAddrV4)],
    to_proxy: bool,
    stop: &Stop,
) -> Fallible<Vec<Sample>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let begun = Instant::now();
    let until = begun + Duration::from_secs(args.minutes * 60);
    Ok(runtime.block_on(LocalSet::new().run_until(async {
        let mut running = JoinSet::new();
        for (index, (path, endpoint)) in lanes.iter().cloned().enumerate() {
            let proxy = SocketAddrV4::new(Ipv4Addr::LOCALHOST, PROXY_PORT);
            let to = if to_proxy { proxy } else { endpoint };
            let (place, stop) = (place(index, args.lanes), stop.clone());
            running.spawn_local(lane(index, path, to, place, (begun, until), stop));
        }
        let mut samples = Vec::new();
        while let Some(lane) = running.join_next().await {
            samples.extend(lane.unwrap_or_default());
        }
        samples
    })))
}

async fn lane(
    index: usize,
    path: String,
    to: SocketAddrV4,
    (traffic, method): (usize, usize),
    (begun, until): (Instant, Instant),
    stop: Stop,
) -> Vec<Sample> {
    let mut dice = Dice::new(index as u64 + 1);
    let mut samples = Vec::new();
    let mut connection: Option<Wired> = None;
    // Lanes of one kind do not send at the same moment.
    let mut next = begun + Duration::from_millis(dice.between(0, 3000).unsigned_abs());
    for nth in 1.. {
        tokio::time::sleep_until(next.into()).await;
        let started = Instant::now();
        if started >= until || stop.load(Ordering::Relaxed) {
            break;
        }
        let body = if method == 1 { "paid" } else { "" };
        let request = format!(
            "{} {path} HTTP/1.1\r\nHost: race\r\nX-Race-Id: {:016x}\r\nContent-Length: {}\r\n\r\n{body}",
            METHODS[method],
            (index as u64) << 32 | nth,
            body.len()
        );
        let answered = ask(&mut connection, to, &request).await;
        if answered.is_none() {
            connection = None;
        }
        samples.push(Sample {
            traffic,
            method,
            minute: started.duration_since(begun).as_secs() / 60,
            took: answered.map(|()| started.elapsed()),
        });
        next = (next + TRAFFIC[traffic].pause(nth, &mut dice)).max(Instant::now());
    }
    samples
}

async fn ask(connection: &mut Option<Wired>, to: SocketAddrV4, request: &str) -> Option<()> {
    if connection.is_none() {
        *connection = Some(Wired::new(
            TcpStream::connect(std::net::SocketAddr::V4(to)).await.ok()?,
        ));
    }
    let wired = connection.as_mut()?;
    let patience = Duration::from_secs(10);
    tokio::time::timeout(patience, async {
        wired.write(request.as_bytes()).await.ok()?;
        let head = wired.head().await.ok()??;
        wired.response_body(&head).await.ok()?;
        (head.status() == Some(200)).then_some(())
    })
    .await
    .ok()?
}

/// The tables, and in which respects evenkeel misses its bar.
fn report(all: &[Ran], minutes: u64) -> (String, Vec<String>) {
    let (mut text, mut missed) = (String::new(), Vec::new());
    for (traffic, kind) in TRAFFIC.iter().enumerate() {
        for (method, name) in METHODS.iter().enumerate() {
            let kind = kind.to_possible_value();
            let kind = kind.as_ref().map_or("", |value| value.get_name());
            let of = |ran: &Ran, minute: Option<u64>| Figures::of(ran, (traffic, method), minute);
            let _ = writeln!(
                text,
                "{name} {kind}: p50 / p90 ms, share above p50 by half a round trip, failed"
            );
            for ran in all {
                let _ = write!(text, "  {:14}", ran.name);
                for minute in (0..minutes).map(Some).chain([None]) {
                    let _ = write!(text, " | {}", of(ran, minute));
                }
                let _ = writeln!(text, " | opened {}", ran.opened[traffic][method]);
            }
            if let [ours, theirs, ..] = all {
                let (mine, bar) = (of(ours, None), of(theirs, None));
                let opened = (ours.opened[traffic][method], theirs.opened[traffic][method]);
                let held = mine.p50 <= bar.p50 * 1.05
                    && mine.p90 <= bar.p90 * 1.10
                    && mine.slow <= bar.slow + 0.02
                    && opened.0 as f64 <= (opened.1 as f64 * 1.05).ceil();
                if !held {
                    missed.push(format!("{name} {kind}: {mine} against {bar}, opened {opened:?}"));
                }
            }
        }
    }
    (text, missed)
}

/// What requests of one kind took; in one minute, or from the second one on.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    p50: f64,
    p90: f64,
    /// The share that took longer than the median by more than half of it, about a round trip's half.
    slow: f64,
    failed: usize,
}

impl Figures {
    fn of(ran: &Ran, (traffic, method): (usize, usize), minute: Option<u64>) -> Self {
        let counts = |sample: &&Sample| {
            let within = minute.map_or(sample.minute >= 1, |minute| sample.minute == minute);
            within && sample.traffic == traffic && sample.method == method
        };
        let samples: Vec<&Sample> = ran.samples.iter().filter(counts).collect();
        let mut took: Vec<f64> = samples
            .iter()
            .filter_map(|sample| Some(sample.took?.as_secs_f64() * 1000.0))
            .collect();
        took.sort_unstable_by(f64::total_cmp);
        let at = |percent: usize| took.get(took.len() * percent / 100).copied().unwrap_or(0.0);
        let slow = took.iter().filter(|took| **took > at(50) * 1.5).count();
        Self {
            p50: at(50),
            p90: at(90),
            slow: slow as f64 / took.len().max(1) as f64,
            failed: samples.len() - took.len(),
        }
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            p50,
            p90,
            slow,
            failed,
        } = self;
        write!(f, "{p50:.1} / {p90:.1}, {:.1} %, {failed}", slow * 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_of_their_minute_and_count_what_failed_apart() {
        let sample = |minute, ms: Option<u64>| Sample {
            traffic: 0,
            method: 1,
            minute,
            took: ms.map(Duration::from_millis),
        };
        let ran = Ran {
            name: "a".into(),
            samples: vec![
                sample(0, Some(90)),
                sample(1, Some(20)),
                sample(1, Some(20)),
                sample(1, Some(45)),
                sample(2, None),
            ],
            opened: [[0; 2]; 5],
        };
        let later = Figures::of(&ran, (0, 1), None);
        assert_eq!((later.p50, later.p90, later.failed), (20.0, 45.0, 1));
        assert!((later.slow - 1.0 / 3.0).abs() < 1e-9);
        assert_eq!(Figures::of(&ran, (0, 1), Some(0)).p50, 90.0);
        assert_eq!(Figures::of(&ran, (0, 0), None).failed, 0);
    }
}
