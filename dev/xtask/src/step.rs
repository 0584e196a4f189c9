//! Steps of a longer command: each passes, fails or is skipped with its reason, and all are told
//! of in one table at the end.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::race::install::repository;
use crate::{Fallible, Verdict};

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It holds.
    Passed,
    /// It does not.
    Failed,
    /// It was not tried, and why.
    Skipped(String),
}

/// A step that was taken.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// What it was.
    pub(crate) name: String,
    /// What became of it.
    pub(crate) outcome: Outcome,
    /// How long it took.
    pub(crate) took: Duration,
}

/// The steps so far.
#[derive(Debug, Default)]
pub(crate) struct Steps(Vec<Step>);

impl Steps {
    /// Takes a step, announced by its name.
    pub(crate) fn take(&mut self, name: &str, step: impl FnOnce() -> Outcome) {
        eprintln!("\n== {name}");
        let begin = Instant::now();
        let outcome = step();
        if let Outcome::Skipped(why) = &outcome {
            eprintln!("skipped: {why}");
        }
        self.0.push(Step {
            name: name.to_owned(),
            outcome,
            took: begin.elapsed(),
        });
    }

    /// Whether nothing failed.
    pub(crate) fn hold(&self) -> bool {
        self.0.iter().all(|step| step.outcome != Outcome::Failed)
    }

    /// One line a step.
    pub(crate) fn table(&self) -> String {
        let width = self.0.iter().map(|step| step.name.len()).max().unwrap_or(0);
        self.0
            .iter()
            .map(|step| {
                let (word, why) = match &step.outcome {
                    Outcome::Passed => ("passed", ""),
                    Outcome::Failed => ("FAILED", ""),
                    Outcome::Skipped(why) => ("skipped", why.as_str()),
                };
                let line = format!(
                    "{:<width$}  {word:<7}  {:>6.1} s  {why}",
                    step.name,
                    step.took.as_secs_f64()
                );
                format!("{}\n", line.trim_end())
            })
            .collect()
    }
}

/// Runs a command in the repository's root and shows what it says.
pub(crate) fn run(mut command: Command) -> Outcome {
    command
        .current_dir(crate::race::install::repository())
        .stdin(Stdio::null());
    match command.status() {
        Ok(status) if status.success() => Outcome::Passed,
        Ok(_) => Outcome::Failed,
        Err(why) => {
            eprintln!("{command:?}: {why}");
            Outcome::Failed
        }
    }
}

/// `cargo`, the one that runs us.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments);
    command
}

/// Runs this program again with the same arguments, built for speed: what measures others must not be what they
/// wait for.
///
/// # Errors
/// When it can not be built.
pub(crate) fn again_optimised() -> Fallible<Verdict> {
    let manifest = repository().join("Cargo.toml");
    let mut again = cargo(&["run", "--release", "--quiet", "--package", "xtask"]);
    again.arg("--manifest-path").arg(manifest);
    again
        .arg("--")
        .args(std::env::args_os().skip(1))
        .stdin(Stdio::null());
    Ok(if again.status()?.success() {
        Verdict::Passed
    } else {
        Verdict::Failed
    })
}

/// Runs `apt-get`, without questions and without noise.
pub(crate) fn apt(arguments: &[&str]) -> Outcome {
    let mut command = Command::new("apt-get");
    command
        .args(["-qq", "-o", "Dpkg::Use-Pty=0"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive");
    run(command)
}
