//! `cargo xtask change`: the black-box test of changes under load, for as long as one likes.

use std::time::Duration;

use clap::Args;

use crate::step::{Outcome, cargo, run};
use crate::{Fallible, Verdict};

/// `cargo xtask change`.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct ChangeArgs {
    /// How long, in seconds
    #[arg(long = "for", value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    span: Duration,
    /// Between edits, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    every: Duration,
    /// Routes beside those that are edited and asked for
    #[arg(long, default_value = "0")]
    routes: u32,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number = text
        .strip_suffix('s')
        .unwrap_or(text)
        .parse::<f64>()
        .map_err(|why| why.to_string())?;
    Duration::try_from_secs_f64(number).map_err(|why| why.to_string())
}

/// Runs it; its figures are on standard output, as one JSON object.
///
/// # Errors
/// None: what cannot be run fails.
pub(crate) fn change(args: ChangeArgs) -> Fallible<Verdict> {
    let mut test = cargo(&[
        "test",
        "--release",
        "--quiet",
        "-p",
        "evenkeel",
        "--test",
        "blackbox",
        "change_under_load",
        "--",
        "--nocapture",
    ]);
    test.env("EVENKEEL_CHANGE_FOR_MS", args.span.as_millis().to_string());
    test.env("EVENKEEL_CHANGE_EVERY_MS", args.every.as_millis().to_string());
    test.env("EVENKEEL_CHANGE_ROUTES", args.routes.to_string());
    Ok(if run(test) == Outcome::Passed {
        Verdict::Passed
    } else {
        Verdict::Failed
    })
}
