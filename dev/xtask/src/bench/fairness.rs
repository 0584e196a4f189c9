//! Small requests beside a bulk transfer: what a neighbour pays for it.
//!
//! Client and endpoint of the bulk transfer have the least priority there is, so that on the core that they share
//! with client and endpoint of the small requests these come first: what is left is the proxy's doing.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{Builder, sleep};
use std::time::{Duration, Instant};

use super::message::{self, Body, Incoming};
use super::proc::{LOAD_CORE, pin};
use super::report::{Fairness, rounded};
use crate::Fallible;

/// A bulk transfer, as fast as loopback goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bulk {
    /// A response that does not end.
    Download,
    /// A request that does not end.
    Upload,
    /// An upgraded connection, whose endpoint never stops sending.
    Tunnel,
    /// Small requests without a wait for their responses.
    Pipelining,
}

impl Bulk {
    pub(super) const ALL: [Self; 4] = [Self::Download, Self::Upload, Self::Tunnel, Self::Pipelining];

    /// For tables.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Download => "download",
            Self::Upload => "upload",
            Self::Tunnel => "tunnel",
            Self::Pipelining => "pipelining",
        }
    }

    /// What its client sends first.
    fn request(self) -> Vec<u8> {
        match self {
            Self::Download => message::get(DOWNLOAD, false),
            Self::Upload => {
                let fields = format!("Host: bulk\r\nContent-Length: {ENDLESS}\r\n\r\n");
                format!("POST {UPLOAD} HTTP/1.1\r\n{fields}").into_bytes()
            }
            Self::Tunnel => {
                let fields = "Host: bulk\r\nConnection: Upgrade\r\nUpgrade: bulk\r\n\r\n";
                format!("GET {TUNNEL} HTTP/1.1\r\n{fields}").into_bytes()
            }
            Self::Pipelining => Vec::new(),
        }
    }
}

/// Asks for `requests` small responses, one after the other, without and then with a bulk transfer beside them.
///
/// # Errors
/// When a request fails, or the transfer does not move.
pub(super) fn run(to: SocketAddrV4, bulk: Bulk, requests: usize) -> Fallible<Fairness> {
    let mut client = SmallClient::connect(to)?;
    client.ask(WARM_UP)?;
    let alone = client.ask(requests)?;
    let transfer = Transfer::start(to, bulk)?;
    let deadline = Instant::now() + PATIENCE;
    while transfer.moved() == 0 {
        if Instant::now() > deadline {
            return Err(format!("the {} does not move", bulk.name()).into());
        }
        sleep(Duration::from_millis(1));
    }
    sleep(SETTLE);
    let (begin, before) = (Instant::now(), transfer.moved());
    let beside = client.ask(requests)?;
    let (seconds, moved) = (begin.elapsed().as_secs_f64(), transfer.moved() - before);
    let millis = |took: Option<&Duration>| rounded(took.map_or(0.0, |took| took.as_secs_f64() * 1e3));
    Ok(Fairness {
        alone_worst_ms: millis(alone.last()),
        beside_worst_ms: millis(beside.last()),
        beside_p99_ms: millis(beside.get(requests * 99 / 100)),
        bulk_mib_per_second: rounded(moved as f64 / (1024.0 * 1024.0) / seconds),
    })
}

/// A client that waits for each response before its next request.
struct SmallClient(TcpStream);

impl SmallClient {
    fn connect(to: SocketAddrV4) -> Fallible<Self> {
        let stream = TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(stream))
    }

    /// How long each took, sorted.
    fn ask(&mut self, requests: usize) -> Fallible<Vec<Duration>> {
        let request = message::get(SMALL, false);
        let mut scratch = [0; 4096];
        let mut took = Vec::with_capacity(requests);
        for _ in 0..requests {
            let begin = Instant::now();
            self.0.write_all(&request)?;
            let mut incoming = Incoming::default();
            loop {
                let count = self.0.read(&mut scratch)?;
                if count == 0 {
                    return Err("closed without a response".into());
                }
                if incoming.take(&scratch[..count], SMALL_BODY)? {
                    break;
                }
            }
            took.push(begin.elapsed());
        }
        took.sort_unstable();
        Ok(took)
    }
}

/// A bulk transfer under way. Dropping it ends it.
struct Transfer {
    stream: TcpStream,
    moved: Arc<AtomicU64>,
}

impl Transfer {
    fn start(to: SocketAddrV4, bulk: Bulk) -> Fallible<Self> {
        let mut stream = TcpStream::connect(to)?;
        stream.write_all(&bulk.request())?;
        let moved = Arc::new(AtomicU64::new(0));
        let (reader, count) = (stream.try_clone()?, Arc::clone(&moved));
        in_background("bulk client", move || drain(reader, &count))?;
        let (writer, count) = (stream.try_clone()?, Arc::clone(&moved));
        match bulk {
            Bulk::Download | Bulk::Tunnel => {}
            Bulk::Upload => in_background("bulk client", move || flood(writer, &[b'u'; PIECE], &count))?,
            Bulk::Pipelining => {
                let requests = message::get(SMALL, false).repeat(PIPELINED);
                in_background("bulk client", move || flood(writer, &requests, &count))?;
            }
        }
        Ok(Self { stream, moved })
    }

    fn moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        // Its threads end with it; a proxy may have closed it already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// What both kinds of request are answered by. Dropping it ends it.
pub(super) struct BulkEndpoint {
    address: SocketAddrV4,
    stop: Arc<AtomicBool>,
}

impl BulkEndpoint {
    /// Listens on loopback.
    ///
    /// # Errors
    /// When it can not.
    pub(super) fn start() -> Fallible<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, listener.local_addr()?.port());
        let stop = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&stop);
        Builder::new().name("endpoint".into()).spawn(move || {
            let pinned = pin(&[LOAD_CORE]);
            for stream in listener.incoming() {
                if ended.load(Ordering::Relaxed) || pinned.is_err() {
                    return;
                }
                let Ok(stream) = stream else { continue };
                // A connection that is not served is closed, which its client tells.
                let _ = Builder::new()
                    .name("endpoint".into())
                    .spawn(move || answer(stream));
            }
        })?;
        Ok(Self { address, stop })
    }

    /// Where it is.
    pub(super) fn address(&self) -> SocketAddrV4 {
        self.address
    }
}

impl Drop for BulkEndpoint {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // It looks at `stop` when somebody comes.
        let _ = TcpStream::connect(self.address);
    }
}

/// Answers requests until the peer ends, or wants something that does not end.
fn answer(mut stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let small = message::response(SMALL_BODY);
    let (mut kept, mut scratch) = (Vec::new(), vec![0; PIECE]);
    let none = AtomicU64::new(0);
    loop {
        while let Some(end) = message::head_end(&kept) {
            let head: Vec<u8> = kept.drain(..end).collect();
            let path = head.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
            let answered = match path {
                _ if path == DOWNLOAD.as_bytes() => stream
                    .write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {ENDLESS}\r\n\r\n").as_bytes()),
                _ if path == TUNNEL.as_bytes() => stream.write_all(
                    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: bulk\r\n\r\n",
                ),
                _ if path == UPLOAD.as_bytes() => Ok(()),
                _ => stream.write_all(&small),
            };
            if answered.is_err() {
                return;
            }
            if path == SMALL.as_bytes() {
                continue;
            }
            yield_to_others();
            return match path {
                _ if path == UPLOAD.as_bytes() => drain(stream, &none),
                _ => flood(stream, &[b'd'; PIECE], &none),
            };
        }
        match stream.read(&mut scratch) {
            Ok(0) => return,
            Ok(count) => kept.extend_from_slice(&scratch[..count]),
            Err(why) if why.kind() == ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// Writes the same again and again until the connection ends.
fn flood(mut stream: TcpStream, piece: &[u8], count: &AtomicU64) {
    while stream.write_all(piece).is_ok() {
        count.fetch_add(piece.len() as u64, Ordering::Relaxed);
    }
}

/// Reads until the connection ends.
fn drain(mut stream: TcpStream, count: &AtomicU64) {
    let mut scratch = vec![0; PIECE];
    while let Ok(read) = stream.read(&mut scratch) {
        if read == 0 {
            return;
        }
        count.fetch_add(read as u64, Ordering::Relaxed);
    }
}

fn in_background(name: &str, task: impl FnOnce() + Send + 'static) -> Fallible<()> {
    Builder::new().name(name.into()).spawn(move || {
        if pin(&[LOAD_CORE]).is_ok() {
            yield_to_others();
            task();
        }
    })?;
    Ok(())
}

/// From now on this thread runs when no other wants to.
fn yield_to_others() {
    // On Linux it is the calling thread's own priority; to lower it needs no right.
    let _ = rustix::process::setpriority_process(None, LEAST);
}

const SMALL: &str = "/small";
const DOWNLOAD: &str = "/download";
const UPLOAD: &str = "/upload";
const TUNNEL: &str = "/tunnel";
const SMALL_BODY: Body = Body::Length(100);
/// More than any run moves.
const ENDLESS: u64 = 1 << 40;
/// What is written or read at once.
const PIECE: usize = 256 * 1024;
/// Requests that are written at once.
const PIPELINED: usize = 100;
/// Small requests before any counts.
const WARM_UP: usize = 200;
/// Until a transfer has its pace.
const SETTLE: Duration = Duration::from_millis(300);
/// Longer than any proxy makes a small request wait, short enough for a run.
const PATIENCE: Duration = Duration::from_secs(10);
/// The least priority of a thread.
const LEAST: i32 = 19;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_proxy_every_transfer_moves_and_small_requests_go_on() -> Fallible<()> {
        let endpoint = BulkEndpoint::start()?;
        for bulk in Bulk::ALL {
            let fairness = run(endpoint.address(), bulk, 50).map_err(|why| format!("{bulk:?}: {why}"))?;
            assert!(fairness.beside_p99_ms <= fairness.beside_worst_ms, "{fairness:?}");
        }
        Ok(())
    }
}
