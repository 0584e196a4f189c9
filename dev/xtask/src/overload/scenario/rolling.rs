//! Four real servers (Node's http) restart one after the other, as a deployment does it: SIGTERM, on which
//! the server stops listening and ends what it has, a second of nothing, and up again.

use std::collections::HashMap;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Played, RATE, Trouble, WORK_MS, waits};
use crate::Fallible;
use crate::overload::alarms::Alarms;
use crate::overload::load::{ID_FIELD, Stream};
use crate::overload::peers::{Care, Route, free_port};
use crate::overload::report::Figure;
use crate::overload::shots::{Outcome, Shots};
use crate::overload::stage::Stage;
use crate::race::install;

pub(super) async fn play(stage: &Stage<'_>) -> Played {
    install::debian("node", "nodejs")?;
    let directory = tempfile::tempdir()?;
    let ledger = directory.path().join("ledger");
    File::create(&ledger)?;
    std::fs::write(
        directory.path().join(PROGRAM),
        include_str!("../programs/rolling.js"),
    )?;
    let mut servers = Vec::new();
    for _ in 0..SERVERS {
        servers.push(Server::start(free_port()?, directory.path(), &stage.alarms).await?);
    }
    let route = Route {
        path: "/",
        endpoints: servers.iter().map(|server| server.address).collect(),
    };
    let proxy = stage.proxy(&[route], Care::Usual, 1).await?;
    let load = stage.load(proxy.address);
    let post = Stream {
        name: "POST",
        method: "POST",
        path: "/",
        rate: POST_RATE,
    };
    let get = Stream {
        name: "GET",
        ..Stream::get("/", RATE)
    };
    let trouble = Trouble::from_now(stage, SPAN);
    let (start, span) = (trouble.start(stage), trouble.ends - trouble.start(stage));
    let between = Duration::from_secs(1) / RATE / 2;
    let ((), (), restarted) = tokio::join!(
        load.offer(get, start, span),
        load.offer(post, start + between, span),
        restart_all(&mut servers, trouble.begins, &stage.alarms),
    );
    restarted?;
    let shots = load.settle().await;
    drop(servers);
    Ok((figures(&trouble, &shots, &applied(&ledger)?), shots))
}

fn figures(trouble: &Trouble, shots: &Shots, applied: &HashMap<u64, u32>) -> Vec<Figure> {
    let counted = shots.due(trouble.begins, trouble.ends);
    let (gets, posts) = (counted.of("GET"), counted.of("POST"));
    let posted = shots.of("POST");
    let twice = posted.filter(|shot| applied.get(&shot.id).is_some_and(|times| *times > 1));
    let lost = posted.filter(|shot| shot.outcome == Outcome::Status(200) && !applied.contains_key(&shot.id));
    let slowest = |name, of: &Shots| Figure::maybe(name, of.within_ms(1.0), "ms");
    vec![
        waits("before: p50 / p99", &trouble.before(shots)),
        Figure::count("GET errors", gets.failed()).at_most(0.0),
        Figure::words("GET answers", gets.tally()),
        Figure::maybe("GET p99", gets.within_ms(0.99), "ms").at_most(P99_MAX_MS),
        slowest("GET max", &gets),
        Figure::count("POST errors", posts.failed()).at_most(0.0),
        Figure::words("POST answers", posts.tally()),
        Figure::maybe("POST p99", posts.within_ms(0.99), "ms").at_most(P99_MAX_MS),
        slowest("POST max", &posts),
        Figure::count("POST applied twice", twice.count()).at_most(0.0),
        Figure::count("POST lost", lost.count()).at_most(0.0),
    ]
}

/// A server under way. Dropping it ends it.
struct Server {
    address: SocketAddrV4,
    directory: PathBuf,
    child: Child,
}

impl Server {
    async fn start(port: u16, directory: &Path, alarms: &Alarms) -> Fallible<Self> {
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        let server = Self {
            address,
            directory: directory.to_owned(),
            child: spawn(address, directory).await?,
        };
        server.wait_until_it_listens(alarms).await?;
        Ok(server)
    }

    async fn restart(&mut self, alarms: &Alarms) -> Fallible<()> {
        kill(Pid::from_raw(i32::try_from(self.child.id())?), Signal::SIGTERM)?;
        let deadline = Instant::now() + END_TIMEOUT;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                return Err("a server does not end on SIGTERM".into());
            }
            alarms.after(Duration::from_millis(5)).await;
        }
        alarms.after(DOWN).await;
        self.child = spawn(self.address, &self.directory).await?;
        self.wait_until_it_listens(alarms).await
    }

    async fn wait_until_it_listens(&self, alarms: &Alarms) -> Fallible<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        while tokio::net::TcpStream::connect(self.address).await.is_err() {
            if Instant::now() > deadline {
                return Err(format!("a server does not listen after {START_TIMEOUT:?}").into());
            }
            alarms.after(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One after the other, `EVERY` apart.
async fn restart_all(servers: &mut [Server], from: Instant, alarms: &Alarms) -> Fallible<()> {
    for (index, server) in (0..).zip(servers) {
        alarms.until(from + EVERY * index).await;
        server.restart(alarms).await?;
    }
    Ok(())
}

/// On a thread of its own: a fork takes long enough to show in what is measured.
async fn spawn(address: SocketAddrV4, directory: &Path) -> Fallible<Child> {
    let mut command = Command::new("node");
    command.arg(PROGRAM).current_dir(directory);
    command
        .env("OVERLOAD_PORT", address.port().to_string())
        .env("OVERLOAD_LEDGER", directory.join("ledger"))
        .env("OVERLOAD_ID_FIELD", ID_FIELD.to_ascii_lowercase())
        .env("OVERLOAD_WORK_MS", WORK_MS.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::null());
    Ok(tokio::task::spawn_blocking(move || command.spawn()).await??)
}

/// How often each request was applied, by id.
fn applied(ledger: &Path) -> Fallible<HashMap<u64, u32>> {
    let mut applied = HashMap::new();
    for id in std::fs::read_to_string(ledger)?.lines() {
        *applied.entry(u64::from_str_radix(id, 16)?).or_default() += 1;
    }
    Ok(applied)
}

const PROGRAM: &str = "rolling.js";
const SERVERS: u32 = 4;
const POST_RATE: u32 = 200;
const P99_MAX_MS: f64 = 20.0;
const DOWN: Duration = Duration::from_secs(1);
const EVERY: Duration = Duration::from_secs(3);
const START_TIMEOUT: Duration = Duration::from_secs(10);
const END_TIMEOUT: Duration = Duration::from_secs(5);
/// All restarts.
pub(super) const SPAN: Duration = Duration::from_secs(EVERY.as_secs() * SERVERS as u64);
