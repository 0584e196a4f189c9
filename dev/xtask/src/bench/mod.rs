//! `cargo xtask bench`: what a request costs, beside the peers. docs/performance.md explains it.

mod bars;
mod client;
mod endpoint;
mod facts;
mod fairness;
mod floor;
mod line;
mod load;
mod message;
mod open;
mod peers;
mod plan;
mod plot;
mod poll;
mod proc;
mod report;
mod rig;
mod strace;
mod table;
mod training;

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Instant;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use endpoint::Endpoint;
use facts::Facts;
pub(crate) use floor::{FloorArgs, run as run_floor};
use line::Line;
use peers::{Peer, Programs};
use plan::{Kind, ROUTES, Scenario};
use report::{BenchReport, Measured, Sample, ScenarioReport};
use rig::{Pace, Rig};
pub(crate) use training::train;

use crate::race::signals::{Stop, stop_on_signal};
use crate::race::{install, raise_descriptor_limit};
use crate::step::{self, Outcome, again_optimised, cargo};
use crate::{Fallible, Verdict, dist};

/// What to measure.
#[derive(Args, Clone, Debug)]
pub(crate) struct BenchArgs {
    /// Scenarios; all of them by default
    scenarios: Vec<Scenario>,
    /// Proxies
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "evenkeel,haproxy,haproxy+h,haproxy+splice,nginx,envoy,pingora,floor"
    )]
    peers: Vec<Peer>,
    /// Rounds; in each of them every proxy has its turn
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// One short round, to see that everything works; its figures mean little, and no bar is held against it
    #[arg(long)]
    quick: bool,
    /// evenkeel's program; by default the one that `cargo xtask dist` makes, which takes minutes where it is
    /// missing or older than its sources
    #[arg(long)]
    evenkeel: Option<PathBuf>,
    /// Measure the program that `cargo build --profile plain` makes, as a quick run does
    #[arg(long, conflicts_with = "evenkeel")]
    release: bool,
    /// Where bench.md, bench.json and bench.svg go; by default docs/results for a full run, and the build
    /// directory for any other
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Measures what was asked for.
///
/// # Errors
/// When this machine can not be measured on. A peer that can not run is left out, and said so.
pub(crate) fn run(args: &BenchArgs) -> Fallible<Verdict> {
    if cfg!(debug_assertions) {
        return again_optimised();
    }
    let begin = Instant::now();
    raise_descriptor_limit();
    // Builds end at a signal by themselves; only what follows has to be told.
    let programs = args.programs()?;
    let stop = stop_on_signal()?;
    let mut skipped = Vec::new();
    let peers = args.installed_peers(&mut skipped);
    // Only now: what was built above may use every core.
    proc::pin(&[proc::LOAD_CORE])?;
    let rig = Rig {
        endpoint: Endpoint::start(&[proc::LOAD_CORE], ROUTES)?,
        programs,
        pace: if args.quick { Pace::QUICK } else { Pace::FULL },
    };
    let rounds = if args.quick { 1 } else { args.rounds.max(1) };
    let mut report = BenchReport {
        facts: Facts::gather(&peers, &rig.programs, args.remark()),
        rounds,
        quick: args.quick,
        seconds: 0,
        bars: Vec::new(),
        scenarios: Vec::new(),
        skipped,
    };
    let scenarios = args.scenarios();
    let mut bench = Bench {
        bar: progress_bar(&scenarios, &peers, rounds),
        redos_left: if args.quick { 0 } else { REDOS_MAX },
        rig,
        peers,
        rounds,
        stop,
    };
    for scenario in scenarios {
        if scenario == Scenario::Syscalls
            && let Err(why) = strace::ensure_installed()
        {
            report.skipped.push(format!("syscalls: {why}"));
            continue;
        }
        let measured = bench.measure(scenario);
        bench.bar.suspend(|| eprintln!("{}", table::section(&measured)));
        report.scenarios.push(measured);
    }
    bench.bar.finish_and_clear();
    if bench.is_stopped() {
        return Err("ended early, so nothing is written".into());
    }
    report.seconds = begin.elapsed().as_secs();
    report.judge();
    args.write(&report)?;
    Ok(report.verdict())
}

impl BenchArgs {
    fn scenarios(&self) -> Vec<Scenario> {
        if self.scenarios.is_empty() {
            Scenario::value_variants().to_vec()
        } else {
            self.scenarios.clone()
        }
    }

    /// Whether the program that is shipped is measured: then `small` has the plain build beside it.
    fn is_shipped(&self) -> bool {
        let ours = self.peers.contains(&Peer::Evenkeel) && self.evenkeel.is_none();
        ours && !self.release && !self.quick
    }

    /// Our programs, of which those that take part are built first, unless they were given.
    fn programs(&self) -> Fallible<Programs> {
        let peers = self.peers();
        let release = dist::target_directory()?.join("plain/evenkeel");
        let evenkeel = match &self.evenkeel {
            // Absolute, as it is started from elsewhere.
            Some(path) => std::path::absolute(path)?,
            None if self.is_shipped() => dist::program()?,
            None => release.clone(),
        };
        let is_asked = peers.contains(&Peer::EvenkeelRelease)
            || (peers.contains(&Peer::Evenkeel) && self.evenkeel.is_none() && !self.is_shipped());
        if is_asked
            && step::run(cargo(&[
                "build",
                "--profile",
                "plain",
                "--quiet",
                "-p",
                "evenkeel",
            ])) != Outcome::Passed
        {
            return Err("evenkeel does not build; name a program with --evenkeel, or other --peers".into());
        }
        Ok(Programs { evenkeel, release })
    }

    /// What the version of the program that is measured as evenkeel does not say: one that was given need not
    /// be of the working tree's commit.
    fn remark(&self) -> &'static str {
        match (&self.evenkeel, self.is_shipped()) {
            (Some(_), _) => " (a program that was given)",
            (None, true) => " (as shipped: cargo xtask dist)",
            (None, false) => " (cargo build --profile plain)",
        }
    }

    fn peers(&self) -> Vec<Peer> {
        let mut peers = self.peers.clone();
        if self.is_shipped() && !peers.contains(&Peer::EvenkeelRelease) {
            peers.push(Peer::EvenkeelRelease);
        }
        peers
    }

    fn installed_peers(&self, skipped: &mut Vec<String>) -> Vec<Peer> {
        let mut peers = self.peers();
        peers.retain(|peer| match peer.ensure_installed() {
            Ok(()) => true,
            Err(why) => {
                eprintln!("skipped {}: {why}", peer.name());
                skipped.push(format!("{}: {why}", peer.name()));
                false
            }
        });
        peers
    }

    /// Where results go: only a full run may replace what the repository tells.
    fn directory(&self) -> Fallible<PathBuf> {
        if let Some(out) = &self.out {
            return Ok(out.clone());
        }
        if self.quick || !self.scenarios.is_empty() || self.rounds < FULL_ROUNDS {
            return Ok(install::lanes_directory()?.join("bench"));
        }
        Ok(install::repository().join("docs/results"))
    }

    fn write(&self, report: &BenchReport) -> Fallible<()> {
        let directory = self.directory()?;
        std::fs::create_dir_all(&directory)?;
        let text = table::render(report);
        std::fs::write(directory.join("bench.md"), &text)?;
        std::fs::write(
            directory.join("bench.json"),
            serde_json::to_string_pretty(report)? + "\n",
        )?;
        std::fs::write(directory.join("bench.svg"), plot::render(report))?;
        println!("{text}");
        eprintln!(
            "written: bench.md, bench.json, bench.svg in {}",
            directory.display()
        );
        Ok(())
    }
}

/// A call under way.
struct Bench {
    rig: Rig,
    peers: Vec<Peer>,
    rounds: usize,
    stop: Stop,
    bar: ProgressBar,
    /// How many more runs may be made again.
    redos_left: usize,
}

impl Bench {
    /// All rounds of one scenario. Lines take turns within a round, and each round begins with another.
    fn measure(&mut self, scenario: Scenario) -> ScenarioReport {
        let lines = scenario.lines(&self.peers);
        let mut report = ScenarioReport::new(scenario, &lines);
        // What is measured without a proxy stays first: the others of its round are told as what they add.
        let first = lines.iter().filter(|line| line.set_up.is_none()).count();
        for round in 0..scenario.rounds(self.rounds) {
            let mut order: Vec<usize> = (0..lines.len()).collect();
            if let Some(turned) = order.get_mut(first..).filter(|turned| !turned.is_empty()) {
                turned.rotate_left(round % (lines.len() - first));
            }
            let mut direct = None;
            for index in order {
                if self.is_stopped() {
                    return report;
                }
                let line = &lines[index];
                self.bar.set_message(format!("{} {}", scenario.name(), line.name));
                match self.measure_quietly(scenario.kind(), line, direct, round) {
                    Ok(sample) => {
                        if let (None, Measured::Latency(latency)) = (line.set_up, &sample.measured) {
                            direct = Some(latency.seen);
                        }
                        report.lines[index].samples.push(sample);
                    }
                    Err(why) => report.lines[index].failures.push(why.to_string()),
                }
                self.bar.inc(1);
            }
        }
        report
    }

    /// One run, made again while others use too much of the proxy's core; the quietest one counts.
    fn measure_quietly(
        &mut self,
        kind: Kind,
        line: &Line,
        direct: Option<open::Quantiles>,
        round: usize,
    ) -> Fallible<Sample> {
        let mut sample = Sample {
            round,
            redone: 0,
            measured: self.rig.measure(kind, line, direct)?,
        };
        let others = |measured: &Measured| measured.others().unwrap_or(0.0);
        while others(&sample.measured) > OTHERS_MAX
            && sample.redone < REDOS_OF_A_RUN
            && self.redos_left > 0
            && !self.is_stopped()
        {
            let again = self.rig.measure(kind, line, direct)?;
            sample.redone += 1;
            self.redos_left -= 1;
            if others(&again) < others(&sample.measured) {
                sample.measured = again;
            }
        }
        Ok(sample)
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }
}

fn progress_bar(scenarios: &[Scenario], peers: &[Peer], rounds: usize) -> ProgressBar {
    let runs = scenarios
        .iter()
        .map(|scenario| scenario.lines(peers).len() * scenario.rounds(rounds));
    let bar = ProgressBar::new(runs.sum::<usize>() as u64);
    let style = ProgressStyle::with_template("{msg:30} {bar:30} {pos}/{len} runs, {elapsed}, {eta} left");
    style.map_or_else(|_| bar.clone(), |style| bar.clone().with_style(style))
}

/// From here on a run is a full one.
const FULL_ROUNDS: usize = 5;
/// The share of the proxy's core that others may use before a run is made again.
const OTHERS_MAX: f64 = 0.10;
/// How often one run is made again at most; then the machine is what it is.
const REDOS_OF_A_RUN: usize = 2;
/// How often in all: a full run shall end within 20 minutes.
const REDOS_MAX: usize = 30;
