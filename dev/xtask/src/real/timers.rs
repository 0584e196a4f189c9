//! `cargo xtask real --timers`: when each server closes an idle connection by itself, and how. No proxy takes part.

use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};

use super::RealArgs;
use super::servers::{RunningServer, Server};
use crate::race::message::Wired;
use crate::race::net::{Lab, lane_address};
use crate::{Fallible, Verdict};

/// One idle connection's end.
#[derive(Clone, Debug)]
struct Closed {
    server: Server,
    /// From the answer's last byte; `None` if it stayed open for as long as was waited.
    after: Option<Duration>,
    how: How,
    /// What the answer said of it.
    announced: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// Whole: a request behind the FIN is reset or goes unanswered.
    Fin,
    /// Half: a request behind the FIN is answered.
    HalfClose,
    Reset,
    NotAtAll,
}

/// Runs it.
///
/// # Errors
/// When the lab can not be built.
pub(super) fn run(args: &RealArgs) -> Fallible<Verdict> {
    let lab = Lab::new(Duration::from_millis(args.delay))?;
    let mut running: Vec<(Server, RunningServer)> = Vec::new();
    for server in &args.servers {
        match server.start(&lab.backend_side, &[]) {
            Ok(started) => running.push((*server, started)),
            Err(why) => eprintln!("skipped {}: {why}", server.name()),
        }
    }
    eprintln!("idle for {} s at most", LONGEST.as_secs());
    let servers: Vec<Server> = running.iter().map(|(server, _)| *server).collect();
    let closed = lab.backend_side.run(|| measure(&servers))??;
    drop(running);
    println!(
        "{:10} {:>10} {:>10} {:>10}  {:22} announces",
        "server", "soonest s", "median s", "latest s", "closes by"
    );
    for server in servers {
        let mine: Vec<&Closed> = closed.iter().filter(|closed| closed.server == server).collect();
        println!("{:10} {}", server.name(), row(&mine));
    }
    Ok(Verdict::Passed)
}

fn measure(servers: &[Server]) -> Fallible<Vec<Closed>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(LocalSet::new().run_until(async {
        let mut lanes = JoinSet::new();
        for (lane, server) in servers.iter().enumerate() {
            for nth in 0..CONNECTIONS {
                let (server, to) = (*server, lane_address(lane, server.port()));
                lanes.spawn_local(async move {
                    // Apart from each other, so that sweeps of a server's timer show.
                    tokio::time::sleep(Duration::from_millis(137) * nth).await;
                    one(server, to, nth).await
                });
            }
        }
        let mut closed = Vec::new();
        while let Some(ended) = lanes.join_next().await {
            match ended? {
                Ok(one) => closed.push(one),
                Err(why) => eprintln!("a connection: {why}"),
            }
        }
        Ok(closed)
    }))
}

async fn one(server: Server, to: SocketAddrV4, nth: u32) -> Fallible<Closed> {
    let mut wired = Wired::new(TcpStream::connect(std::net::SocketAddr::V4(to)).await?);
    let request = |nth: u32| {
        format!(
            "POST / HTTP/1.1\r\nHost: race.test\r\nX-Race-Id: {nth:016x}\r\nContent-Length: 4\r\n\r\npaid"
        )
    };
    wired.write(request(nth).as_bytes()).await?;
    let head = wired.head().await?.ok_or("no answer")?;
    wired.response_body(&head).await?;
    let answered = Instant::now();
    let fields = ["keep-alive", "connection"];
    let said = fields
        .iter()
        .filter_map(|name| Some(format!("{name}: {}", head.field(name)?)));
    let mut closed = Closed {
        server,
        after: None,
        how: How::NotAtAll,
        announced: said.collect::<Vec<_>>().join(", "),
    };
    let mut stream = wired.stream;
    let mut byte = [0; 1];
    let Ok(ended) = tokio::time::timeout(LONGEST, stream.read(&mut byte)).await else {
        return Ok(closed);
    };
    closed.after = Some(answered.elapsed());
    closed.how = How::Reset;
    if ended.is_ok() {
        let second = async {
            stream.write_all(request(nth + CONNECTIONS).as_bytes()).await?;
            stream.read(&mut byte).await
        };
        let second = tokio::time::timeout(Duration::from_secs(1), second).await;
        closed.how = match second {
            Ok(Ok(1)) => How::HalfClose,
            _ => How::Fin,
        };
    }
    Ok(closed)
}

fn row(closed: &[&Closed]) -> String {
    let mut ages: Vec<f64> = closed
        .iter()
        .filter_map(|closed| Some(closed.after?.as_secs_f64()))
        .collect();
    ages.sort_unstable_by(f64::total_cmp);
    let at = |place: usize| {
        ages.get(place)
            .map_or_else(|| "-".into(), |age| format!("{age:.3}"))
    };
    let (soonest, median, latest) = (at(0), at(ages.len() / 2), at(ages.len().saturating_sub(1)));
    let count = |how: How| closed.iter().filter(|closed| closed.how == how).count();
    let kinds = [
        (How::Fin, "FIN"),
        (How::HalfClose, "half-close"),
        (How::Reset, "RST"),
        (How::NotAtAll, "not in time"),
    ];
    let kinds: Vec<String> = kinds
        .into_iter()
        .filter(|(how, _)| count(*how) > 0)
        .map(|(how, name)| format!("{name} {}", count(how)))
        .collect();
    let announced = closed.first().map_or("", |closed| closed.announced.as_str());
    let announced = if announced.is_empty() {
        "nothing"
    } else {
        announced
    };
    format!(
        "{soonest:>10} {median:>10} {latest:>10}  {:22} {announced}",
        kinds.join(", ")
    )
}

/// Connections of each server.
const CONNECTIONS: u32 = 20;
/// Beyond the longest default of all, nginx's 75 s.
const LONGEST: Duration = Duration::from_secs(80);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_tells_ages_and_ways_apart() {
        let closed = |ms: Option<u64>, how| Closed {
            server: Server::Go,
            after: ms.map(Duration::from_millis),
            how,
            announced: String::new(),
        };
        let all = [
            closed(Some(5200), How::Fin),
            closed(Some(5000), How::Fin),
            closed(None, How::NotAtAll),
            closed(Some(5900), How::Reset),
        ];
        let row = row(&all.iter().collect::<Vec<_>>());
        let words: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(words[..3], ["5.000", "5.200", "5.900"]);
        assert!(
            row.contains("FIN 2, RST 1, not in time 1") && row.ends_with("nothing"),
            "{row}"
        );
    }
}
