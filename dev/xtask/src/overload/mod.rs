//! `cargo xtask bench overload`: a slow or failing endpoint, and what becomes of everybody else. evenkeel
//! as it comes out of the box, beside its peers as their manuals recommend.

mod alarms;
mod endpoint;
mod load;
mod peers;
mod report;
mod scenario;
mod shots;
mod stage;

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use crate::race::{self, Format, OutputArgs, install, signals};
use crate::step::again_optimised;
use crate::{Fallible, Verdict};
use peers::Peer;
use report::{Report, Row};
use scenario::{Act, Scenario};
use stage::{Cores, Pace, Stage};

/// What to run.
#[derive(Args, Clone, Debug)]
pub(crate) struct OverloadArgs {
    /// Scenarios; by default all
    scenarios: Vec<Scenario>,
    /// Only these proxies
    #[arg(long, value_delimiter = ',', default_value = "evenkeel,haproxy,nginx,envoy")]
    only: Vec<Peer>,
    /// Shorter stalls: shows that all of it works
    #[arg(long)]
    quick: bool,
    /// evenkeel's program; by default it is built
    #[arg(long)]
    evenkeel: Option<PathBuf>,
    /// The folder to write overload.md and overload.json to; by default docs/results after a whole run
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Runs what was asked for. A peer that can not run is skipped, and said so.
///
/// # Errors
/// When evenkeel does not build, or results can not be written.
pub(crate) fn run(args: &OverloadArgs) -> Fallible<Verdict> {
    if cfg!(debug_assertions) {
        return again_optimised();
    }
    race::raise_descriptor_limit();
    let stop = signals::stop_on_signal()?;
    let evenkeel = program(args)?;
    let mut report = Report::new();
    let peers = installed(&args.only, &evenkeel, &mut report);
    let pace = if args.quick { Pace::QUICK } else { Pace::FULL };
    let acts = acts(args, &peers, &pace, &mut report);
    let cores = Cores::find()?;
    // Only now, as what was built and installed had better use all cores.
    cores.leave_the_first()?;
    let bar = progress_bar(
        acts.iter()
            .map(|(act, peer)| act.span(&pace) * act.plays(*peer))
            .sum(),
    );
    for (act, peer) in acts {
        if stop.load(Ordering::SeqCst) {
            report.skip(&act.name(), peer, "a signal ended the run");
            continue;
        }
        bar.set_message(format!("{}: {}", peer.name(), act.name()));
        let log = format!("overload-{}-{}.log", peer.name(), act.slug());
        let log = install::lanes_directory()?.join(log);
        let play = || {
            stage::on_stage(async |alarms| {
                let stage = Stage {
                    peer,
                    pace,
                    evenkeel: &evenkeel,
                    log: &log,
                    cores: &cores,
                    alarms,
                };
                act.play(&stage).await
            })
        };
        let played = match act.plays(peer) {
            _ if args.quick => play(),
            1 => quietly(play),
            plays => (0..plays)
                .map(|_| quietly(play))
                .collect::<Fallible<Vec<Row>>>()
                .map(Row::median),
        };
        match played {
            Ok(row) => {
                tell(&bar, &row.line());
                report.add(row);
            }
            Err(why) => {
                tell(&bar, &format!("{}: {}: {why}", peer.name(), act.name()));
                report.skip(&act.name(), peer, &why.to_string());
            }
        }
        bar.inc((act.span(&pace) * act.plays(peer)).as_secs());
    }
    bar.finish_and_clear();
    print!("{}", report.markdown());
    if let Some(directory) = directory(args) {
        report.write(&directory)?;
    }
    Ok(report.verdict())
}

fn program(args: &OverloadArgs) -> Fallible<PathBuf> {
    let output = OutputArgs {
        format: Format::Table,
        out: None,
        evenkeel: args.evenkeel.clone(),
    };
    output.program(args.only.contains(&Peer::Evenkeel))
}

fn installed(peers: &[Peer], evenkeel: &Path, report: &mut Report) -> Vec<Peer> {
    let mut installed = Vec::new();
    for peer in peers {
        match peer.ensure_installed(evenkeel) {
            Ok(release) => {
                report.note_release(*peer, &release);
                installed.push(*peer);
            }
            Err(why) => report.skip("everything", *peer, &why.to_string()),
        }
    }
    installed
}

/// Plays once more if something else on the machine kept the load from its time, and takes the quieter of
/// the two.
fn quietly(play: impl Fn() -> Fallible<Row>) -> Fallible<Row> {
    let first = play()?;
    if first.load_late_ms <= LATE_MAX_MS {
        return Ok(first);
    }
    let second = play()?;
    Ok(if second.load_late_ms < first.load_late_ms {
        second
    } else {
        first
    })
}

/// What is run, in order: one proxy after the other in each act, so that all meet much the same machine.
fn acts(args: &OverloadArgs, peers: &[Peer], pace: &Pace, report: &mut Report) -> Vec<(Act, Peer)> {
    let all = Scenario::value_variants();
    let scenarios = if args.scenarios.is_empty() {
        all
    } else {
        &args.scenarios
    };
    let mut acts = Vec::new();
    for scenario in scenarios {
        for act in scenario.acts(Peer::Evenkeel, pace) {
            let takes_part = |peer: &&Peer| scenario.acts(**peer, pace).contains(&act);
            for peer in peers.iter().filter(takes_part) {
                match act.is_beyond(*peer) {
                    Some(why) => report.skip(&act.name(), *peer, why),
                    None => acts.push((act, *peer)),
                }
            }
        }
    }
    acts
}

/// Where results go: a part of them, or quick ones, must not take the place of a whole run's.
fn directory(args: &OverloadArgs) -> Option<PathBuf> {
    let whole = args.scenarios.is_empty() && !args.quick && args.only.len() == Peer::value_variants().len();
    let usual = whole.then(|| install::repository().join("docs/results"));
    args.out.clone().or(usual)
}

fn progress_bar(span: Duration) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} s, {eta} left  {wide_msg}");
    let bar = ProgressBar::new(span.as_secs());
    style.map_or_else(|_| bar.clone(), |style| bar.clone().with_style(style))
}

/// Above the bar, or plainly where there is no terminal to draw it on.
fn tell(bar: &ProgressBar, line: &str) {
    bar.suspend(|| eprintln!("{line}"));
}

/// 99 of 100 requests are sent within this, in milliseconds, where nothing else disturbs.
const LATE_MAX_MS: f64 = 1.0;
