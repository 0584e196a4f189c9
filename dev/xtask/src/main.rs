//! The project's own commands.

mod race;
mod real;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What a command of ours returns; the message of an error is for people.
pub(crate) type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    about = "The project's own commands",
    max_term_width = 100
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Race requests against backends that close idle connections, in the lab (needs root)
    Race(race::RaceArgs),
    /// Race requests against real backends at their defaults, in the lab (needs root)
    Real(real::RealArgs),
    /// The lab's backend, which `race` starts
    #[command(hide = true)]
    RaceBackend(race::BackendArgs),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Race(args) => race::run(&args),
        Command::Real(args) => real::run(&args),
        Command::RaceBackend(args) => race::run_backend(args).map(|()| Verdict::Passed),
    };
    match done {
        Ok(Verdict::Passed) => ExitCode::SUCCESS,
        Ok(Verdict::Failed) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether what was checked holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It does.
    Passed,
    /// It does not, and the reasons were printed.
    Failed,
}
