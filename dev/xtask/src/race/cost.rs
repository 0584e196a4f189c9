//! `cargo xtask race-cost`: what protection costs in usual traffic. The same requests, at the same pauses and
//! in the same minutes, to evenkeel, to another proxy, and to the backend itself; what each took, by minute.

mod report;

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
use super::wire::SharedFlows;
use super::{OutputArgs, install};
use crate::{Fallible, Verdict};
use report::report;

/// What to measure.
#[derive(Args, Clone, Debug)]
pub(crate) struct CostArgs {
    /// The proxies beside which evenkeel is held; the first of them sets the bar
    #[arg(long, value_delimiter = ',', default_value = "nginx-best")]
    peers: Vec<Peer>,
    /// Minutes; all but the first are judged
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(3..=60))]
    minutes: u64,
    /// Lanes of each kind of traffic and method, each with an endpoint of its own
    #[arg(long, default_value_t = 8, value_parser = lanes_in_range)]
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

fn lanes_in_range(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(lanes @ 1..=100) => Ok(lanes),
        _ => Err("a number from 1 to 100".into()),
    }
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
    kind: Kind,
    minute: u64,
    /// `None` if it failed.
    took: Option<Duration>,
}

/// Traffic and method, by their places in [`TRAFFIC`] and [`METHODS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind {
    traffic: usize,
    method: usize,
}

/// Who carries the requests.
struct Subject {
    name: String,
    /// Path and endpoint of each lane.
    lanes: Vec<(String, SocketAddrV4)>,
    /// The proxy's port; without one, lanes go to their endpoints themselves.
    port: Option<u16>,
}

/// What one subject did.
struct Ran {
    name: String,
    samples: Vec<Sample>,
    /// What the wire saw of each kind, from the second minute on.
    wire: Vec<(Kind, Wire)>,
}

/// What the wire saw of one kind of traffic.
#[derive(Clone, Copy, Debug, Default)]
struct Wire {
    opened: u64,
    two_steps: u64,
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
    let peers: Vec<Peer> = std::iter::once(Peer::EvenkeelOn)
        .chain(args.peers.iter().copied())
        .collect();
    for peer in &peers {
        peer.ensure_installed()?;
    }
    let subjects = subjects(&peers, args.lanes);
    let everywhere = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, super::BACKEND_PORT);
    let backends = Backends::start(&lab.backend_side.door(), &[everywhere], Way::Close, args.idle)?;
    lab.backend_side.run(|| super::wait_for(&subjects[0].lanes))??;
    let mut running = Vec::new();
    for (peer, subject) in peers.iter().zip(&subjects) {
        running.push(peer.start(&Site {
            namespace: &lab.proxy_side,
            port: subject.port.unwrap_or(PROXY_PORT),
            lanes: &subject.lanes,
            attempt_timeout: None,
            evenkeel: &evenkeel,
            log: install::lanes_directory()?.join(format!("{}-cost.log", subject.name)),
        })?);
    }
    lab.wire.forget();
    let ran = lab
        .proxy_side
        .run(|| measure(args, &subjects, &lab.wire.flows(), &stop))??;
    drop((running, backends, lab));
    let (text, missed) = report(&ran, args.minutes);
    args.output.judge(&text, &missed)
}

/// Each proxy, and no proxy, with lanes of their own.
fn subjects(peers: &[Peer], lanes: usize) -> Vec<Subject> {
    let each = lanes * TRAFFIC.len() * METHODS.len();
    let ports = (PROXY_PORT..).take(peers.len()).map(Some).chain([None]);
    let names = peers.iter().map(|peer| peer.name()).chain(["direct".into()]);
    let subjects = names.zip(ports).enumerate();
    subjects
        .map(|(nth, (name, port))| Subject {
            name,
            port,
            lanes: (0..each)
                .map(|lane| {
                    let address = net::lane_address(nth * each + lane, super::BACKEND_PORT);
                    (format!("/lane/{lane}"), address)
                })
                .collect(),
        })
        .collect()
}

/// Which traffic and method a lane has.
fn kind(lane: usize, lanes: usize) -> Kind {
    let kind = lane / lanes;
    Kind {
        traffic: kind / METHODS.len(),
        method: kind % METHODS.len(),
    }
}

/// All subjects at once, so that each has the same machine in the same moments.
fn measure(args: &CostArgs, subjects: &[Subject], flows: &SharedFlows, stop: &Stop) -> Fallible<Vec<Ran>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let begun = Instant::now();
    let until = begun + Duration::from_secs(args.minutes * 60);
    let (samples, early) = runtime.block_on(LocalSet::new().run_until(async {
        let mut running = JoinSet::new();
        for (nth, subject) in subjects.iter().enumerate() {
            for (index, (path, endpoint)) in subject.lanes.iter().cloned().enumerate() {
                let proxy = |port| SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
                let to = subject.port.map_or(endpoint, proxy);
                let (kind, stop) = (kind(index, args.lanes), stop.clone());
                let lane = lane(index, path, to, kind, (begun, until), stop);
                running.spawn_local(async move { (nth, lane.await) });
            }
        }
        tokio::time::sleep_until((begun + MINUTE).into()).await;
        let early = seen(args.lanes, subjects, flows);
        let mut samples = vec![Vec::new(); subjects.len()];
        while let Some(lane) = running.join_next().await {
            let (nth, lane) = lane.map_err(|error| format!("a lane: {error}"))?;
            samples[nth].extend(lane);
        }
        Fallible::Ok((samples, early))
    }))?;
    let whole = seen(args.lanes, subjects, flows);
    let wire = early.into_iter().zip(whole);
    let ran = subjects.iter().zip(samples).zip(wire);
    Ok(ran
        .map(|((subject, samples), (early, whole))| Ran {
            name: subject.name.clone(),
            samples,
            wire: early
                .iter()
                .zip(&whole)
                .map(|((kind, early), (_, whole))| (*kind, whole.since(early)))
                .collect(),
        })
        .collect())
}

/// What the wire has seen of each subject, by kind.
fn seen(lanes: usize, subjects: &[Subject], flows: &SharedFlows) -> Vec<Vec<(Kind, Wire)>> {
    let of = |subject: &Subject| {
        let facts: Vec<_> = flows.with(|flows| {
            let lanes = subject.lanes.iter();
            lanes.map(|(_, endpoint)| flows.lane(*endpoint)).collect()
        });
        let kinds = facts.chunks(lanes).enumerate();
        kinds
            .map(|(nth, facts)| {
                let wire = Wire {
                    opened: facts.iter().map(|lane| lane.opened).sum(),
                    two_steps: facts.iter().map(|lane| lane.two_steps).sum(),
                };
                (kind(nth * lanes, lanes), wire)
            })
            .collect()
    };
    subjects.iter().map(of).collect()
}

impl Wire {
    fn since(self, earlier: &Self) -> Self {
        Self {
            opened: self.opened - earlier.opened,
            two_steps: self.two_steps - earlier.two_steps,
        }
    }
}

async fn lane(
    index: usize,
    path: String,
    to: SocketAddrV4,
    kind: Kind,
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
        let body = if METHODS[kind.method] == "POST" {
            "paid"
        } else {
            ""
        };
        let request = format!(
            "{} {path} HTTP/1.1\r\nHost: race\r\nX-Race-Id: {:016x}\r\nContent-Length: {}\r\n\r\n{body}",
            METHODS[kind.method],
            (index as u64) << 32 | nth,
            body.len()
        );
        let answered = ask(&mut connection, to, &request).await;
        samples.push(Sample {
            kind,
            minute: started.duration_since(begun).as_secs() / 60,
            took: (answered == Some(200)).then(|| started.elapsed()),
        });
        next = (next + TRAFFIC[kind.traffic].pause(nth, &mut dice)).max(Instant::now());
    }
    samples
}

/// One request on this connection, opened first if there is none; the status of its answer, or `None` if none came
/// whole. The connection is gone then.
pub(crate) async fn ask(connection: &mut Option<Wired>, to: SocketAddrV4, request: &str) -> Option<u16> {
    let mut wired = match connection.take() {
        Some(wired) => wired,
        None => Wired::new(TcpStream::connect(std::net::SocketAddr::V4(to)).await.ok()?),
    };
    let exchange = async {
        wired.write(request.as_bytes()).await.ok()?;
        let head = wired.head().await.ok()??;
        wired.response_body(&head).await.ok()?;
        Some((head.status()?, head.closes()))
    };
    let (status, closes) = tokio::time::timeout(PATIENCE, exchange).await.ok()??;
    if !closes {
        *connection = Some(wired);
    }
    Some(status)
}

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
const MINUTE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_lane_has_its_own_kind_and_each_subject_its_own_endpoints() {
        let subjects = subjects(&[Peer::EvenkeelOn, Peer::NginxBest], 3);
        let mut endpoints: Vec<_> = subjects
            .iter()
            .flat_map(|subject| subject.lanes.iter().map(|(_, endpoint)| endpoint))
            .collect();
        let all = endpoints.len();
        endpoints.sort_unstable();
        endpoints.dedup();
        assert_eq!((all, endpoints.len()), (90, 90));
        assert_eq!(
            kind(0, 3),
            Kind {
                traffic: 0,
                method: 0
            }
        );
        assert_eq!(
            kind(29, 3),
            Kind {
                traffic: 4,
                method: 1
            }
        );
    }
}
