//! `cargo xtask instructions`: how many instructions each step of the hot path takes, counted under
//! callgrind and held against what was accepted.
//!
//! Counts hardly depend on what else the machine does, so a small rise is told apart from noise,
//! which no timing on a shared machine can do. They do depend on the processor's kind, since memory
//! is copied by other routines where there are other vectors: elsewhere nothing is compared.

mod report;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;
use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};

use crate::race::install::{is_program, repository};
use crate::step::{Outcome, apt, cargo, run};
use crate::{Fallible, Verdict};

/// What was accepted, from the repository's root.
const ACCEPTED: &str = "docs/results/instructions.json";

/// The function in which `dev/bench` takes the step that is counted.
const COUNTED: &str = "*counted_rounds*";

/// `cargo xtask instructions`.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct InstructionsArgs {
    /// Take the counts of now for the accepted ones
    #[arg(long)]
    accept: bool,
}

/// What was counted on which kind of machine.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
struct Counts {
    machine: String,
    steps: BTreeMap<String, u64>,
}

/// Counts and compares.
///
/// # Errors
/// The accepted counts cannot be read or written.
pub(crate) fn instructions(args: InstructionsArgs) -> Fallible<Verdict> {
    match outcome(args.accept)? {
        Outcome::Passed => Ok(Verdict::Passed),
        Outcome::Failed => Ok(Verdict::Failed),
        Outcome::Skipped(why) => {
            println!("SKIPPED: {why}");
            Ok(Verdict::Passed)
        }
    }
}

/// As [`instructions`], as a step among others.
pub(crate) fn step() -> Outcome {
    outcome(false).unwrap_or_else(|why| {
        eprintln!("{why}");
        Outcome::Failed
    })
}

fn outcome(accept: bool) -> Fallible<Outcome> {
    if !has_valgrind() {
        return Ok(Outcome::Skipped("valgrind is not to be had here".to_owned()));
    }
    let file = repository().join(ACCEPTED);
    let accepted: Option<Counts> = match std::fs::read(&file) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).map_err(|why| format!("{ACCEPTED}: {why}"))?),
        Err(_) => None,
    };
    if let Some(Counts { machine: theirs, .. }) = &accepted
        && *theirs != machine()
        && !accept
    {
        return Ok(Outcome::Skipped(format!(
            "the accepted counts are of {theirs}, this is {}",
            machine()
        )));
    }
    let program = build()?;
    let (order, counted) = count(&program)?;
    let before = accepted.map(|accepted| accepted.steps).unwrap_or_default();
    let (table, verdict) = report::compare(&order, &before, &counted.steps);
    print!("{table}");
    if accept {
        let mut text = serde_json::to_string_pretty(&counted)?;
        text.push('\n');
        std::fs::write(&file, text)?;
        println!("accepted in {ACCEPTED}");
        return Ok(Outcome::Passed);
    }
    Ok(match verdict {
        Verdict::Passed => Outcome::Passed,
        Verdict::Failed => Outcome::Failed,
    })
}

/// Builds the steps as what is shipped is built, but for its profile of real traffic.
fn build() -> Fallible<PathBuf> {
    let mut command = cargo(&[
        "build",
        "--profile",
        "plain",
        "--locked",
        "--quiet",
        "--package",
        "bench",
        "--message-format=json-render-diagnostics",
    ]);
    let output = command
        .current_dir(repository())
        // An incremental build cuts crates into many units, whose code is dearer by one percent or two.
        .env("CARGO_INCREMENTAL", "0")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err("the benchmark does not build".into());
    }
    String::from_utf8(output.stdout)?
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find_map(|message| {
            let ours = message["target"]["name"] == "instructions";
            message["executable"].as_str().filter(|_| ours).map(PathBuf::from)
        })
        .ok_or_else(|| "cargo does not say where the benchmark is".into())
}

/// Takes each step under callgrind. The names in the steps' own order, and the counts of one round.
fn count(program: &Path) -> Fallible<(Vec<String>, Counts)> {
    let list = Command::new(program).arg("--list").output()?;
    let list = String::from_utf8(list.stdout)?;
    let (rounds, names) = list.split_once('\n').ok_or("the benchmark lists no steps")?;
    let rounds: u64 = rounds.parse()?;
    let folder = tempfile::tempdir()?;
    let profile = folder.path().join("callgrind.out");
    let mut steps = BTreeMap::new();
    for name in names.lines() {
        let mut valgrind = Command::new("valgrind");
        valgrind
            .args(["--tool=callgrind", "--quiet"])
            .arg(format!("--toggle-collect={COUNTED}"))
            .arg(format!("--callgrind-out-file={}", profile.display()))
            .arg(program)
            .arg(name);
        if run(valgrind) != Outcome::Passed {
            return Err(format!("callgrind could not count {name:?}").into());
        }
        let total =
            report::total(&std::fs::read_to_string(&profile)?).ok_or("callgrind's output has no total")?;
        steps.insert(name.to_owned(), total / rounds);
    }
    let counts = Counts {
        machine: machine(),
        steps,
    };
    Ok((names.lines().map(str::to_owned).collect(), counts))
}

/// What the counts depend on besides the code.
fn machine() -> String {
    #[cfg(target_arch = "x86_64")]
    let vectors = if std::arch::is_x86_feature_detected!("avx2") {
        " with AVX2"
    } else {
        ""
    };
    #[cfg(not(target_arch = "x86_64"))]
    let vectors = "";
    format!("{}{vectors}", std::env::consts::ARCH)
}

/// Whether valgrind is there, installed where we may.
fn has_valgrind() -> bool {
    if is_program("valgrind") {
        return true;
    }
    if !geteuid().is_root() || !is_program("apt-get") {
        return false;
    }
    apt(&["update"]);
    apt(&["install", "-y", "--no-install-recommends", "valgrind"]) == Outcome::Passed
}
