//! What can be asked of the lab, and what it writes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::peers::Peer;
use super::plan::{Method, Way};
use super::report::LabReport;
use super::{install, table};
use crate::{Fallible, Verdict};

/// What to race.
#[derive(Args, Clone, Debug)]
pub(crate) struct RaceArgs {
    /// Ways in which the connection fails
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "w1,w2,w3,farewell,farewell-400,farewell-503,stale,late-fin,proxied,burst-reset,\
                         burst-silent,forgotten,young-rst,unix,a1,a2,a3,a4,a5,s1,s2,steady"
    )]
    pub(super) ways: Vec<Way>,
    /// Methods
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "GET,POST,POST-chunked,PUT,DELETE"
    )]
    pub(super) methods: Vec<Method>,
    /// Proxies and set-ups
    #[arg(long, value_delimiter = ',', default_value = "evenkeel-on,evenkeel-off")]
    pub(super) peers: Vec<Peer>,
    /// In-window requests of each method, where the backend closes idle connections
    #[arg(long, default_value_t = 10_000)]
    pub(super) hits: u64,
    /// Failed requests of each method, where the backend processes and then fails
    #[arg(long, default_value_t = 2_000)]
    pub(super) acts: u64,
    /// The longest time of one run, in seconds
    #[arg(long, default_value_t = 300)]
    pub(super) max_time: u64,
    /// Lanes: client connections, each with an endpoint of its own
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u16).range(1..=2000))]
    pub(super) lanes: u16,
    /// The backend's idle timeout, in milliseconds
    #[arg(long, default_value_t = 400)]
    pub(super) idle: u64,
    /// The wire's one-way delays, in milliseconds: each way is run with each (`proxied` with 20 at least)
    #[arg(long, value_delimiter = ',', default_value = "5")]
    pub(super) delay: Vec<u64>,
    /// How long before and after the backend's close requests are aimed to arrive, in milliseconds; by
    /// default 12, and the path there and back and 2 more
    #[arg(long, value_delimiter = ',', num_args = 1)]
    pub(super) aim: Vec<u64>,
    /// A few hundred requests of w1, w3, a1 and a2: under a minute
    #[arg(long)]
    pub(super) quick: bool,
    #[command(flatten)]
    pub(super) output: OutputArgs,
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

impl RaceArgs {
    /// Each way with each delay that it makes a difference for.
    pub(super) fn runs(&self) -> Vec<(Way, Duration)> {
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

    pub(super) fn quickened(mut self) -> Self {
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

    /// Writes a lane's own table, and says which bars it misses.
    ///
    /// # Errors
    /// When it can not be written.
    pub(crate) fn judge(&self, text: &str, missed: &[String]) -> Fallible<Verdict> {
        match &self.out {
            Some(path) => std::fs::write(path, text)?,
            None => print!("{text}"),
        }
        for missed in missed {
            eprintln!("MISSED  {missed}");
        }
        Ok(if missed.is_empty() {
            Verdict::Passed
        } else {
            Verdict::Failed
        })
    }
}
