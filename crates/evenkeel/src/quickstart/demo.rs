//! The demo upstream: a small HTTP/1.1 server that closes a connection after one idle second, with
//! a plain close() on a real socket, as Node, uvicorn or gunicorn do after theirs.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout_at};

/// Idle connections are closed at this age.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(1);
/// The field by which the demo client numbers its requests: `lane-number`.
pub(crate) const ID_FIELD: &str = "x-demo-id";
/// A request of the demo client is a few hundred bytes; more is not its.
const REQUEST_BYTES_MAX: usize = 16 * 1024;

/// What the upstream has applied: the witness of duplicates.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// The latest number applied, by lane. A lane numbers upwards and waits for each answer, so a
    /// number that is not above the last one was applied before.
    latest: HashMap<u64, u64>,
    duplicates: u64,
}

impl Ledger {
    fn apply(&mut self, lane: u64, number: u64) {
        let latest = self.latest.entry(lane).or_default();
        if number > *latest {
            *latest = number;
        } else {
            self.duplicates += 1;
        }
    }
}

/// The running demo upstream; its thread lasts as long as the process.
#[derive(Debug)]
pub(crate) struct Demo {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    ledger: Arc<Mutex<Ledger>>,
}

impl Demo {
    /// Starts it on a free port of the loopback.
    pub(crate) fn start() -> io::Result<Self> {
        let listener = StdListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let ledger = Arc::<Mutex<Ledger>>::default();
        let applied = Arc::clone(&ledger);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        thread::Builder::new()
            .name("demo-upstream".into())
            .spawn(move || runtime.block_on(accept(listener, &applied)))?;
        Ok(Self { address, ledger })
    }

    /// How often a POST was applied that had been applied before.
    pub(crate) fn duplicates(&self) -> u64 {
        self.ledger
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .duplicates
    }
}

async fn accept(listener: StdListener, ledger: &Arc<Mutex<Ledger>>) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(serve(stream, Arc::clone(ledger)));
    }
}

/// Serves one connection until it has been idle for [`IDLE_TIMEOUT`], then closes it.
async fn serve(mut stream: TcpStream, ledger: Arc<Mutex<Ledger>>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(1024);
    let mut idle_until = Instant::now() + IDLE_TIMEOUT;
    loop {
        if let Some(length) = request_length(&buffer)? {
            answer(&buffer[..length], &ledger);
            buffer.drain(..length);
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n")
                .await?;
            idle_until = Instant::now() + IDLE_TIMEOUT;
            continue;
        }
        let idle = timeout_at(idle_until, stream.readable()).await.is_err() && !has_bytes(&stream);
        if idle || stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
}

/// The last look before a close: a server that skips it resets requests it has already received.
fn has_bytes(stream: &TcpStream) -> bool {
    matches!(sys::peek(stream, &mut [0]), sys::Peek::Bytes(_))
}

/// The length of the first request in `buffer`, once it is whole.
pub(crate) fn request_length(buffer: &[u8]) -> io::Result<Option<usize>> {
    if buffer.len() > REQUEST_BYTES_MAX {
        return Err(ErrorKind::InvalidData.into());
    }
    let Some(head) = buffer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let body = field(&buffer[..head], "content-length")
        .and_then(|value| value.parse().ok())
        .unwrap_or(0);
    let length = head + 4 + body;
    Ok((buffer.len() >= length).then_some(length))
}

fn answer(request: &[u8], ledger: &Mutex<Ledger>) {
    let id = field(request, ID_FIELD).and_then(|id| id.split_once('-'));
    if let Some((lane, number)) =
        id.and_then(|(lane, number)| Some((lane.parse().ok()?, number.parse().ok()?)))
        && request.starts_with(b"POST ")
    {
        ledger
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .apply(lane, number);
    }
}

fn field<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    let text = std::str::from_utf8(head).ok()?;
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_comes_again_is_a_duplicate() {
        let mut ledger = Ledger::default();
        [(1, 1), (1, 2), (2, 1), (1, 2)]
            .into_iter()
            .for_each(|(lane, number)| ledger.apply(lane, number));
        assert_eq!(ledger.duplicates, 1);
    }

    #[test]
    fn a_request_is_whole_when_its_body_is() {
        let request = b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nab";
        assert_eq!(
            request_length(&request[..request.len() - 1]).expect("small"),
            None
        );
        assert_eq!(request_length(request).expect("small"), Some(request.len()));
    }

    #[test]
    fn an_idle_connection_is_closed_after_one_second() {
        use std::io::{Read as _, Write as _};
        let demo = Demo::start().expect("a free port");
        let mut client = std::net::TcpStream::connect(demo.address).expect("listening");
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("open");
        let mut answer = [0; 64];
        let count = client.read(&mut answer).expect("answered");
        assert!(answer[..count].starts_with(b"HTTP/1.1 200"));
        let since = std::time::Instant::now();
        assert_eq!(client.read(&mut answer).expect("a FIN, no reset"), 0);
        let idle = since.elapsed();
        assert!(
            idle > Duration::from_millis(950) && idle < Duration::from_millis(1500),
            "{idle:?}"
        );
    }
}
