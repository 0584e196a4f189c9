//! A client whose request is being served: its connection, what was received, what is to be sent.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use config::model::Downstream;
use policy::route::ListenerId;
use policy::time::Moment;
use wire::h1::framing;
use wire::h1::head::{Limits, Method, ResponseHead, Scan};

use super::clients::Clients;
use super::connection::Connection;
use super::idle::ReadyConnection;
use crate::engine::Alarm;
use crate::engine::wait::within;
use crate::transport::buffer::{self, READ_SIZE, ReadBuffer};
use crate::transport::read_write::fill;
use crate::upstream::body::Taken;
use crate::worker::context::WorkerSnapshot;

/// A client that was told of the close may still be sending: what comes is read and thrown away
/// for this long, so that our last answer is not lost to a reset.
const LINGER: Duration = Duration::from_secs(2);

/// … and at most this much of it.
const LINGER_BYTES: usize = 1024 * 1024;

/// A client that is being served.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) connection: Box<Connection>,
    /// Received and not consumed.
    pub(crate) input: ReadBuffer,
    /// When the first byte of the request was read; of one that came behind another, when its turn came.
    pub(crate) heard: Moment,
    /// To be sent …
    pub(crate) out: Vec<u8>,
    /// … and then this, as it came from the endpoint.
    pub(crate) body_tail: ReadBuffer,
    /// So many bytes of both have been taken, while not all have: buffers hold far less than 4 GiB.
    taken: u32,
    pub(crate) alarm: Alarm,
    /// Whether its head, which is unfinished, has to make room for others.
    pub(super) shed: bool,
    /// Whether the request being served is HTTP/1.0.
    pub(crate) http_10: bool,
    /// Whether it asked for its connection to be closed with the answer: it sends nothing more, so
    /// the close can not cross a request of its.
    pub(crate) expects_close: bool,
    /// The configuration that its request runs under: the one in force, or the last one that
    /// still listened at its address.
    pub(crate) snapshot: Rc<WorkerSnapshot>,
    /// The listener by which that configuration routes its requests.
    pub(crate) listener: Option<ListenerId>,
}

/// How much of what was to be sent has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    All,
    /// The client takes no more for now.
    Part,
    /// It never will.
    Failed,
}

impl Client {
    /// Begins with a ready connection; `alarm` is its request task's.
    pub(super) fn arrive(clients: &Rc<Clients>, ready: ReadyConnection, alarm: Alarm) -> Self {
        let ReadyConnection {
            mut connection,
            input,
            heard,
        } = ready;
        let snapshot = connection
            .last
            .take()
            .unwrap_or_else(|| clients.worker.snapshot());
        Self {
            input,
            heard,
            body_tail: ReadBuffer::default(),
            taken: 0,
            out: buffer::outgoing(),
            alarm,
            shed: false,
            http_10: false,
            expects_close: false,
            listener: snapshot.listener(*connection.address),
            snapshot,
            connection,
        }
    }

    /// How clients of its listener are treated.
    pub(crate) fn downstream(&self) -> &Downstream {
        self.snapshot.downstream(self.listener)
    }

    /// Leaves its request task.
    pub(crate) fn leave(self) -> (Box<Connection>, Alarm) {
        self.alarm.set(Moment::NEVER);
        buffer::give_outgoing(self.out);
        (self.connection, self.alarm)
    }

    /// Whether this connection is to end soon: we are draining, or nobody listens at its address
    /// any more.
    pub(crate) fn should_leave(&self) -> bool {
        let clients = &self.connection.clients;
        if self.listener.is_some() && clients.worker.is_in_force(&self.snapshot) {
            return clients.worker.draining.get();
        }
        clients.worker.is_leaving(*self.connection.address)
    }

    /// Takes the configuration in force, unless it has no place for this connection.
    pub(crate) fn refresh(&mut self) {
        let current = self.connection.clients.worker.snapshot();
        if let Some(listener) = current.listener(*self.connection.address) {
            (self.snapshot, self.listener) = (current, Some(listener));
        }
    }

    /// Reads what has come. 0 is the end of the stream.
    ///
    /// # Errors
    /// `WouldBlock` if nothing has; otherwise how the connection failed.
    pub(crate) fn receive(&mut self) -> io::Result<usize> {
        let count = self.connection.transport.try_read(self.input.space(READ_SIZE))?;
        self.input.filled(count);
        Ok(count)
    }

    /// Writes what the client takes now of what is to be sent.
    pub(crate) fn send(&mut self) -> Sent {
        let transport = &self.connection.transport;
        // In one piece there is less for the kernel to look at.
        if !self.body_tail.is_empty() && self.taken == 0 && self.body_tail.put_before(&self.out) {
            self.out.clear();
        }
        let mut taken = self.taken as usize;
        for (before, piece) in [(0, self.out.as_slice()), (self.out.len(), self.body_tail.data())] {
            while taken < before + piece.len() {
                match transport.try_write(&piece[taken - before..]) {
                    Ok(count) if count > 0 => {
                        taken += count;
                        self.taken = u32::try_from(taken).unwrap_or(u32::MAX);
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Sent::Part,
                    _ => return Sent::Failed,
                }
            }
        }
        self.forget();
        Sent::All
    }

    /// What was taken of what is to be sent, while not all has been.
    pub(crate) fn taken(&self) -> (&[u8], &[u8]) {
        let taken = self.taken as usize;
        let of_out = taken.min(self.out.len());
        (&self.out[..of_out], &self.body_tail.data()[..taken - of_out])
    }

    /// Bytes of the body that were taken of a response that was whole before any of it was sent.
    #[cold]
    pub(crate) fn taken_of_body(&self) -> u64 {
        let (first, second) = self.taken();
        let sent = [first, second].concat();
        let (mut head, mut at) = (ResponseHead::default(), 0);
        // Interim responses may stand before it.
        while let Ok(Some(length)) = head.read(&sent[at..], &mut Scan::default(), &Limits::default()) {
            at += length;
            if head.status >= 200 {
                let Ok(body) = framing::response_body(&head, Method::Get) else {
                    break;
                };
                let mut taken = Taken::nothing(body, at);
                taken.part(&sent);
                return taken.data();
            }
        }
        0
    }

    /// Writes what is to be sent. It is [`Sent::Part`] if the client took nothing of it for `limit`.
    pub(crate) async fn flush(&mut self, limit: Duration) -> Sent {
        loop {
            match self.send() {
                Sent::Part => {}
                done => return done,
            }
            self.alarm.set(self.connection.clients.worker.clock.now() + limit);
            let taken = poll_fn(|cx| self.connection.transport.poll_write_ready(cx));
            if within(&self.alarm, taken).await.is_err() {
                return Sent::Part;
            }
        }
    }

    /// Nothing of what was to be sent is sent any more.
    pub(crate) fn forget(&mut self) {
        self.out.clear();
        self.body_tail = ReadBuffer::default();
        self.taken = 0;
    }

    /// Dropping the connection resets it from now on, so that nobody takes what was sent for whole.
    pub(crate) fn reset_on_drop(&self) {
        // Where it cannot be set, a close is all there is.
        let _ = socket2::SockRef::from(&self.connection.transport).set_linger(Some(Duration::ZERO));
    }

    /// Closes well: says that no more comes, and reads on for a while.
    pub(crate) async fn close(&mut self) {
        // Nobody waits for what lingers: a drain may end meanwhile.
        self.connection.uncount();
        let transport = &self.connection.transport;
        if transport.shut_down_write().is_err() {
            return;
        }
        self.alarm
            .set(self.connection.clients.worker.clock.now() + LINGER);
        let mut thrown_away = self.input.data().len();
        self.input.consume(thrown_away);
        while thrown_away < LINGER_BYTES {
            match within(&self.alarm, fill(transport, &mut self.input, READ_SIZE)).await {
                Ok(Ok(count)) if count > 0 => {
                    thrown_away += count;
                    self.input.consume(count);
                }
                _ => break,
            }
        }
    }
}
