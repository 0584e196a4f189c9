//! `cargo xtask real --reloads`: servers reload, or their workers leave after so many requests, while POSTs come. By
//! evenkeel and by nginx at once, so that both meet the same reloads.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::task::{JoinSet, LocalSet};

use super::RealArgs;
use super::servers::{RunningServer, Server};
use crate::race::client::PROXY_PORT;
use crate::race::cost::ask;
use crate::race::dice::Dice;
use crate::race::install;
use crate::race::ledger::Ledger;
use crate::race::net::{Lab, lane_address};
use crate::race::peers::{Peer, Site};
use crate::race::signals::{self, Stop};
use crate::{Fallible, Verdict};

/// How much comes, with `--reloads`.
#[derive(Args, Clone, Debug)]
pub(super) struct LoadArgs {
    /// With --reloads: POSTs a second by each proxy
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=5000))]
    rate: u32,
    /// With --reloads: seconds for each server
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(5..=600))]
    seconds: u64,
}

/// A server and how its workers leave.
struct Leaving {
    name: &'static str,
    /// What the proxies' logs are called by.
    log: &'static str,
    server: Server,
    arguments: &'static [&'static str],
    /// SIGHUP, again and again; else they leave by themselves.
    reloads: bool,
}

const LEAVING: [Leaving; 5] = [
    Leaving {
        name: "nginx, SIGHUP",
        log: "nginx-reload",
        server: Server::Nginx,
        arguments: &[],
        reloads: true,
    },
    Leaving {
        name: "uvicorn, 2 workers, SIGHUP",
        log: "uvicorn-reload",
        server: Server::Uvicorn,
        arguments: &["--workers", "2"],
        reloads: true,
    },
    Leaving {
        name: "uvicorn, 2 workers, --limit-max-requests 1000",
        log: "uvicorn-worn",
        server: Server::Uvicorn,
        arguments: &["--workers", "2", "--limit-max-requests", "1000"],
        reloads: false,
    },
    Leaving {
        name: "gunicorn, 2 workers, SIGHUP",
        log: "gunicorn-reload",
        server: Server::Gunicorn,
        arguments: &["--workers", "2"],
        reloads: true,
    },
    Leaving {
        name: "gunicorn, 2 workers, --max-requests 1000",
        log: "gunicorn-worn",
        server: Server::Gunicorn,
        arguments: &[
            "--workers",
            "2",
            "--max-requests",
            "1000",
            "--max-requests-jitter",
            "500",
        ],
        reloads: false,
    },
];

/// evenkeel, and whom it is held beside.
const PEERS: [Peer; 2] = [Peer::EvenkeelOn, Peer::NginxBest];

/// One POST.
#[derive(Clone, Copy, Debug)]
struct Post {
    id: u64,
    /// The status of its answer, if one came.
    status: Option<u16>,
    took: Duration,
}

/// What became of one proxy's POSTs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    posts: usize,
    failed: usize,
    /// Failed, and the server never applied it.
    unread: usize,
    twice: usize,
    /// Answered with success and never applied.
    lost: usize,
    p50: Duration,
    p99: Duration,
}

/// Runs it.
///
/// # Errors
/// When the lab can not be built or a proxy does not start. A server that can not run is skipped, and said so.
pub(super) fn run(args: &RealArgs) -> Fallible<Verdict> {
    let stop = signals::stop_on_signal()?;
    let evenkeel = args.output.program(true)?;
    for peer in PEERS {
        peer.ensure_installed()?;
    }
    let (mut text, mut missed) = (String::new(), Vec::new());
    for leaving in LEAVING.iter().filter(|one| args.servers.contains(&one.server)) {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let lab = Lab::new(Duration::from_millis(args.delay))?;
        let server = match leaving.server.start(&lab.backend_side, leaving.arguments) {
            Ok(server) => server,
            Err(why) => {
                let _ = writeln!(text, "skipped {}: {why}\n", leaving.name);
                continue;
            }
        };
        let lanes: Vec<[(String, SocketAddrV4); 1]> = (0..PEERS.len())
            .map(|nth| [("/pay".to_owned(), lane_address(nth, leaving.server.port()))])
            .collect();
        let mut proxies = Vec::new();
        for ((peer, lanes), port) in PEERS.iter().zip(&lanes).zip(PROXY_PORT..) {
            proxies.push(peer.start(&Site {
                namespace: &lab.proxy_side,
                port,
                lanes,
                attempt_timeout: None,
                evenkeel: &evenkeel,
                log: install::lanes_directory()?.join(format!("{}-{}.log", peer.name(), leaving.log)),
            })?);
        }
        eprintln!("{}: {} s", leaving.name, args.load.seconds);
        let posts = lab
            .proxy_side
            .run(|| load(&args.load, leaving, &server, &stop))??;
        drop(proxies);
        let ledger = server.finish()?;
        let counts: Vec<Count> = posts.iter().map(|posts| Count::of(posts, &ledger)).collect();
        text.push_str(&table(leaving.name, &counts));
        missed.extend(
            misses(&counts)
                .into_iter()
                .map(|why| format!("{}: {why}", leaving.name)),
        );
    }
    args.output.judge(&text, &missed)
}

/// The POSTs of each proxy.
fn load(args: &LoadArgs, leaving: &Leaving, server: &RunningServer, stop: &Stop) -> Fallible<Vec<Vec<Post>>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let until = Instant::now() + Duration::from_secs(args.seconds);
    let mean = Duration::from_secs(LANES) / args.rate;
    runtime.block_on(LocalSet::new().run_until(async {
        let mut lanes = JoinSet::new();
        for nth in 0..PEERS.len() {
            let port = PROXY_PORT + u16::try_from(nth)?;
            for lane in 0..LANES {
                let lane = nth as u64 * LANES + lane;
                lanes.spawn_local(posts(lane, port, mean, until, stop.clone()));
            }
        }
        let over = || Instant::now() >= until || stop.load(Ordering::Relaxed);
        let mut all = vec![Vec::new(); PEERS.len()];
        let mut reload = tokio::time::interval(RELOADED_EVERY);
        while !over() {
            reload.tick().await;
            if leaving.reloads && !over() {
                server.reload();
            }
        }
        while let Some(lane) = lanes.join_next().await {
            let (lane, posts) = lane?;
            all[usize::try_from(lane / LANES)?].extend(posts);
        }
        Ok(all)
    }))
}

/// One client connection's POSTs, about `mean` apart, by chance.
async fn posts(lane: u64, port: u16, mean: Duration, until: Instant, stop: Stop) -> (u64, Vec<Post>) {
    let to = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    let mut dice = Dice::new(lane + 1);
    let (mut connection, mut posts) = (None, Vec::new());
    let mut next = Instant::now();
    for nth in 1.. {
        let unit = dice.between(1, 1_000_000) as f64 / 1e6;
        next = (next + mean.mul_f64(-unit.ln())).max(Instant::now());
        tokio::time::sleep_until(next.into()).await;
        if Instant::now() >= until || stop.load(Ordering::Relaxed) {
            break;
        }
        let id = lane << 32 | nth;
        let request = format!(
            "POST /pay HTTP/1.1\r\nHost: race.test\r\nX-Race-Id: {id:016x}\r\nContent-Length: 4\r\n\r\npaid"
        );
        let started = Instant::now();
        let status = ask(&mut connection, to, &request).await;
        posts.push(Post {
            id,
            status,
            took: started.elapsed(),
        });
    }
    (lane, posts)
}

impl Count {
    fn of(posts: &[Post], ledger: &Ledger) -> Self {
        let applied = |post: &&Post| ledger.get(&post.id).copied().unwrap_or(0);
        let (good, bad): (Vec<&Post>, Vec<&Post>) = posts
            .iter()
            .partition(|post| matches!(post.status, Some(200..=299)));
        let mut took: Vec<Duration> = good.iter().map(|post| post.took).collect();
        took.sort_unstable();
        let at = |percent: usize| took.get(took.len() * percent / 100).copied().unwrap_or_default();
        Self {
            posts: posts.len(),
            failed: bad.len(),
            unread: bad.iter().filter(|post| applied(post) == 0).count(),
            twice: posts.iter().filter(|post| applied(post) > 1).count(),
            lost: good.iter().filter(|post| applied(post) == 0).count(),
            p50: at(50),
            p99: at(99),
        }
    }
}

fn table(name: &str, counts: &[Count]) -> String {
    let mut text = format!(
        "{name}\n  {:14}{:>8}{:>8}{:>15}{:>7}{:>6}{:>9}{:>9}\n",
        "", "POSTs", "failed", "never applied", "twice", "lost", "p50 ms", "p99 ms"
    );
    for (peer, count) in PEERS.iter().zip(counts) {
        let ms = |span: Duration| format!("{:.1}", span.as_secs_f64() * 1000.0);
        // Writing to a String can not fail.
        let _ = writeln!(
            text,
            "  {:14}{:>8}{:>8}{:>15}{:>7}{:>6}{:>9}{:>9}",
            peer.name(),
            count.posts,
            count.failed,
            count.unread,
            count.twice,
            count.lost,
            ms(count.p50),
            ms(count.p99)
        );
    }
    text.push('\n');
    text
}

/// In which respects evenkeel, the first, misses the bar that nginx sets.
fn misses(counts: &[Count]) -> Vec<String> {
    let [ours, theirs] = counts else { return Vec::new() };
    let mut missed = Vec::new();
    if ours.unread * 2 > theirs.unread.max(1) {
        missed.push(format!(
            "{} POSTs failed that were never applied, at most half of {}",
            ours.unread, theirs.unread
        ));
    }
    for (what, count) in [("applied twice", ours.twice), ("lost", ours.lost)] {
        if count > 0 {
            missed.push(format!("{count} POSTs {what}"));
        }
    }
    missed
}

/// Client connections to each proxy.
const LANES: u64 = 60;
const RELOADED_EVERY: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn posts_are_held_against_the_ledger() {
        let post = |id, status| Post {
            id,
            status,
            took: Duration::from_millis(id),
        };
        let posts = [
            post(1, Some(200)),
            post(2, Some(503)),
            post(3, None),
            post(4, Some(200)),
            post(5, Some(200)),
        ];
        let ledger = Ledger::from([(1, 1), (3, 1), (4, 2)]);
        let count = Count::of(&posts, &ledger);
        let wanted = Count {
            posts: 5,
            failed: 2,
            unread: 1,
            twice: 1,
            lost: 1,
            p50: Duration::from_millis(4),
            p99: Duration::from_millis(5),
        };
        assert_eq!(count, wanted);
        assert_eq!(misses(&[count, wanted]).len(), 3);
        let clean = Count::default();
        assert_eq!(misses(&[clean, wanted]), Vec::<String>::new());
    }
}
