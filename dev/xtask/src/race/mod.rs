//! `cargo xtask race`: the keep-alive race, run on purpose. docs/race.md explains it.

mod args;
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
mod team;
mod wire;

use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

pub(crate) use args::{Format, OutputArgs, RaceArgs};
pub(crate) use backend::{BackendArgs, run as run_backend};
pub(crate) use relay::{RelayArgs, run as run_relay};

use client::{Conditions, Group, Ran};
use ledger::{Backends, Ledger};
use net::Lab;
use peers::{Peer, RunningPeer, Site};
use plan::{Script, Way};
use relay::Relay;
use report::{LabReport, RunReport};
use signals::Stop;

use crate::{Fallible, Verdict};

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
    let mut report = LabReport::new(
        args.delay.first().copied().unwrap_or_default(),
        args.idle,
        args.lanes,
    );
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

fn race(
    lab: &Lab,
    args: &RaceArgs,
    peer: Peer,
    way: Way,
    evenkeel: &Path,
    stop: &Stop,
) -> Fallible<RunReport> {
    let delay = if way.is_local() {
        LOCAL_DELAY
    } else {
        lab.wire.delay
    };
    let group = group(args, way, delay);
    let stage = Stage::set_up(lab, args, (peer, way), &group, evenkeel)?;
    lab.wire.forget();
    lab.wire.flows().with(|flows| flows.delay_fins(way.fin_delay()));
    let bar = progress_bar(
        &format!("{} {}", peer.name(), way.name()),
        group.enough * group.methods.len() as u64,
    );
    let conditions = Conditions {
        flows: lab.wire.flows(),
        delay,
        limit: Duration::from_secs(args.max_time),
        stop,
        tell: &|raced| bar.set_position(raced),
    };
    let mut lanes = group.lanes.clone();
    lanes.dedup();
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
    let ledger = stage.finish();
    let run = RunReport::new(
        &peer.name(),
        &way.name(),
        way.meaning(),
        took,
        report::Facts {
            script: way.script(),
            delay,
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

/// What a run needs besides the lab. Dropping it ends it, the proxy first.
struct Stage {
    proxy: RunningPeer,
    relay: Option<Relay>,
    backends: Backends,
    // Kept for its drop, which removes the sockets.
    _sockets: tempfile::TempDir,
}

impl Stage {
    fn set_up(
        lab: &Lab,
        args: &RaceArgs,
        (peer, way): (Peer, Way),
        group: &Group,
        evenkeel: &Path,
    ) -> Fallible<Self> {
        let (idle_ms, closing) = match way.script() {
            Script::Steady if way == Way::YoungReset => (IDLE_ASIDE_MS, way),
            Script::Aim | Script::Steady => (args.idle, way),
            Script::Act | Script::Silence | Script::Middlebox | Script::Team(_) => {
                (IDLE_ASIDE_MS, Way::Close)
            }
        };
        let addresses = match way {
            // Each lane has a process of its own, so that one death is one lane's.
            Way::Kill => group.lanes.iter().map(|(_, endpoint)| *endpoint).collect(),
            _ => vec![SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, BACKEND_PORT)],
        };
        let directory = tempfile::tempdir()?;
        let locals = if way.is_local() { group.lanes.len() } else { 0 };
        let sockets: Vec<PathBuf> = (0..locals)
            .map(|lane| directory.path().join(format!("{lane}.sock")))
            .collect();
        let door = lab.backend_side.door();
        let backends = Backends::start_on(&door, &addresses, &sockets, closing, idle_ms)?;
        if way.is_local() {
            wait_for_all(&sockets, |path| UnixStream::connect(path).is_ok())?;
        } else {
            lab.backend_side.run(|| wait_for(&group.lanes))??;
        }
        let relay = way
            .is_relayed()
            .then(|| Relay::start(&lab.proxy_side, BACKEND_PORT))
            .transpose()?;
        let routes = routes(group, way);
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
        let proxy = peer.start_on(&site, &sockets)?;
        Ok(Self {
            proxy,
            relay,
            backends,
            _sockets: directory,
        })
    }

    /// Ends it and gives the whole ledger.
    fn finish(self) -> Ledger {
        drop((self.proxy, self.relay));
        self.backends.finish()
    }
}

/// The path and the endpoint of each route of the proxy's.
fn routes(group: &Group, way: Way) -> Vec<(String, SocketAddrV4)> {
    let mut routes = group.lanes.clone();
    routes.dedup();
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
            .map(|lane| lane / way.team())
            .map(|lane| (format!("/lane/{lane}"), net::lane_address(lane, BACKEND_PORT)))
            .collect(),
        methods: args.methods.clone(),
        enough: match script {
            Script::Aim | Script::Steady => args.hits,
            Script::Act => args.acts,
            // Each costs the attempt's whole timeout, or a connection that a middlebox forgot.
            Script::Silence | Script::Middlebox => args.acts.min(SILENT_ENOUGH),
            Script::Team(_) => args.hits.min(TEAM_ENOUGH),
        },
        idle: Duration::from_millis(args.idle),
        aim,
        echoes: true,
        // Without proof a request is repeated only if evenkeel kept all of it (replayBuffer, 64 KiB).
        body_bytes_max: match script {
            Script::Team(_) => KEPT_WHOLE,
            _ if way.is_relayed() => KEPT_WHOLE,
            _ => usize::MAX,
        },
    }
}

fn wait_for(lanes: &[(String, SocketAddrV4)]) -> Fallible<()> {
    wait_for_all(lanes, |(_, endpoint)| TcpStream::connect(endpoint).is_ok())
}

fn wait_for_all<T>(endpoints: &[T], listens: impl Fn(&T) -> bool) -> Fallible<()> {
    let deadline = Instant::now() + Duration::from_secs(20);
    for endpoint in endpoints {
        while !listens(endpoint) {
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
/// Taken for the length of a path that has none: so late, at most, a close is seen.
const LOCAL_DELAY: Duration = Duration::from_millis(1);
const AIM_BEFORE: Duration = Duration::from_millis(12);
const AIM_BEYOND: Duration = Duration::from_millis(2);
/// The backend's idle timeout where it is not what is raced.
const IDLE_ASIDE_MS: u64 = 30_000;
/// How long an attempt may take where the wire falls silent.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(2);
const SILENT_ENOUGH: u64 = 500;
const TEAM_ENOUGH: u64 = 2_000;
const KILL_LANES_MAX: u16 = 60;
