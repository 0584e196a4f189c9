//! `cargo xtask race`: the keep-alive race, run on purpose. docs/race.md explains it.

mod backend;
pub(crate) mod bar;
pub(crate) mod client;
pub(crate) mod cost;
pub(crate) mod dice;
pub(crate) mod flows;
pub(crate) mod install;
mod lane;
pub(crate) mod ledger;
pub(crate) mod message;
pub(crate) mod net;
mod packet;
pub(crate) mod peers;
pub(crate) mod plan;
mod relay;
pub(crate) mod report;
pub(crate) mod signals;
mod table;
mod wire;

use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

pub(crate) use backend::{BackendArgs, run as run_backend};
pub(crate) use relay::{RelayArgs, run as run_relay};

use client::{Conditions, Group, Ran};
use ledger::Backends;
use net::Lab;
use peers::{Peer, Site};
use plan::{Method, Script, Way};
use relay::Relay;
use report::{LabReport, RunReport};
use signals::Stop;

use crate::{Fallible, Verdict};

/// What to race.
#[derive(Args, Clone, Debug)]
pub(crate) struct RaceArgs {
    /// Ways in which the connection fails
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "w1,w2,w3,farewell,farewell-400,farewell-503,stale,late-fin,proxied,\
                         a1,a2,a3,a4,a5,s1,s2,steady"
    )]
    ways: Vec<Way>,
    /// Methods
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "GET,POST,POST-chunked,PUT,DELETE"
    )]
    methods: Vec<Method>,
    /// Proxies and set-ups
    #[arg(long, value_delimiter = ',', default_value = "evenkeel-on,evenkeel-off")]
    peers: Vec<Peer>,
    /// In-window requests of each method, where the backend closes idle connections
    #[arg(long, default_value_t = 10_000)]
    hits: u64,
    /// Failed requests of each method, where the backend processes and then fails
    #[arg(long, default_value_t = 2_000)]
    acts: u64,
    /// The longest time of one run, in seconds
    #[arg(long, default_value_t = 300)]
    max_time: u64,
    /// Lanes: client connections, each with an endpoint of its own
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u16).range(1..=2000))]
    lanes: u16,
    /// The backend's idle timeout, in milliseconds
    #[arg(long, default_value_t = 400)]
    idle: u64,
    /// The wire's one-way delays, in milliseconds: each way is run with each (`proxied` with 20 at least)
    #[arg(long, value_delimiter = ',', default_value = "5")]
    delay: Vec<u64>,
    /// How long before and after the backend's close requests are aimed to arrive, in milliseconds; by
    /// default 12, and the path there and back and 2 more
    #[arg(long, value_delimiter = ',', num_args = 1)]
    aim: Vec<u64>,
    /// A few hundred requests of w1, w3, a1 and a2: under a minute
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// What both lanes of the lab write, and with which program.
#[derive(Args, Clone, Debug)]
pub(crate) struct OutputArgs {
    /// For people or for machines
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: Format,
    /// Where to, instead of standard output
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
    /// evenkeel's program; by default it is built
    #[arg(long)]
    pub(crate) evenkeel: Option<PathBuf>,
}

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table
    Table,
    /// One JSON object
    Json,
}

/// Runs what was asked for.
///
/// # Errors
/// When the lab can not be built. A peer that can not run is skipped, and said so.
pub(crate) fn run(args: &RaceArgs) -> Fallible<Verdict> {
    let args = args.clone().quickened();
    raise_descriptor_limit();
    let stop = signals::stop_on_signal()?;
    let mut labs = Labs::default();
    let evenkeel = args
        .output
        .program(args.peers.iter().any(|peer| peer.is_evenkeel()))?;
    let mut report = LabReport::new(args.delay[0], args.idle, args.lanes);
    for peer in &args.peers {
        if let Err(why) = peer.ensure_installed() {
            report.skip(&peer.name(), &why.to_string());
            continue;
        }
        for (way, delay) in args.runs() {
            if stop.load(std::sync::atomic::Ordering::SeqCst) {
                break;
            }
            match race(labs.with_delay(delay)?, &args, *peer, way, &evenkeel, &stop) {
                Ok(run) => {
                    eprintln!("{}", table::line(&run));
                    report.runs.push(run);
                }
                Err(why) => report.skip(&format!("{} {}", peer.name(), way.name()), &why.to_string()),
            }
        }
    }
    drop(labs);
    args.output.write(&report)?;
    Ok(report.verdict())
}

/// The lab, built anew when another wire is asked for.
#[derive(Default)]
struct Labs(Option<Lab>);

impl Labs {
    fn with_delay(&mut self, delay: Duration) -> Fallible<&Lab> {
        let fits = self.0.take_if(|lab| lab.wire.delay == delay);
        // Dropped first: both would have the same names.
        self.0 = None;
        Ok(self.0.insert(fits.map_or_else(|| Lab::new(delay), Ok)?))
    }
}

impl RaceArgs {
    /// Each way with each delay that it makes a difference for.
    fn runs(&self) -> Vec<(Way, Duration)> {
        let mut runs = Vec::new();
        for delay in &self.delay {
            for way in &self.ways {
                let run = (*way, way.delay(Duration::from_millis(*delay)));
                if !runs.contains(&run) {
                    runs.push(run);
                }
            }
        }
        runs
    }

    fn quickened(mut self) -> Self {
        if self.quick {
            self.ways = vec![
                Way::Close,
                Way::HalfClose,
                Way::ProcessThenFin,
                Way::ProcessThenReset,
            ];
            (self.hits, self.acts, self.max_time) = (100, 100, 15);
        }
        self
    }
}

impl OutputArgs {
    /// The path of evenkeel's program, built first if it is needed and was not given.
    ///
    /// # Errors
    /// When it does not build.
    pub(crate) fn program(&self, is_needed: bool) -> Fallible<PathBuf> {
        if let Some(path) = &self.evenkeel {
            return Ok(path.clone());
        }
        let lanes = install::lanes_directory()?;
        let path = lanes.parent().unwrap_or(Path::new(".")).join("release/evenkeel");
        if is_needed {
            let mut build = Command::new("cargo");
            build
                .args(["build", "--release", "--quiet", "-p", "evenkeel"])
                .current_dir(install::repository());
            if !build.status()?.success() {
                return Err(
                    "evenkeel does not build; name a program with --evenkeel, or other --peers".into(),
                );
            }
        }
        Ok(path)
    }

    /// Writes a report where and how it was asked for.
    ///
    /// # Errors
    /// When it can not be written.
    pub(crate) fn write(&self, report: &LabReport) -> Fallible<()> {
        let text = match self.format {
            Format::Table => table::render(report),
            Format::Json => serde_json::to_string_pretty(report)? + "\n",
        };
        match &self.out {
            None => print!("{text}"),
            Some(path) => {
                std::fs::write(path, text)?;
                eprint!("{}", table::render(report));
            }
        }
        Ok(())
    }
}

fn race(
    lab: &Lab,
    args: &RaceArgs,
    peer: Peer,
    way: Way,
    evenkeel: &Path,
    stop: &Stop,
) -> Fallible<RunReport> {
    let group = group(args, way, lab.wire.delay);
    let (idle_ms, closing) = match way.script() {
        Script::Aim | Script::Steady => (args.idle, way),
        Script::Act | Script::Silence | Script::Middlebox => (IDLE_ASIDE_MS, Way::Close),
    };
    let addresses = match way {
        // Each lane has a process of its own, so that one death is one lane's.
        Way::Kill => group.lanes.iter().map(|(_, endpoint)| *endpoint).collect(),
        _ => vec![SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, BACKEND_PORT)],
    };
    let backends = Backends::start(&lab.backend_side.door(), &addresses, closing, idle_ms)?;
    lab.backend_side.run(|| wait_for(&group.lanes))??;
    let relay = way
        .is_relayed()
        .then(|| Relay::start(&lab.proxy_side, BACKEND_PORT))
        .transpose()?;
    let routes = routes(&group, way);
    if relay.is_some() {
        lab.proxy_side.run(|| wait_for(&routes))??;
    }
    let site = Site {
        namespace: &lab.proxy_side,
        port: client::PROXY_PORT,
        lanes: &routes,
        attempt_timeout: (way == Way::Silence).then_some(SILENCE_TIMEOUT),
        evenkeel,
        log: install::lanes_directory()?.join(format!("{}-{}.log", peer.name(), way.name())),
    };
    let proxy = peer.start(&site)?;
    lab.wire.forget();
    lab.wire.flows().with(|flows| flows.delay_fins(way.fin_delay()));
    let bar = progress_bar(
        &format!("{} {}", peer.name(), way.name()),
        group.enough * group.methods.len() as u64,
    );
    let conditions = Conditions {
        flows: lab.wire.flows(),
        delay: lab.wire.delay,
        limit: Duration::from_secs(args.max_time),
        stop,
        tell: &|raced| bar.set_position(raced),
    };
    let lanes = group.lanes.clone();
    let started = Instant::now();
    let ran: Ran = lab
        .proxy_side
        .run(|| client::run(vec![group], &conditions))??
        .remove(0);
    let took = started.elapsed();
    bar.finish_and_clear();
    // Read before proxy and backend end: what they close then belongs to no race.
    let facts = lab
        .wire
        .flows()
        .with(|flows| lanes.iter().map(|(_, lane)| flows.lane(*lane)).collect());
    drop((proxy, relay));
    let ledger = backends.finish();
    let run = RunReport::new(
        &peer.name(),
        &way.name(),
        way.meaning(),
        took,
        report::Facts {
            script: way.script(),
            delay: lab.wire.delay,
            ran,
            ledger,
            lanes: facts,
        },
    );
    Ok(if peer.is_evenkeel() {
        run.held_against(&bar::of(peer, way))
    } else {
        run
    })
}

/// The path and the endpoint of each route of the proxy's.
fn routes(group: &Group, way: Way) -> Vec<(String, SocketAddrV4)> {
    let mut routes = group.lanes.clone();
    if way.is_relayed() {
        for (_, endpoint) in &mut routes {
            *endpoint = relay::in_front_of(*endpoint);
        }
    }
    routes
}

fn group(args: &RaceArgs, way: Way, delay: Duration) -> Group {
    let script = way.script();
    // Each lane of `Kill` costs a process each time.
    let lanes = if way == Way::Kill {
        args.lanes.min(KILL_LANES_MAX)
    } else {
        args.lanes
    };
    let asked = |at: usize| {
        args.aim
            .get(at)
            .or(args.aim.first())
            .copied()
            .map(Duration::from_millis)
    };
    let aim = (
        asked(0).unwrap_or(AIM_BEFORE),
        // Whatever is sent before the close can have been heard of may cross it.
        asked(1).unwrap_or(2 * delay + AIM_BEYOND),
    );
    Group {
        script,
        act: (script == Script::Act).then(|| way.name()),
        lanes: (0..usize::from(lanes))
            .map(|lane| (format!("/lane/{lane}"), net::lane_address(lane, BACKEND_PORT)))
            .collect(),
        methods: args.methods.clone(),
        enough: match script {
            Script::Aim | Script::Steady => args.hits,
            Script::Act => args.acts,
            // Each costs the attempt's whole timeout, or a connection that a middlebox forgot.
            Script::Silence | Script::Middlebox => args.acts.min(SILENT_ENOUGH),
        },
        idle: Duration::from_millis(args.idle),
        aim,
        echoes: true,
        // Without proof a request is repeated only if evenkeel kept all of it (replayBuffer, 64 KiB).
        body_bytes_max: if way == Way::Proxied {
            KEPT_WHOLE
        } else {
            usize::MAX
        },
    }
}

fn wait_for(lanes: &[(String, SocketAddrV4)]) -> Fallible<()> {
    let deadline = Instant::now() + Duration::from_secs(20);
    for (_, endpoint) in lanes {
        while TcpStream::connect(endpoint).is_err() {
            if Instant::now() > deadline {
                return Err("the lab's backend does not listen".into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    Ok(())
}

/// A bar that counts raced requests.
pub(crate) fn progress_bar(name: &str, length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:24} {bar:30} {pos}/{len} raced, {elapsed}, {eta} left");
    let bar = ProgressBar::new(length).with_message(name.to_owned());
    style.map_or_else(|_| bar.clone(), |style| bar.clone().with_style(style))
}

/// Lanes need more descriptors than a shell allows; what can not be had shows as a failed connection.
pub(crate) fn raise_descriptor_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

const BACKEND_PORT: u16 = 9000;
/// The larger of the usual bodies.
const KEPT_WHOLE: usize = 40_000;
const AIM_BEFORE: Duration = Duration::from_millis(12);
const AIM_BEYOND: Duration = Duration::from_millis(2);
/// The backend's idle timeout where it is not what is raced.
const IDLE_ASIDE_MS: u64 = 30_000;
/// How long an attempt may take where the wire falls silent.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(2);
const SILENT_ENOUGH: u64 = 500;
const KILL_LANES_MAX: u16 = 60;
