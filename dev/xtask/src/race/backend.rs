//! The lab's backend: a process of its own, so that it can be killed. It closes idle connections in the
//! way it is told, fails the requests that ask for it, and writes the id of each request that it applied
//! to its standard output, which is the ledger.

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};

use super::dice::Dice;
use super::ledger::ends_with_its_input;
use super::message::{Digest, Head, Wired};
use super::plan::Way;
use crate::Fallible;

/// What a backend is told.
#[derive(Args, Clone, Debug)]
pub(crate) struct BackendArgs {
    /// Where it listens.
    #[arg(long)]
    listen: SocketAddrV4,
    /// Unix sockets on which it listens instead.
    #[arg(long)]
    sockets: Vec<PathBuf>,
    /// How it ends an idle connection, as the way of this name does.
    #[arg(long)]
    closing: Way,
    /// After how long.
    #[arg(long)]
    idle_ms: u64,
    /// A directory that remembers, over its death, which requests it has failed already.
    #[arg(long)]
    failed: Option<PathBuf>,
}

/// Runs the backend until its standard input ends, which it does when the lab does.
///
/// # Errors
/// When it can not listen.
pub(crate) fn run(args: BackendArgs) -> Fallible<()> {
    ends_with_its_input();
    super::raise_descriptor_limit();
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async {
            let (listen, sockets) = (args.listen, args.sockets.clone());
            let backend = Arc::new(Backend {
                args,
                failed: Mutex::default(),
                resets: Mutex::default(),
                dice: Mutex::new(Dice::new(u64::from(std::process::id()))),
            });
            if sockets.is_empty() {
                let listener = TcpListener::bind(std::net::SocketAddr::V4(listen)).await?;
                loop {
                    let (stream, _) = listener.accept().await?;
                    tokio::spawn(Arc::clone(&backend).serve(Wired::new(stream)));
                }
            }
            let mut serving = tokio::task::JoinSet::new();
            for path in sockets {
                serving.spawn(serve_socket(Arc::clone(&backend), UnixListener::bind(path)?));
            }
            match serving.join_next().await {
                Some(ended) => Ok(ended??),
                None => Ok(()),
            }
        })
}

async fn serve_socket(backend: Arc<Backend>, listener: UnixListener) -> std::io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        // The calls are the same for both kinds of stream sockets; those that TCP alone knows fail, and may.
        let stream = std::net::TcpStream::from(OwnedFd::from(stream.into_std()?));
        tokio::spawn(Arc::clone(&backend).serve(Wired::new(TcpStream::from_std(stream)?)));
    }
}

struct Backend {
    args: BackendArgs,
    failed: Mutex<HashSet<u64>>,
    resets: Mutex<HashMap<IpAddr, Arc<Notify>>>,
    dice: Mutex<Dice>,
}

/// How an idle period ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Idle {
    Request,
    TimedOut,
    Reset,
}

enum After {
    NextRequest,
    Over,
}

impl Backend {
    async fn serve(self: Arc<Self>, mut peer: Wired) {
        loop {
            if !peer.has_unread() {
                match self.idle(&peer.stream).await {
                    Idle::Request => {}
                    Idle::Reset => return reset(&peer.stream),
                    Idle::TimedOut => {
                        if let Some(said) = self.args.closing.says_unasked()
                            && peer.write(unasked(said).as_bytes()).await.is_err()
                        {
                            return;
                        }
                        if self.args.closing != Way::Stale {
                            return close(peer, self.args.closing).await;
                        }
                    }
                }
            }
            // The end of the connection, a head that never ends, or no HTTP: nothing was applied.
            let Ok(Ok(Some(head))) = timeout(HEAD_TIMEOUT, peer.head()).await else {
                return;
            };
            match self.handle(&head, &mut peer).await {
                Some(After::NextRequest) => {}
                Some(After::Over) | None => return,
            }
        }
    }

    /// Waits for the first byte of a request, or for what ends the connection.
    async fn idle(&self, stream: &TcpStream) -> Idle {
        let young = self.resets_young();
        let idle = young.unwrap_or(Duration::from_millis(self.args.idle_ms));
        let mut first = [0];
        let ended = tokio::select! {
            came = timeout_at(Instant::now() + idle, stream.peek(&mut first)) => match came {
                Ok(_) => return Idle::Request,
                Err(_) if young.is_some() => Idle::Reset,
                Err(_) => Idle::TimedOut,
            },
            () = self.told_to_reset(stream) => Idle::Reset,
        };
        // A request may have arrived since the runtime last looked. Asking the kernel itself leaves a
        // window of microseconds in which close() still meets an unread request; the wire tells those apart.
        let waiting = SockRef::from(stream).peek(&mut [MaybeUninit::uninit()]);
        if matches!(waiting, Ok(bytes) if bytes > 0) {
            Idle::Request
        } else {
            ended
        }
    }

    /// At what age this idle connection is reset, if it is one of those.
    fn resets_young(&self) -> Option<Duration> {
        if self.args.closing != Way::YoungReset {
            return None;
        }
        let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
        let is_one = dice.between(1, YOUNG_ONE_IN) == 1;
        is_one.then(|| Duration::from_millis(dice.between(20, 200).unsigned_abs()))
    }

    /// Ends when the connections to this address of the backend's shall be reset.
    async fn told_to_reset(&self, stream: &TcpStream) {
        match stream.local_addr() {
            Ok(address) => self.resets_of(address.ip()).notified().await,
            Err(_) => std::future::pending().await,
        }
    }

    fn resets_of(&self, address: IpAddr) -> Arc<Notify> {
        let mut resets = self.resets.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(resets.entry(address).or_default())
    }

    async fn handle(&self, head: &Head, peer: &mut Wired) -> Option<After> {
        if let Some(address) = head.field(RESET_ALL) {
            self.resets_of(address.parse().ok()?).notify_waiters();
            peer.write(b"HTTP/1.1 204 No Content\r\n\r\n").await.ok()?;
            return Some(After::NextRequest);
        }
        let id = u64::from_str_radix(head.field("x-race-id")?, 16).ok()?;
        let act = head
            .field("x-race-act")
            .and_then(Way::from_name)
            .filter(|_| self.fails_first_time(id));
        if act == Some(Way::HeadThenReset) {
            apply(id);
            reset(&peer.stream);
            return Some(After::Over);
        }
        let body = peer.request_body(head).await.ok()?;
        apply(id);
        match act {
            Some(Way::ProcessThenReset) => reset(&peer.stream),
            Some(Way::HalfStatusLine) => peer.write(b"HTTP/1.1 20").await.ok()?,
            // The process is gone before the call returns, as signals to oneself are delivered at once.
            Some(Way::Kill) => kill(Pid::this(), Signal::SIGKILL).ok()?,
            Some(_) => {}
            None => {
                peer.write(answer(id, &body).as_bytes()).await.ok()?;
                return Some(After::NextRequest);
            }
        }
        Some(After::Over)
    }

    fn fails_first_time(&self, id: u64) -> bool {
        match &self.args.failed {
            Some(directory) => std::fs::File::create_new(directory.join(format!("{id:016x}"))).is_ok(),
            None => self
                .failed
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(id),
        }
    }
}

async fn close(peer: Wired, way: Way) {
    match way {
        Way::Reset => reset(&peer.stream),
        Way::HalfClose => {
            let _ = SockRef::from(&peer.stream).shutdown(std::net::Shutdown::Write);
            peer.drain(DRAIN_TIMEOUT).await;
        }
        _ => drop(peer),
    }
}

/// Makes the close that follows a bare RST.
fn reset(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

fn apply(id: u64) {
    let mut ledger = std::io::stdout().lock();
    // The lab is gone if this fails, and with it everybody who would ask.
    let _ = writeln!(ledger, "{id:016x}").and_then(|()| ledger.flush());
}

/// What nobody asked for. The client and the wire know it by its field.
fn unasked(status: &str) -> String {
    let connection = if status.starts_with("200") {
        "keep-alive"
    } else {
        "close"
    };
    let text = "nobody asked for this\n";
    format!(
        "HTTP/1.1 {status}\r\nConnection: {connection}\r\n{UNASKED}: 1\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    )
}

/// What the client holds against what it sent: the id, and the length and the digest of the body.
fn answer(id: u64, body: &Digest) -> String {
    let text = format!("{id:016x} {} {:016x}\n", body.bytes, body.sum);
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    )
}

/// The field of an order to reset all idle connections to an address of the backend's.
pub(super) const RESET_ALL: &str = "X-Race-Reset";
/// One idle connection in so many is reset young.
const YOUNG_ONE_IN: i64 = 10;
/// The field of a message that answers nothing.
pub(super) const UNASKED: &str = "X-Race-Unasked";
/// From a request's first byte to the end of its head. A started head ends the idle period, as it does
/// in every server.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a half-closed connection is read.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
