//! TLS handshakes of clients: a task each, until the connection can carry requests.
//!
//! ```text
//!   accepted --first bytes------> shaking hands --done--> idle connections
//!                 |                           '--failed, too slow, one of too many--> a line, closed
//!                 '--a request in plain HTTP--> answered with 400
//! ```
//! A client that has said nothing costs a task and no TLS state. A step of a handshake takes a tenth of a millisecond or
//! two, in which all other clients of the worker wait, so a turn of the engine has few of them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use policy::outcome::Failure;

use super::clients::Clients;
use super::connection::Connection;
use super::idle::{IdleConnections, ReadyConnection};
use crate::engine::wait::{Late, within};
use crate::engine::{self, Spawned, Stage};
use crate::exchange::fault::Fault;
use crate::transport::Transport;
use crate::transport::buffer::ReadBuffer;
use crate::transport::tls::ServerSide;

/// Handshakes that may be under way at once, of a worker: past so many the oldest is closed, so that clients who
/// stall keep nobody out.
const UNDER_WAY_MAX: usize = 512;

/// Steps of handshakes that a turn of the engine has: under a millisecond.
const STEPS_OF_A_TURN: u32 = 4;

/// The longest a handshake may take, where clients may take for ever over a head.
const LIMIT: Duration = Duration::from_secs(60);

/// First bytes that are looked at: enough to tell a request in plain HTTP.
const FIRST: usize = 16;

/// The handshakes of a worker.
#[derive(Debug, Default)]
pub(crate) struct Handshakes {
    /// In the order in which they began.
    under_way: RefCell<BTreeMap<u64, Rc<UnderWay>>>,
    begun: Cell<u64>,
    /// The turn in which steps were last taken, and how many.
    steps: Cell<(u64, u32)>,
}

/// One of them, as the others see it.
#[derive(Debug)]
struct UnderWay {
    task: Cell<Option<Spawned>>,
    /// It has to make room for others.
    shed: Cell<bool>,
}

/// Why a handshake came to nothing.
enum Broken {
    /// The client left without a word: nobody asked anything.
    Silently,
    Failed(Box<Fault>),
}

impl Handshakes {
    /// Begins one, for a connection that was just accepted.
    pub(crate) fn begin(&self, clients: &Rc<Clients>, connection: Box<Connection>, side: Arc<ServerSide>) {
        let number = self.begun.get();
        self.begun.set(number + 1);
        let this = Rc::new(UnderWay {
            task: Cell::new(None),
            shed: Cell::new(false),
        });
        self.under_way.borrow_mut().insert(number, this.clone());
        let task = engine::spawn(run(clients.clone(), connection, side, (number, this.clone())));
        this.task.set(Some(task));
        let oldest = {
            let mut under_way = self.under_way.borrow_mut();
            (under_way.len() > UNDER_WAY_MAX)
                .then(|| under_way.pop_first())
                .flatten()
        };
        if let Some((_, oldest)) = oldest {
            clients.worker.stats.cx_tls_overflow.inc();
            oldest.shed.set(true);
            if let Some(task) = oldest.task.get() {
                task.wake_at(Stage::Process);
            }
        }
    }

    /// Waits for a turn that has a step left.
    async fn step(&self) {
        loop {
            let (turn, taken) = self.steps.get();
            let now = engine::turn();
            let taken = if turn == now { taken } else { 0 };
            if taken < STEPS_OF_A_TURN {
                self.steps.set((now, taken + 1));
                return;
            }
            engine::yield_now().await;
        }
    }
}

impl IdleConnections {
    /// Has a request task tell of a connection that carries no request, and close it.
    pub(super) fn refuse(&self, clients: &Rc<Clients>, mut connection: Box<Connection>, why: Box<Fault>) {
        connection.refused = Some(why);
        let ready = ReadyConnection {
            heard: connection.since,
            connection,
            input: ReadBuffer::default(),
        };
        self.dispatch(clients, ready);
    }
}

async fn run(
    clients: Rc<Clients>,
    mut connection: Box<Connection>,
    side: Arc<ServerSide>,
    (number, this): (u64, Rc<UnderWay>),
) {
    let limit = {
        let current = clients.worker.snapshot();
        let settings = current.downstream(current.listener(*connection.address));
        settings.head_limit().min(LIMIT)
    };
    let alarm = engine::alarm_in(limit);
    let result = {
        let shaking = std::pin::pin!(shake(&clients, &mut connection.transport, &side, &this));
        within(&alarm, shaking).await
    };
    clients.handshakes.under_way.borrow_mut().remove(&number);
    match result {
        Ok(Ok(())) => {
            clients.worker.stats.ssl_handshake.inc();
            clients.idle.on_accept(&clients, connection);
        }
        Ok(Err(Broken::Silently)) => {}
        Ok(Err(Broken::Failed(fault))) => {
            clients.worker.stats.ssl_connection_error.inc();
            clients.idle.refuse(&clients, connection, fault);
        }
        Err(Late) if connection.transport.is_plain() => {
            // It has not said a word.
            clients.worker.stats.cx_transport_socket_connect_timeout.inc();
        }
        Err(Late) => {
            clients.worker.stats.cx_transport_socket_connect_timeout.inc();
            clients
                .idle
                .refuse(&clients, connection, Failure::TlsHandshakeTimeout.into());
        }
    }
}

/// Shakes hands.
async fn shake(
    clients: &Clients,
    transport: &mut Transport,
    side: &ServerSide,
    this: &UnderWay,
) -> Result<(), Broken> {
    let mut first = [0; FIRST];
    let came = loop {
        match transport.peek(&mut first) {
            sys::Peek::Bytes(count) => break &first[..count],
            sys::Peek::Quiet => ready(this, |cx| transport.poll_read_ready(cx)).await?,
            sys::Peek::Fin | sys::Peek::Reset | sys::Peek::Failed(_) => return Err(Broken::Silently),
        }
    };
    if is_plain_http(came) {
        return Err(Broken::Failed(Failure::PlainHttpOnTls.into()));
    }
    transport.accept_tls(side).map_err(|_| left())?;
    loop {
        clients.handshakes.step().await;
        match transport.try_handshake() {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return Err(broken(transport)),
        }
        ready(this, |cx| transport.poll_handshake_ready(cx)).await?;
    }
}

/// Waits until the transport is ready, or room is to be made for others.
async fn ready(this: &UnderWay, poll: impl Fn(&Context<'_>) -> Poll<()>) -> Result<(), Broken> {
    poll_fn(|cx| {
        if this.shed.get() {
            return Poll::Ready(Err(Broken::Failed(Failure::TlsHandshakeShed.into())));
        }
        poll(cx).map(Ok)
    })
    .await
}

fn broken(transport: &Transport) -> Broken {
    let reason = transport.tls().and_then(|tls| tls.reason());
    let Some(reason) = reason else { return left() };
    let failure = Failure::TlsHandshake { what: reason.what };
    Broken::Failed(Box::new(Fault::from(failure).with(reason.more)))
}

fn left() -> Broken {
    Broken::Failed(Failure::TlsHandshakeLeft.into())
}

/// Whether these are the first bytes of a request: a method, a space, and what a target begins with.
fn is_plain_http(first: &[u8]) -> bool {
    let method = first.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    matches!(first[method..], [b' ', b'/' | b'*' | b'h', ..]) && method > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_told_from_a_handshake() {
        assert!(is_plain_http(b"GET / HTTP/1.1\r\n"));
        assert!(is_plain_http(b"OPTIONS * HTTP/1"));
        assert!(is_plain_http(b"POST http://exa"));
        for other in [
            b"\x16\x03\x01\x02\x00\x01".as_slice(),
            b"SSH-2.0-x",
            b"PROXY TCP4 1.2.3",
            b" /",
            b"",
            b"GET",
        ] {
            assert!(!is_plain_http(other));
        }
    }
}
