//! `evenkeel quickstart`: a demo upstream that closes idle connections, the gateway before it and
//! a demo client whose pauses meet the closes, in one process and on real sockets.

mod client;
mod demo;
mod plain_pool;
mod report;
mod screen;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use config::model::LogSink;
use proxy::control::server::{Options, Server};

use self::client::{Client, LANES, Seen};
use self::demo::Demo;
use self::report::{Learned, Report, Witness};
use self::screen::Screen;
use crate::cli::{Format, LogFormat, QuickstartArgs};
use crate::complaint::Complaint;
use crate::{logging, ports, signals};

/// A terminal's lines are drawn this often; elsewhere a new line is printed every [`LINE_EVERY`].
const REWRITE_EVERY: Duration = Duration::from_millis(250);
const LINE_EVERY: Duration = Duration::from_secs(2);

/// Runs the demonstration for the span asked for, or until Ctrl-C.
pub(crate) fn quickstart(args: &QuickstartArgs) -> Result<ExitCode, Complaint> {
    logging::start("warn", LogFormat::Text)?;
    let (stop, stopped) = channel();
    signals::listen(move |ask| stop.send(ask).is_ok()).map_err(|why| failed("signals", &why))?;

    let demo = Demo::start().map_err(|why| failed("the demo upstream", &why))?;
    let listen = ports::free_from(args.listen.0)?;
    let admin = args.admin.0.map(ports::free_from).transpose()?;
    let server = start_gateway(&demo, listen, admin)?;
    let gateway = server.addresses().first().map_or(listen, |(_, address)| *address);
    introduce(args, &demo, gateway, server.admin_address());

    let seed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(1, |since| since.as_nanos() as u64);
    let client = Client::start(gateway, seed).map_err(|why| failed("the demo client", &why))?;
    let plain = args.compare.then(|| Plain::start(seed)).transpose();
    let plain = plain.map_err(|why| failed("the plain pool", &why))?;
    let end = args.span.map(|span| Instant::now() + span);
    let now = || {
        let plain = plain
            .as_ref()
            .map(|plain| witness(&plain.client.seen, &plain.demo));
        report(&server, witness(&client.seen, &demo), plain)
    };
    narrate(end, &stopped, now);
    let seen = client.stop();
    let plain = plain.map(|plain| witness(&plain.client.stop(), &plain.demo));
    let last = report(&server, witness(&seen, &demo), plain);
    match args.format {
        Format::Json => println!("{}", last.json()),
        Format::Text => print!("{}", last.table()),
    }
    Ok(if last.client.errors == 0 && last.client.duplicates == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn failed(what: &str, why: &std::io::Error) -> Complaint {
    Complaint::new(
        format!("{what}: {why}"),
        "check `ulimit -n`, `ulimit -u` and that 127.0.0.1 is up",
    )
}

fn start_gateway(demo: &Demo, listen: SocketAddr, admin: Option<SocketAddr>) -> Result<Server, Complaint> {
    let mut model = config::single(&format!("http://{}", demo.address), listen)
        .map_err(|mistakes| Complaint::rendered(mistakes.to_string()))?;
    model.access_log.sink = LogSink::Off;
    let options = Options {
        workers: 0,
        admin,
        drain_timeout: Duration::from_secs(1),
        state_file: None,
        unfinished_heads_max: proxy::control::server::UNFINISHED_HEADS_MAX,
        logging: None,
    };
    Server::start(model, options).map_err(|why| failed("the gateway", &why))
}

/// Says what runs where, on standard error, so that `--format json` has standard output to itself.
fn introduce(args: &QuickstartArgs, demo: &Demo, gateway: SocketAddr, admin: Option<SocketAddr>) {
    if gateway.port() != args.listen.0.port() {
        eprintln!(
            "port {} is taken, so the gateway listens on {}",
            args.listen.0.port(),
            gateway.port()
        );
    }
    if let (Some(wished), Some(admin)) = (args.admin.0, admin)
        && wished.port() != admin.port()
    {
        eprintln!(
            "port {} is taken, so the admin listens on {}",
            wished.port(),
            admin.port()
        );
    }
    eprintln!(
        "demo upstream  http://{}  closes connections after 1 s idle",
        demo.address
    );
    eprintln!("gateway        http://{gateway}  try: curl -i http://{gateway}/");
    if let Some(admin) = admin {
        eprintln!("admin          http://{admin}  try: curl http://{admin}/clusters");
    }
    eprintln!("demo client    {LANES} lanes, silent for about 1 s, so that requests meet the closes");
    if args.compare {
        eprintln!("plain pool     the same client through a stock keep-alive pool, side by side");
    }
    match args.span {
        Some(span) => eprintln!("ends after {} s, or with Ctrl-C\n", span.as_secs_f32()),
        None => eprintln!("ends with Ctrl-C\n"),
    }
}

/// Keeps a few lines up to date until the end or a signal.
fn narrate(end: Option<Instant>, stopped: &Receiver<signals::Ask>, report: impl Fn() -> Report) {
    let live = screen::is_live();
    let (mut screen, mut learned) = (Screen::default(), String::new());
    let step = if live { REWRITE_EVERY } else { LINE_EVERY };
    loop {
        let left = end.map_or(step, |end| end.saturating_duration_since(Instant::now()));
        match stopped.recv_timeout(step.min(left)) {
            Err(RecvTimeoutError::Timeout) if left > step || end.is_none() => {}
            Ok(signals::Ask::Reload | signals::Ask::Reopen) => {}
            _ => break,
        }
        let report = report();
        if live {
            screen.draw(&report.lines(screen::columns()));
            continue;
        }
        eprintln!("{}", report.line());
        // What was learned is long, and changes rarely.
        if report.sentence() != learned {
            learned = report.sentence();
            eprintln!("  learned: {learned}");
        }
    }
    screen.leave();
}

/// The counterfactual: the same client, a plain pool, and an upstream of its own, so that neither
/// disturbs the other's connections.
struct Plain {
    demo: Demo,
    client: Client,
}

impl Plain {
    fn start(seed: u64) -> std::io::Result<Self> {
        let demo = Demo::start()?;
        let client = Client::start(plain_pool::start(demo.address)?, seed)?;
        Ok(Self { demo, client })
    }
}

fn witness(seen: &Seen, demo: &Demo) -> Witness {
    Witness {
        requests: seen.requests.load(Ordering::Relaxed),
        errors: seen.errors.load(Ordering::Relaxed),
        duplicates: demo.duplicates(),
    }
}

fn report(server: &Server, client: Witness, plain: Option<Witness>) -> Report {
    Report::new(client, plain, &server.cluster_counters(), Learned::of(server))
}
