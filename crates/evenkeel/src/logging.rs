//! The operational log: what the process itself has to say, on standard error. (One line per
//! request is the access log's business, and the proxy's.)

mod levels;

use std::io::IsTerminal as _;
use std::sync::{Mutex, OnceLock, PoisonError};

use proxy::control::server::Logging;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, Registry, fmt, reload};

use self::levels::Levels;
use crate::cli::LogFormat;
use crate::complaint::Complaint;

/// The log of this process, for whoever changes its levels while it runs.
static RUNNING: OnceLock<Running> = OnceLock::new();

struct Running {
    levels: Mutex<Levels>,
    filter: reload::Handle<Targets, Registry>,
    format: LogFormat,
}

/// Starts the operational log at `level`, which is a level or directives (see [`Levels`]).
pub(crate) fn start(level: &str, format: LogFormat) -> Result<(), Complaint> {
    let levels: Levels = level
        .parse()
        .map_err(|why| Complaint::new(format!("--log-level {level}: {why}"), levels::ADVICE))?;
    let (filter, handle) = reload::Layer::new(levels.targets());
    let lines = fmt::layer().with_writer(std::io::stderr).with_target(false);
    let started = match format {
        LogFormat::Text => {
            let lines = lines.with_ansi(std::io::stderr().is_terminal());
            tracing_subscriber::registry()
                .with(lines.with_filter(filter))
                .try_init()
        }
        LogFormat::Json => {
            let lines = lines
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false);
            log_panics();
            tracing_subscriber::registry()
                .with(lines.with_filter(filter))
                .try_init()
        }
    };
    started.map_err(|why| Complaint::rendered(format!("error: the log could not be started: {why}")))?;
    let running = Running {
        levels: Mutex::new(levels),
        filter: handle,
        format,
    };
    // There is one log in a process, or `try_init` had failed.
    drop(RUNNING.set(running));
    Ok(())
}

/// Whether lines are JSON, so that nothing else may be written between them.
pub(crate) fn is_json() -> bool {
    RUNNING
        .get()
        .is_some_and(|running| running.format == LogFormat::Json)
}

/// How the admin reads and changes the levels.
pub(crate) fn control() -> Logging {
    Logging { read, change }
}

fn read() -> String {
    RUNNING.get().map_or_else(String::new, |running| {
        running
            .levels
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .to_string()
    })
}

/// Takes up new levels; gives them as they are in force, or what is wrong with them.
fn change(level: &str) -> Result<String, String> {
    let levels: Levels = level
        .parse()
        .map_err(|why| format!("{why}; {}", levels::ADVICE))?;
    let running = RUNNING.get().ok_or("the log has not been started")?;
    running
        .filter
        .reload(levels.targets())
        .map_err(|why| format!("the log's levels cannot be changed: {why}"))?;
    let told = levels.to_string();
    *running.levels.lock().unwrap_or_else(PoisonError::into_inner) = levels;
    tracing::info!("the log level is now {told}, as the admin was asked");
    Ok(told)
}

/// Panics are lines of the log like any other where each line is JSON.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
}
