//! `cargo xtask real`: the same race against real servers at their defaults, all at once.

mod reloads;
mod servers;
mod timers;

use std::net::SocketAddrV4;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use clap::Args;

use crate::race::client::{self, Conditions, Group};
use crate::race::net::{Lab, lane_address};
use crate::race::peers::{Peer, Site};
use crate::race::plan::Method;
use crate::race::report::{Facts, LabReport, RunReport};
use crate::race::{self, OutputArgs, bar, install, signals};
use crate::{Fallible, Verdict};
use servers::{RunningServer, Server};

/// What to race.
#[derive(Args, Clone, Debug)]
pub(crate) struct RealArgs {
    /// Servers
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "node,uvicorn,gunicorn,nginx,nginx-2s,apache,go,hypercorn,puma,jetty,tomcat,lighttpd,h2o,uwsgi"
    )]
    servers: Vec<Server>,
    /// The proxy
    #[arg(long, default_value = "evenkeel-on")]
    peer: Peer,
    /// Methods
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "GET,POST,POST-chunked,PUT,DELETE"
    )]
    methods: Vec<Method>,
    /// In-window requests of each server, shared by the methods
    #[arg(long, default_value_t = 2_500)]
    hits: u64,
    /// The longest time, in seconds
    #[arg(long, default_value_t = 290)]
    max_time: u64,
    /// Lanes of each server
    #[arg(long, default_value_t = 250, value_parser = clap::value_parser!(u16).range(1..=400))]
    lanes: u16,
    /// The wire's one-way delay, in milliseconds
    #[arg(long, default_value_t = 5)]
    delay: u64,
    /// Reload servers under POSTs instead, by evenkeel and by nginx at once
    #[arg(long, conflicts_with_all = ["quick", "timers"])]
    reloads: bool,
    /// Measure instead when each server closes an idle connection, and how
    #[arg(long, conflicts_with = "quick")]
    timers: bool,
    #[command(flatten)]
    load: reloads::LoadArgs,
    /// A few hundred requests: under a minute, without the servers that wait longest
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs what was asked for.
///
/// # Errors
/// When the lab can not be built or the proxy does not start. A server that can not run is skipped, and
/// said so.
pub(crate) fn run(args: &RealArgs) -> Fallible<Verdict> {
    let args = args.clone().quickened();
    race::raise_descriptor_limit();
    if args.timers {
        return timers::run(&args);
    }
    if args.reloads {
        return reloads::run(&args);
    }
    let stop = signals::stop_on_signal()?;
    let lab = Lab::new(Duration::from_millis(args.delay))?;
    let evenkeel = args.output.program(args.peer.is_evenkeel())?;
    args.peer.ensure_installed()?;
    let mut report = LabReport::new(args.delay, 0, args.lanes);
    let mut running: Vec<(Server, RunningServer)> = Vec::new();
    for server in &args.servers {
        match server.start(&lab.backend_side, &[]) {
            Ok(started) => running.push((*server, started)),
            Err(why) => report.skip(&server.name(), &why.to_string()),
        }
    }
    if !running.is_empty() && !stop.load(Ordering::SeqCst) {
        let groups: Vec<Group> = running
            .iter()
            .enumerate()
            .map(|(index, (server, _))| group(&args, index, *server))
            .collect();
        let lanes: Vec<(String, SocketAddrV4)> =
            groups.iter().flat_map(|group| group.lanes.clone()).collect();
        let proxy = args.peer.start(&Site {
            namespace: &lab.proxy_side,
            port: client::PROXY_PORT,
            lanes: &lanes,
            attempt_timeout: None,
            evenkeel: &evenkeel,
            log: install::lanes_directory()?.join(format!("{}-real.log", args.peer.name())),
        })?;
        let asked = groups
            .iter()
            .map(|group| group.enough * group.methods.len() as u64)
            .sum();
        let progress = race::progress_bar(&format!("{} real", args.peer.name()), asked);
        let conditions = Conditions {
            flows: lab.wire.flows(),
            delay: lab.wire.delay,
            limit: Duration::from_secs(args.max_time),
            stop: &stop,
            tell: &|raced| progress.set_position(raced),
        };
        let started = Instant::now();
        let ran = lab.proxy_side.run(|| client::run(groups, &conditions))??;
        let took = started.elapsed();
        progress.finish_and_clear();
        let mut facts = lab.wire.flows().with(|flows| {
            lanes
                .iter()
                .map(|(_, endpoint)| flows.lane(*endpoint))
                .collect::<Vec<_>>()
                .into_iter()
        });
        drop(proxy);
        for ((server, started), ran) in running.into_iter().zip(ran) {
            let facts = Facts {
                script: server.script(),
                delay: lab.wire.delay,
                ran,
                ledger: started.finish()?,
                lanes: facts.by_ref().take(usize::from(args.lanes)).collect(),
            };
            let run = RunReport::new(&args.peer.name(), &server.name(), server.meaning(), took, facts);
            report.runs.push(if args.peer.is_evenkeel() {
                run.held_against(&bar::of_real())
            } else {
                run
            });
        }
    }
    drop(lab);
    args.output.write(&report)?;
    Ok(report.verdict())
}

impl RealArgs {
    fn quickened(mut self) -> Self {
        if self.quick {
            self.servers.retain(|server| server.is_quick());
            (self.hits, self.max_time, self.lanes) = (300, 22, 150);
        }
        self
    }
}

fn group(args: &RealArgs, index: usize, server: Server) -> Group {
    let first = index * usize::from(args.lanes);
    let lanes = (0..usize::from(args.lanes))
        .map(|lane| {
            (
                format!("/{}/{lane}", server.name()),
                lane_address(first + lane, server.port()),
            )
        })
        .collect();
    // It closes after 75 s: what is to be seen there is seen after a few of them.
    let hits = if server == Server::Nginx {
        args.hits.min(LONG_HITS)
    } else {
        args.hits
    };
    Group {
        script: server.script(),
        act: None,
        lanes,
        methods: args.methods.clone(),
        enough: hits.div_ceil(args.methods.len().max(1) as u64),
        idle: server.idle(),
        aim: (AIM, AIM),
        echoes: server.echoes(),
        body_bytes_max: BODY_BYTES_MAX,
    }
}

const AIM: Duration = Duration::from_millis(10);
/// Below the limits that servers put on bodies by default.
const BODY_BYTES_MAX: usize = 40_000;
const LONG_HITS: u64 = 200;
