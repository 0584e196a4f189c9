//! The demo client: some lanes that keep their connections to the gateway open, fall silent
//! together, and speak again just when the upstream closes what was left idle.

use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use policy::time::Dice;

use super::demo::{ID_FIELD, IDLE_TIMEOUT};

/// Lanes, each with one connection to the gateway and one request at a time.
pub(crate) const LANES: u64 = 32;
/// Requests of a lane before it falls silent.
const BURST: u32 = 4;
/// Three silences of four are aimed at the upstream's idle timeout, at most this far from it. The
/// fourth is shorter, so that the connections have something to be reused for.
const AIM: Duration = Duration::from_millis(4);
/// An answer later than this is an error.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the client saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Requests that got an answer or an error.
    pub(crate) requests: AtomicU64,
    /// Answers other than 200, and connections that broke.
    pub(crate) errors: AtomicU64,
}

/// The running client.
#[derive(Debug)]
pub(crate) struct Client {
    /// What it saw so far.
    pub(crate) seen: Arc<Seen>,
    stop: Arc<AtomicBool>,
    lanes: Vec<JoinHandle<()>>,
}

impl Client {
    /// Starts the lanes against the gateway.
    pub(crate) fn start(gateway: SocketAddr, seed: u64) -> io::Result<Self> {
        let (seen, stop) = (Arc::<Seen>::default(), Arc::<AtomicBool>::default());
        let begin = Instant::now();
        let lanes = (1..=LANES)
            .map(|number| {
                let (seen, stop) = (Arc::clone(&seen), Arc::clone(&stop));
                let lane = Lane {
                    number,
                    gateway,
                    connection: None,
                    asked: 0,
                };
                thread::Builder::new()
                    .name(format!("lane-{number}"))
                    .spawn(move || lane.run(Rounds::seeded(seed, begin), &seen, &stop))
            })
            .collect::<io::Result<_>>()?;
        Ok(Self { seen, stop, lanes })
    }

    /// Lets every lane finish its request, and ends.
    pub(crate) fn stop(self) -> Arc<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        for lane in self.lanes {
            drop(lane.join());
        }
        self.seen
    }
}

/// When the lanes speak: the same throws for each, so that they fall silent together.
struct Rounds {
    dice: Dice,
    next: Instant,
}

impl Rounds {
    fn seeded(seed: u64, begin: Instant) -> Self {
        Self {
            dice: Dice::seeded(seed),
            next: begin,
        }
    }

    /// The next round's beginning.
    fn next(&mut self) -> Instant {
        let silence = match self.dice.below(4) {
            0 => Duration::from_millis(100) + self.dice.up_to(IDLE_TIMEOUT / 2),
            _ => IDLE_TIMEOUT - AIM / 2 + self.dice.up_to(AIM),
        };
        self.next += silence;
        self.next
    }

    /// A round ended later than it began: silence is counted from its last answer.
    fn ended(&mut self, at: Instant) {
        self.next = self.next.max(at);
    }
}

struct Lane {
    number: u64,
    gateway: SocketAddr,
    connection: Option<BufReader<TcpStream>>,
    asked: u64,
}

impl Lane {
    fn run(mut self, mut rounds: Rounds, seen: &Seen, stop: &AtomicBool) {
        // Each lane's own throws: GET or POST. The rounds' throws stay common.
        let mut dice = Dice::seeded(self.number);
        loop {
            thread::sleep(rounds.next().saturating_duration_since(Instant::now()));
            for _ in 0..BURST {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let method = if dice.below(3) == 0 { "POST" } else { "GET" };
                let answered = self.ask(method);
                if !matches!(answered, Ok(200)) {
                    seen.errors.fetch_add(1, Ordering::Relaxed);
                    self.connection = None;
                }
                seen.requests.fetch_add(1, Ordering::Relaxed);
            }
            rounds.ended(Instant::now());
        }
    }

    /// One request and its answer's status.
    fn ask(&mut self, method: &str) -> io::Result<u16> {
        self.asked += 1;
        let body = if method == "POST" { "{\"paid\": true}" } else { "" };
        let request = format!(
            "{method} /demo HTTP/1.1\r\nhost: demo.example\r\n{ID_FIELD}: {}-{}\r\ncontent-length: {}\r\n\r\n{body}",
            self.number,
            self.asked,
            body.len()
        );
        let connection = match &mut self.connection {
            Some(connection) => connection,
            empty => empty.insert(BufReader::new(dial(self.gateway)?)),
        };
        connection.get_mut().write_all(request.as_bytes())?;
        read_answer(connection)
    }
}

fn dial(gateway: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&gateway, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Reads one answer to its end; the gateway's answers here all have a length.
fn read_answer(connection: &mut BufReader<TcpStream>) -> io::Result<u16> {
    let mut line = String::new();
    connection.read_line(&mut line)?;
    let status = line
        .get(9..12)
        .and_then(|code| code.parse().ok())
        .ok_or(ErrorKind::UnexpectedEof)?;
    let mut length = 0;
    loop {
        line.clear();
        if connection.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if line == "\r\n" {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().map_err(|_| ErrorKind::InvalidData)?;
        }
    }
    io::copy(&mut connection.take(length), &mut io::sink())?;
    Ok(status)
}
