//! The project's own commands.

mod bench;
mod change;
mod ci;
mod dist;
mod h2spec;
mod instructions;
#[cfg(test)]
mod manual;
mod overload;
mod package;
mod race;
mod real;
mod sim;
mod step;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

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
    /// Everything that a change must pass: format, clippy, deny, tidy, instruction counts, tests
    Ci(ci::CiArgs),
    /// The walls that no compiler checks: file sizes, words, floors, leftovers
    Tidy,
    /// Every test, with the lanes of real programs; installs what they need where it may
    Test,
    /// Count the instructions of each step of the hot path, and compare them with those accepted
    Instructions(instructions::InstructionsArgs),
    /// What a request costs, beside the peers
    #[command(args_conflicts_with_subcommands = true)]
    Bench(BenchCommand),
    /// Build the program that is shipped, with a profile of itself under the bench's load (minutes)
    Dist,
    /// Pack the program that is shipped: a tarball, a Debian package, a container image (OCI layout)
    Package(package::PackageArgs),
    /// Change the configuration under load: no request may fail or go astray
    Change(change::ChangeArgs),
    /// Race requests against backends that close idle connections, in the lab (needs root)
    Race(race::RaceArgs),
    /// What protection costs in usual traffic, by minute, beside a proxy and the backend itself (needs root)
    RaceCost(race::cost::CostArgs),
    /// Race requests against real backends at their defaults, in the lab (needs root)
    Real(real::RealArgs),
    /// Run HTTP/2's conformance suite against the codec (needs Go)
    H2spec,
    /// Live simulated days in worlds of chance, and check what the proxy promises
    Sim(sim::SimArgs),
    /// The lab's backend, which `race` starts
    #[command(hide = true)]
    RaceBackend(race::BackendArgs),
    /// The TCP proxy that `race` puts between
    #[command(hide = true)]
    RaceRelay(race::RelayArgs),
    /// The byte forwarder that `bench` measures as the floor
    #[command(hide = true)]
    BenchFloor(bench::FloorArgs),
}

#[derive(Args)]
struct BenchCommand {
    #[command(subcommand)]
    other: Option<OtherBench>,
    #[command(flatten)]
    cost: bench::BenchArgs,
}

#[derive(Subcommand)]
enum OtherBench {
    /// Stalls, overload, outages and restarts beside the peers: what becomes of everybody else
    Overload(overload::OverloadArgs),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Ci(args) => ci::ci(args),
        Command::Tidy => tidy::tidy(),
        Command::Test => test::test(),
        Command::Instructions(args) => instructions::instructions(args),
        Command::Bench(BenchCommand { other: None, cost }) => bench::run(&cost),
        Command::Bench(BenchCommand {
            other: Some(OtherBench::Overload(args)),
            ..
        }) => overload::run(&args),
        Command::Dist => dist::dist(),
        Command::Package(args) => package::package(&args),
        Command::Change(args) => change::change(args),
        Command::Race(args) => race::run(&args),
        Command::RaceCost(args) => race::cost::run(&args),
        Command::Real(args) => real::run(&args),
        Command::H2spec => h2spec::h2spec(),
        Command::Sim(args) => sim::sim(&args),
        Command::RaceBackend(args) => race::run_backend(args).map(|()| Verdict::Passed),
        Command::RaceRelay(args) => race::run_relay(args).map(|()| Verdict::Passed),
        Command::BenchFloor(args) => bench::run_floor(args).map(|()| Verdict::Passed),
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
