//! `cargo xtask ci`: everything that a change must pass.

use clap::Args;

use crate::step::{Outcome, Steps, cargo, run};
use crate::{Fallible, Verdict, instructions, tidy};

/// The version of cargo-deny that is installed where it is missing.
const DENY: &str = "cargo-deny@0.20.2";

/// `cargo xtask ci`.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct CiArgs {
    /// Do not install cargo-deny where it is missing (that takes minutes): skip it
    #[arg(long)]
    fast: bool,
    /// Leave the tests to `cargo xtask test`
    #[arg(long)]
    without_tests: bool,
}

/// Takes every step, and tells of all of them though one fails.
///
/// # Errors
/// None: a step that cannot be taken fails.
pub(crate) fn ci(args: CiArgs) -> Fallible<Verdict> {
    let mut steps = Steps::default();
    steps.take("format", || run(cargo(&["fmt", "--all", "--", "--check"])));
    steps.take("clippy", || {
        run(cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--quiet",
            "--",
            "-D",
            "warnings",
        ]))
    });
    steps.take("deny", || deny(args.fast));
    steps.take("tidy", || match tidy::tidy() {
        Ok(Verdict::Passed) => Outcome::Passed,
        Ok(Verdict::Failed) => Outcome::Failed,
        Err(why) => {
            eprintln!("{why}");
            Outcome::Failed
        }
    });
    steps.take("instructions", instructions::step);
    if !args.without_tests {
        steps.take("tests", || {
            run(cargo(&["test", "--workspace", "--locked", "--quiet"]))
        });
    }
    eprintln!("\n{}", steps.table());
    Ok(if steps.hold() {
        Verdict::Passed
    } else {
        Verdict::Failed
    })
}

fn deny(fast: bool) -> Outcome {
    let installed = || {
        cargo(&["deny", "--version"])
            .output()
            .is_ok_and(|output| output.status.success())
    };
    if !installed() {
        if fast {
            return Outcome::Skipped("cargo-deny is not installed, and --fast installs nothing".to_owned());
        }
        eprintln!("installing {DENY}, once; this takes some minutes");
        if run(cargo(&["install", "--locked", "--quiet", DENY])) != Outcome::Passed {
            return Outcome::Skipped(format!("{DENY} could not be installed"));
        }
    }
    let checks = run(cargo(&[
        "deny",
        "--log-level",
        "error",
        "check",
        "bans",
        "licenses",
        "sources",
    ]));
    if checks != Outcome::Passed {
        return checks;
    }
    // The advisories are fetched from the network; a machine without it still checks all the rest.
    let database = cargo(&["deny", "fetch", "db"]).output();
    if database.is_ok_and(|output| output.status.success()) {
        return run(cargo(&["deny", "--log-level", "error", "check", "advisories"]));
    }
    eprintln!("advisories were not looked at: their database could not be fetched");
    Outcome::Passed
}
