//! Inspection: what the process is, has counted and has learned, and how to end it.
//!
//! The paths and words are Envoy's, so that scripts and dashboards carry over. Reading is `GET`;
//! what changes something is `POST`, so that no link and no crawler can do it.

mod clusters;
mod connection;
mod guard;
mod numbers;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::SystemTime;

use axum::extract::{Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use regex::{Regex, RegexBuilder};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Handle;

use crate::control::server::Logging;
pub use crate::telemetry::stats::reloads::Reloads;
use crate::telemetry::stats::{
    CertificateView, ClusterView, Liveness, LogCounts, Selection, ServerView, WorkerStats,
};
use guard::Guard;
use numbers::{all_stats, prometheus};

/// Where the admin's answers come from. Every method is quick: none waits for a worker.
pub trait AdminSource: Send + Sync + 'static {
    /// The process.
    fn server(&self) -> ServerView;
    /// Shows all clusters of the configuration in force, one after the other, in the order in which
    /// their metrics are sorted: thousands at once take much memory.
    fn visit_clusters(&self, visit: &mut dyn FnMut(&ClusterView));
    /// Every listener's name, and the address that it is bound to.
    fn listeners(&self) -> Vec<(String, SocketAddr)>;
    /// What each worker counted.
    fn workers(&self) -> &[Arc<WorkerStats>];
    /// What became of access log lines.
    fn log(&self) -> &LogCounts;
    /// How the levels of the operational log are read and changed; `None` where they cannot be.
    fn logging(&self) -> Option<Logging>;
    /// What became of the configurations given so far.
    fn reloads(&self) -> Reloads;
    /// The configuration in force, as JSON.
    fn config(&self) -> Value;
    /// Hostnames by which the admin may be asked for, besides `localhost` and IP addresses.
    fn names(&self) -> Vec<String> {
        Vec::new()
    }
    /// Starts the drain: stop accepting, announce `Connection: close`, wait for exchanges to end.
    fn drain(&self);
    /// The certificates that listeners present, each once.
    fn certificates(&self) -> Vec<CertificateView>;

    /// Ends the process without waiting for exchanges.
    fn quit(&self);
}

/// Serves the admin on `socket`, for as long as the runtime lives.
///
/// # Errors
/// The socket cannot be handed to the runtime.
pub fn spawn(
    runtime: &Handle,
    socket: std::net::TcpListener,
    source: Arc<dyn AdminSource>,
) -> io::Result<()> {
    let _entered = runtime.enter();
    socket.set_nonblocking(true)?;
    let listener = connection::Listener::new(TcpListener::from_std(socket)?);
    runtime.spawn(async move { axum::serve(listener, router(source)).await });
    Ok(())
}

/// What handlers share.
#[derive(Clone)]
struct Admin {
    source: Arc<dyn AdminSource>,
    /// `/healthcheck/fail` was asked for.
    failed: Arc<AtomicBool>,
}

/// Path, method and meaning, for `/` and `/help`.
const ENDPOINTS: [(&str, &str, &str); 15] = [
    ("/", "GET", "this list"),
    ("/help", "GET", "this list as text"),
    (
        "/stats",
        "GET",
        "all metrics; filter=REGEX, usedonly, format=text|json|prometheus",
    ),
    (
        "/stats/prometheus",
        "GET",
        "all metrics for Prometheus or, by Accept, OpenMetrics; filter=REGEX, usedonly, unused",
    ),
    (
        "/clusters",
        "GET",
        "clusters, their endpoints, and what was learned of each; format=text|json",
    ),
    (
        "/listeners",
        "GET",
        "listeners and their addresses; format=text|json",
    ),
    ("/config_dump", "GET", "the configuration in force"),
    (
        "/logging",
        "GET, POST",
        "the log's levels; level=debug or level=info,PART=debug or paths=PART:debug changes them",
    ),
    ("/server_info", "GET", "version, state, uptime"),
    (
        "/ready",
        "GET",
        "200 LIVE while new requests are welcome, otherwise 503",
    ),
    ("/healthcheck/fail", "POST", "make /ready fail, and go on serving"),
    ("/healthcheck/ok", "POST", "take /healthcheck/fail back"),
    (
        "/drain_listeners",
        "POST",
        "stop accepting, let exchanges end, then end the process",
    ),
    ("/drain", "POST", "the same"),
    ("/quitquitquit", "POST", "end the process now"),
];

fn router(source: Arc<dyn AdminSource>) -> Router {
    let guard = Arc::new(Guard::new(source.names()));
    Router::new()
        .route("/", get(index))
        .route("/help", get(help))
        .route("/stats", get(all_stats))
        .route("/stats/prometheus", get(prometheus))
        .route("/clusters", get(all_clusters))
        .route("/listeners", get(listeners))
        .route("/config_dump", get(config_dump))
        .route("/logging", get(logging).post(change_logging))
        .route("/server_info", get(server_info))
        .route("/ready", get(ready))
        .route("/healthcheck/fail", post(healthcheck_fail))
        .route("/healthcheck/ok", post(healthcheck_ok))
        .route("/drain", post(drain))
        .route("/drain_listeners", post(drain))
        .route("/quitquitquit", post(quit))
        .fallback(no_such_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(guard, guard::check))
        .with_state(Admin {
            source,
            failed: Arc::default(),
        })
}

impl Admin {
    /// The process, as `/healthcheck/fail` makes it look.
    fn server(&self) -> ServerView {
        let mut server = self.source.server();
        if server.state == Liveness::Live && self.failed.load(Relaxed) {
            server.state = Liveness::Draining;
        }
        server
    }

    /// Makes a page on a thread of its own: of thousands of clusters it takes long, and the control's
    /// thread has checks and names to look after.
    async fn page<T: Send + 'static>(
        &self,
        make: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, Refused> {
        let admin = self.clone();
        let made = tokio::task::spawn_blocking(move || make(&admin)).await;
        made.map_err(|_| {
            let sentence = "the page could not be made; the log says why\n".to_owned();
            (StatusCode::INTERNAL_SERVER_ERROR, sentence)
        })
    }
}

async fn index() -> Html<String> {
    let rows = ENDPOINTS.map(|(path, method, meaning)| {
        let name = if method.starts_with("GET") {
            format!("<a href=\"{path}\">{path}</a>")
        } else {
            path.to_owned()
        };
        format!("<tr><td>{method}<td>{name}<td>{meaning}\n")
    });
    let rows = rows.concat();
    Html(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>evenkeel admin</title>\n\
         <h1>evenkeel {}</h1>\n<table>\n{rows}</table>\n",
        env!("CARGO_PKG_VERSION")
    ))
}

async fn help() -> String {
    let line = |(path, method, meaning)| format!("{method:<9} {path:<18} {meaning}\n");
    ENDPOINTS.map(line).concat()
}

/// Parameters as Envoy has them; those that it has and we do not are let pass.
#[derive(Debug, Deserialize)]
struct Parameters {
    filter: Option<String>,
    usedonly: Option<String>,
    unused: Option<String>,
    format: Option<String>,
}

impl Parameters {
    fn selection(&self) -> Result<Selection, Refused> {
        let filter = self.filter.as_deref().map(compile).transpose()?;
        Ok(Selection {
            filter,
            used_only: self.usedonly.is_some(),
            unused: self.unused.is_some(),
        })
    }

    fn format(&self) -> Result<Format, Refused> {
        match self.format.as_deref() {
            None | Some("" | "text") => Ok(Format::Text),
            Some("json") => Ok(Format::Json),
            Some("prometheus") => Ok(Format::Prometheus),
            Some(other) => Err(refuse(format!(
                "there is no format {other:?}: ask for text, json or prometheus"
            ))),
        }
    }
}

enum Format {
    Text,
    Json,
    Prometheus,
}

/// A status, and a sentence that says what would be right.
type Refused = (StatusCode, String);

fn refuse(sentence: String) -> Refused {
    (StatusCode::BAD_REQUEST, format!("{sentence}\n"))
}

/// A filter of any sensible size compiles to far less than this.
const FILTER_BYTES_MAX: usize = 256 * 1024;

fn compile(filter: &str) -> Result<Regex, Refused> {
    RegexBuilder::new(filter)
        .size_limit(FILTER_BYTES_MAX)
        .build()
        .map_err(|error| refuse(format!("the filter is no regular expression: {error}")))
}

async fn all_clusters(
    State(admin): State<Admin>,
    Query(asked): Query<Parameters>,
) -> Result<Response, Refused> {
    let format = asked.format()?;
    let make = move |admin: &Admin| {
        let (mut text, mut statuses) = (String::new(), Vec::new());
        admin.source.visit_clusters(&mut |cluster| match format {
            Format::Json => statuses.push(clusters::json(cluster)),
            Format::Text | Format::Prometheus => clusters::text(&mut text, cluster),
        });
        match format {
            Format::Json => Json(json!({ "cluster_statuses": statuses })).into_response(),
            Format::Text | Format::Prometheus => text.into_response(),
        }
    };
    admin.page(make).await
}

async fn listeners(State(admin): State<Admin>, Query(asked): Query<Parameters>) -> Result<Response, Refused> {
    let listeners = admin.source.listeners();
    Ok(match asked.format()? {
        Format::Json => {
            let one = |(name, address): &(String, SocketAddr)| {
                let address = json!({ "address": address.ip().to_string(), "port_value": address.port() });
                json!({ "name": name, "local_address": { "socket_address": address } })
            };
            Json(json!({ "listener_statuses": listeners.iter().map(one).collect::<Vec<_>>() }))
                .into_response()
        }
        Format::Text | Format::Prometheus => listeners
            .iter()
            .map(|(name, address)| format!("{name}::{address}\n"))
            .collect::<String>()
            .into_response(),
    })
}

async fn config_dump(State(admin): State<Admin>) -> Response {
    pretty(&admin.source.config())
}

async fn logging(State(admin): State<Admin>) -> Result<String, Refused> {
    let logging = admin.source.logging().ok_or_else(no_logging)?;
    Ok(format!("log level: {}\n", (logging.read)()))
}

/// As Envoy's: `level` is for everything, `paths` for parts, and without either nothing changes.
async fn change_logging(
    State(admin): State<Admin>,
    Query(asked): Query<Vec<(String, String)>>,
) -> Result<String, Refused> {
    let logging = admin.source.logging().ok_or_else(no_logging)?;
    let mut words = Vec::new();
    for (name, value) in asked {
        match name.as_str() {
            "level" => words.insert(0, value),
            "paths" => words.push(value.replace(':', "=")),
            part => words.push(format!("{part}={value}")),
        }
    }
    if words.is_empty() {
        return Ok(format!("log level: {}\n", (logging.read)()));
    }
    let told = (logging.change)(&words.join(",")).map_err(refuse)?;
    Ok(format!("log level: {told}\n"))
}

fn no_logging() -> Refused {
    (
        StatusCode::NOT_FOUND,
        "this process has no operational log\n".to_owned(),
    )
}

async fn server_info(State(admin): State<Admin>) -> Response {
    let server = admin.server();
    pretty(&json!({
        "version": env!("CARGO_PKG_VERSION"),
        "state": server.state.word(),
        "uptime_current_epoch": format!("{}s", server.uptime.as_secs()),
        "command_line_options": { "concurrency": server.workers },
        "configuration": reloads(&admin.source.reloads()),
    }))
}

/// What became of the configurations given: whether the last one is in force, and if not, why.
fn reloads(reloads: &Reloads) -> Value {
    json!({
        "last_reload": {
            "ok": reloads.last_ok(),
            "at": utc(reloads.last_at),
            "reason": reloads.rejection,
        },
        "applied_at": utc(reloads.applied_at),
        "reloads_applied": reloads.applied - 1,
        "reloads_rejected": reloads.rejected,
    })
}

/// A time as RFC 3339 has it, to the millisecond.
fn utc(at: SystemTime) -> Option<String> {
    let at = jiff::Timestamp::try_from(at).ok()?;
    Some(format!("{at:.3}"))
}

/// People read these two, and pipe them through nothing.
fn pretty(value: &Value) -> Response {
    ([(CONTENT_TYPE, "application/json")], format!("{value:#}\n")).into_response()
}

async fn ready(State(admin): State<Admin>) -> (StatusCode, String) {
    let state = admin.server().state;
    let status = if state == Liveness::Live {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, format!("{}\n", state.word()))
}

async fn healthcheck_fail(State(admin): State<Admin>) -> &'static str {
    admin.failed.store(true, Relaxed);
    "OK\n"
}

async fn healthcheck_ok(State(admin): State<Admin>) -> &'static str {
    admin.failed.store(false, Relaxed);
    "OK\n"
}

async fn drain(State(admin): State<Admin>) -> &'static str {
    admin.source.drain();
    "OK\n"
}

async fn quit(State(admin): State<Admin>) -> &'static str {
    admin.source.quit();
    "OK\n"
}

async fn no_such_path(uri: Uri) -> (StatusCode, String) {
    (
        StatusCode::NOT_FOUND,
        format!("there is no {}; /help lists what there is\n", uri.path()),
    )
}

async fn wrong_method(uri: Uri) -> (StatusCode, String) {
    let wanted = ENDPOINTS
        .iter()
        .find(|(path, ..)| *path == uri.path())
        .map_or("GET", |(_, method, _)| method);
    let sentence = format!(
        "{} wants {wanted}: what changes something is POST, reading is GET\n",
        uri.path()
    );
    (StatusCode::METHOD_NOT_ALLOWED, sentence)
}

#[cfg(test)]
mod tests;
