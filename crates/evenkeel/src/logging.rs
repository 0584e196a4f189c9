//! The operational log: what the process itself has to say, on standard error. (One line per
//! request is the access log's business, and the proxy's.)

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::complaint::Complaint;

/// Starts the operational log at `level`, which is a level or filter directives.
pub(crate) fn start(level: &str) -> Result<(), Complaint> {
    let filter = EnvFilter::try_new(level).map_err(|why| {
        Complaint::new(
            format!("--log-level {level}: {why}"),
            "use error, warn, info, debug or trace, or directives such as info,evenkeel_proxy=debug",
        )
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .try_init()
        .map_err(|why| Complaint::rendered(format!("error: the log could not be started: {why}")))
}
