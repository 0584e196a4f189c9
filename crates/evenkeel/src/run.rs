//! `evenkeel run`: start, then wait for what may happen: a changed file, a signal, the end.

use std::io::{ErrorKind, IsTerminal as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use config::model::{LogFormat, LogSink, Model};
use policy::route::RouteTable;
use proxy::control::server::{Options, Server};

use crate::cli::{AccessLogChoice, RunArgs};
use crate::complaint::Complaint;
use crate::files::{Files, NoModel};
use crate::signals::{Ask, Ending};
use crate::{check, logging, ports, signals, state_file, watch};

/// What the main loop waits for.
enum Event {
    Changed,
    Signal(Ask),
    /// The drain is over; whether all went well.
    Drained(bool),
}

/// Where the configuration comes from.
enum Origin {
    To {
        url: String,
        listen: std::net::SocketAddr,
    },
    Files(Files),
}

impl Origin {
    fn model(&self) -> Result<Model, NoModel> {
        match self {
            Self::To { url, listen } => config::single(url, *listen).map_err(NoModel::Wrong),
            Self::Files(files) => files.model(),
        }
    }

    /// Of its files before they are read.
    fn fingerprint(&self) -> u64 {
        match self {
            Self::To { .. } => 0,
            Self::Files(files) => files.fingerprint(),
        }
    }

    fn change_address_with(&self) -> &'static str {
        match self {
            Self::To { .. } => "--listen",
            Self::Files(_) => "the Gateway's listeners",
        }
    }
}

/// Runs the gateway until a signal ends it.
pub(crate) fn run(args: &RunArgs) -> Result<ExitCode, Complaint> {
    logging::start(&args.log_level, args.log_format)?;
    let (tell, events) = channel();
    listen_for_signals(&tell)?;

    let origin = match (&args.to, &args.config) {
        (Some(url), _) => Origin::To {
            url: url.clone(),
            listen: args.listen.0,
        },
        (None, Some(path)) => Origin::Files(Files::new(path.clone(), args.backends.clone())),
        (None, None) => unreachable!("clap asks for one of --to and -c"),
    };
    let seen = origin.fingerprint();
    let model = with_access_log(origin.model().map_err(fatal)?, args.access_log);
    for listener in &model.listeners {
        ports::ensure_free(listener.address, origin.change_address_with())?;
    }
    ensure_writable(&model.access_log.sink)?;
    if let Some(admin) = args.admin.0 {
        ports::ensure_free(admin, "--admin")?;
    }
    model
        .warnings
        .texts()
        .for_each(|warning| tracing::warn!("{warning}"));
    let in_force = remembered(&model);
    let options = Options {
        workers: args.workers,
        admin: args.admin.0,
        drain_timeout: args.drain_timeout,
        state_file: state_file::of(args.state_file.as_ref())?,
        unfinished_heads_max: args.unfinished_heads_max,
        logging: Some(logging::control()),
    };
    let server = Server::start(model, options)
        .map_err(|why| Complaint::new(format!("the gateway could not start: {why}"), advice(&why)))?;
    announce(&server, &in_force);
    listen_for_the_admin(&server, &tell)?;
    if let Origin::Files(files) = &origin {
        let tell = tell.clone();
        watch::watch(files.clone(), seen, move || tell.send(Event::Changed).is_ok()).unwrap_or_else(|why| {
            tracing::warn!(
                "evenkeel does not watch the configuration for changes ({why}). Send SIGHUP to reload it"
            )
        });
    }
    let running = Running {
        server,
        origin,
        in_force,
        access_log: args.access_log,
    };
    Ok(running.until_the_end(&tell, &events))
}

fn listen_for_signals(tell: &Sender<Event>) -> Result<(), Complaint> {
    let tell = tell.clone();
    signals::listen(move |ask| tell.send(Event::Signal(ask)).is_ok()).map_err(|why| {
        Complaint::new(
            format!("no signal handlers: {why}"),
            "check `ulimit -n` and `ulimit -u`",
        )
    })
}

/// The admin's `/drain` asks for the same as SIGTERM.
fn listen_for_the_admin(server: &Server, tell: &Sender<Event>) -> Result<(), Complaint> {
    let (asked, tell) = (server.drain_asked(), tell.clone());
    let waiting = tokio::runtime::Builder::new_current_thread()
        .build()
        .and_then(|runtime| {
            thread::Builder::new().name("admin-drain".into()).spawn(move || {
                runtime.block_on(asked.notified());
                tell.send(Event::Signal(Ask::End(Ending::Terminate)))
            })
        });
    waiting
        .map(drop)
        .map_err(|why| Complaint::new(format!("no thread for the admin: {why}"), "check `ulimit -u`"))
}

struct Running {
    server: Server,
    origin: Origin,
    /// What the log compares the next configuration with.
    in_force: Model,
    access_log: Option<AccessLogChoice>,
}

impl Running {
    fn until_the_end(mut self, tell: &Sender<Event>, events: &Receiver<Event>) -> ExitCode {
        loop {
            match events.recv() {
                Ok(Event::Changed | Event::Signal(Ask::Reload)) => self.reload(),
                Ok(Event::Signal(Ask::Reopen)) => self.server.reopen_log(),
                Ok(Event::Signal(Ask::End(_))) => return self.drain(tell, events),
                Ok(Event::Drained(_)) | Err(_) => return ExitCode::SUCCESS,
            }
        }
    }

    fn reload(&mut self) {
        let model = match self.origin.model() {
            Ok(model) => with_access_log(model, self.access_log),
            Err(why) => {
                let reason = why.in_one_line();
                self.server.reload_rejected(&reason);
                if !logging::is_json() {
                    eprintln!("{}", fatal(why).to_string().trim_end());
                }
                tracing::error!("configuration rejected, the one in force stays: {reason}");
                return;
            }
        };
        model
            .warnings
            .texts()
            .for_each(|warning| tracing::warn!("{warning}"));
        let next = remembered(&model);
        match self.server.reload(model) {
            Ok(()) => {
                let changes = config::changes(&self.in_force, &next);
                let changes = if changes.is_empty() {
                    "nothing changed".to_owned()
                } else {
                    changes.join(", ")
                };
                tracing::info!("configuration loaded: {changes}");
                self.in_force = next;
            }
            Err(why) => tracing::error!("configuration rejected, the one in force stays: {why}"),
        }
    }

    /// Drains on a thread of its own, so that a second signal is heard.
    fn drain(self, tell: &Sender<Event>, events: &Receiver<Event>) -> ExitCode {
        tracing::info!(
            "draining: no new connections, requests in flight are finished; a second signal ends at once"
        );
        let (server, drained) = (self.server, tell.clone());
        thread::spawn(move || {
            let well = server.drain();
            drained.send(Event::Drained(well))
        });
        for event in events {
            match event {
                Event::Drained(true) => break,
                Event::Drained(false) => return ExitCode::FAILURE,
                Event::Signal(Ask::End(ending)) => return hurried(ending),
                Event::Changed | Event::Signal(Ask::Reload | Ask::Reopen) => {}
            }
        }
        tracing::info!("drained");
        ExitCode::SUCCESS
    }
}

fn hurried(ending: Ending) -> ExitCode {
    tracing::warn!("ended before the drain was complete");
    ending.exit_code()
}

fn with_access_log(mut model: Model, choice: Option<AccessLogChoice>) -> Model {
    match choice {
        None => {}
        Some(AccessLogChoice::Off) => model.access_log.sink = LogSink::Off,
        Some(AccessLogChoice::Text) => {
            (model.access_log.format, model.access_log.sink) = (LogFormat::Text, LogSink::Stdout)
        }
        Some(AccessLogChoice::Json) => {
            (model.access_log.format, model.access_log.sink) = (LogFormat::Json, LogSink::Stdout)
        }
    }
    model
}

/// A model without its routes' trees, which the gateway has taken: what `config::changes` compares.
fn remembered(model: &Model) -> Model {
    Model {
        listeners: model.listeners.clone(),
        routes: RouteTable::default(),
        clusters: model.clusters.clone(),
        rate_limits: model.rate_limits.clone(),
        written: model.written.clone(),
        access_log: model.access_log.clone(),
        warnings: config::Mistakes::default(),
        dump: model.dump.clone(),
    }
}

fn fatal(why: NoModel) -> Complaint {
    match why {
        NoModel::Unreadable(complaint) => complaint,
        NoModel::Wrong(mistakes) => Complaint::rendered(mistakes.render(std::io::stderr().is_terminal())),
    }
}

/// Says where it listens, and what to try next.
fn announce(server: &Server, model: &Model) {
    let is_secure = |name: &str| {
        let listener = model.listeners.iter().find(|listener| &*listener.name == name);
        listener.is_some_and(|listener| listener.tls.is_some())
    };
    let urls = server.addresses().into_iter().map(|(name, address)| {
        let url = format!("{}://{address}", check::scheme(is_secure(&name)));
        (name, url)
    });
    let urls: Vec<(String, String)> = urls.collect();
    if logging::is_json() {
        return announce_as_line(&urls, server.admin_address());
    }
    eprintln!("evenkeel {} is running", env!("CARGO_PKG_VERSION"));
    for (name, url) in &urls {
        eprintln!("  listening  {url}  ({name})");
    }
    if let Some(admin) = server.admin_address() {
        eprintln!("  admin      http://{admin}");
    }
    match (urls.first(), server.admin_address()) {
        (Some((_, url)), Some(admin)) => {
            eprintln!("  try        curl -i {url}/    then    curl http://{admin}/clusters");
        }
        (Some((_, url)), None) => eprintln!("  try        curl -i {url}/"),
        (None, _) => eprintln!("  try        add a Gateway: this configuration has no listener"),
    }
}

/// The same as one line of the log.
fn announce_as_line(urls: &[(String, String)], admin: Option<SocketAddr>) {
    let listening: Vec<String> = urls.iter().map(|(name, url)| format!("{url} ({name})")).collect();
    let admin = admin.map_or_else(|| "off".to_owned(), |admin| format!("http://{admin}"));
    tracing::info!(
        "evenkeel {} is running; listening on {}; admin {admin}",
        env!("CARGO_PKG_VERSION"),
        listening.join(", ")
    );
}

/// Opens the access log's file once before anything is bound, so that a missing folder is told as that.
fn ensure_writable(sink: &LogSink) -> Result<(), Complaint> {
    let LogSink::File(path) = sink else { return Ok(()) };
    let Err(why) = std::fs::OpenOptions::new().append(true).create(true).open(path) else {
        return Ok(());
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let next = match why.kind() {
        ErrorKind::NotFound => format!(
            "make its folder (`mkdir -p {}`), or name another path in the Telemetry resource",
            folder.display()
        ),
        ErrorKind::PermissionDenied => format!(
            "let the user that runs evenkeel write into the folder {}, or name another path in the Telemetry resource",
            folder.display()
        ),
        ErrorKind::IsADirectory => "name a file in the Telemetry resource, not a folder".to_owned(),
        _ => "name another path in the Telemetry resource".to_owned(),
    };
    let what = format!("the access log {} cannot be opened: {why}", path.display());
    Err(Complaint::new(what, next))
}

/// What to look at when the gateway does not start, by what the system said.
fn advice(why: &std::io::Error) -> &'static str {
    match why.kind() {
        ErrorKind::AddrInUse => "another program listens there: end it, or name another address",
        ErrorKind::AddrNotAvailable => {
            "this machine has no such address: name one of its own, or 0.0.0.0 for all"
        }
        ErrorKind::PermissionDenied => {
            "ports below 1024 are root's: name another one, or give evenkeel the capability CAP_NET_BIND_SERVICE"
        }
        _ => "check the limits of this machine: `ulimit -n` (descriptors) and `ulimit -u` (threads)",
    }
}
