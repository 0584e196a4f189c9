//! evenkeel: a reverse proxy without the keep-alive race. Arguments in, exit code out.

mod check;
mod cli;
mod complaint;
mod files;
mod logging;
mod manual;
mod ports;
mod quickstart;
mod run;
mod signals;
mod state_file;
mod watch;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::{Cli, Command};
use crate::complaint::Complaint;

fn main() -> ExitCode {
    match dispatch(Cli::parse().command) {
        Ok(code) => code,
        Err(complaint) => {
            eprint!("{complaint}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command) -> Result<ExitCode, Complaint> {
    match command {
        Command::Run(args) => run::run(&args),
        Command::Check(args) => check::check(&args),
        Command::Explain(args) => manual::explain(&args),
        Command::Completions(args) => manual::completions(&args),
        Command::Man => manual::man(),
        Command::Schema => {
            println!("{:#}", config::schema());
            Ok(ExitCode::SUCCESS)
        }
        Command::Quickstart(args) => quickstart::quickstart(&args),
        Command::Version => {
            println!("evenkeel {}", env!("CARGO_PKG_VERSION"));
            Ok(ExitCode::SUCCESS)
        }
    }
}
