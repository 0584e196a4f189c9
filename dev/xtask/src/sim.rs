//! `cargo xtask sim`: simulated worlds until the time is up, or the one of a seed that failed.

use clap::Args;

use crate::race::install::repository;
use crate::step::{Outcome, cargo, run};
use crate::{Fallible, Verdict};

/// `cargo xtask sim`.
#[derive(Args, Clone, Debug)]
pub(crate) struct SimArgs {
    /// Live this world alone, twice: as it was printed (0x…) or in decimal
    seed: Option<String>,
    /// Live worlds of chance for so many seconds
    #[arg(long = "for", default_value_t = 60, value_name = "SECONDS")]
    seconds: u64,
}

/// Builds the worlds with the proxy inside them, and lives them.
///
/// # Errors
/// None: a build that fails is a failure.
pub(crate) fn sim(args: &SimArgs) -> Fallible<Verdict> {
    let mut command = cargo(&["run", "--quiet", "--profile", "sim", "--package", "sim", "--"]);
    command.current_dir(repository());
    command
        .args(&args.seed)
        .args(["--for", &args.seconds.to_string()]);
    Ok(match run(command) {
        Outcome::Passed => Verdict::Passed,
        Outcome::Failed | Outcome::Skipped(_) => Verdict::Failed,
    })
}
