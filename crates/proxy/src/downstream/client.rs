//! One client's connection, whatever it speaks: transport, what was received, what is to be sent.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use policy::route::ListenerId;
use policy::time::Moment;
use tokio::net::TcpStream;
use wire::h1::head::Limits;

use crate::buffer::{READ_SIZE, ReadBuffer};
use crate::io::{fill, flush};
use crate::timers::Alarm;
use crate::transport::Transport;
use crate::wait::within;
use crate::worker::{Current, Worker};

/// A client that was told of the close may still be sending: what comes is read and thrown away
/// for this long, so that our last answer is not lost to a reset.
const LINGER: Duration = Duration::from_secs(2);

/// … and at most this much of it.
const LINGER_BYTES: usize = 1024 * 1024;

/// While draining, a connection that stays idle this long is closed.
const DRAIN_IDLE: Duration = Duration::from_secs(2);

/// A client's connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) transport: Transport,
    /// Received and not consumed.
    pub(crate) input: ReadBuffer,
    /// To be sent.
    pub(crate) out: Vec<u8>,
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    /// The configured address that it came to.
    pub(crate) address: SocketAddr,
    pub(crate) alarm: Alarm,
    pub(crate) limits: Limits,
    /// Whether the request being served is HTTP/1.0.
    pub(crate) http_10: bool,
    /// The configuration that its next request runs under: the one in force, or the last one that
    /// still listened at its address.
    pub(crate) snapshot: Rc<Current>,
    /// The listener by which that configuration routes its requests.
    pub(crate) listener: Option<ListenerId>,
    worker: Rc<Worker>,
    opened: Moment,
    counted: bool,
}

/// What ended the wait for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// Bytes are there.
    Bytes,
    /// The client closed, or has been idle too long.
    Over,
}

impl Client {
    /// Takes an accepted connection in.
    pub(crate) fn new(worker: &Rc<Worker>, address: SocketAddr, stream: TcpStream, peer: SocketAddr) -> Self {
        worker.connections.set(worker.connections.get() + 1);
        worker.connections_everywhere.fetch_add(1, Ordering::Relaxed);
        worker.stats.cx_opened();
        let local = stream.local_addr().unwrap_or(address);
        Self {
            transport: stream.into(),
            input: worker.buffers.read_buffer(),
            out: Vec::new(),
            peer,
            local,
            address,
            alarm: worker.timers.alarm(),
            limits: worker.snapshot().limits,
            http_10: false,
            listener: worker.snapshot().listener(address),
            snapshot: worker.snapshot(),
            worker: worker.clone(),
            opened: worker.clock.now(),
            counted: true,
        }
    }

    /// Whether this connection is to end soon: we are draining, or nobody listens at its address
    /// any more.
    pub(crate) fn should_leave(&self) -> bool {
        let current = self.worker.snapshot();
        let unheard = || !Rc::ptr_eq(&self.snapshot, &current) && current.listener(self.address).is_none();
        self.worker.draining.get() || unheard()
    }

    /// Takes the configuration in force, unless it has no place for this connection.
    fn refresh(&mut self) {
        let current = self.worker.snapshot();
        if let Some(listener) = current.listener(self.address) {
            (self.snapshot, self.listener) = (current, Some(listener));
        }
    }

    /// Waits for a request's first bytes, holding no buffer meanwhile.
    pub(crate) async fn wait_for_request(&mut self) -> Wake {
        let since = self.worker.clock.now();
        self.refresh();
        if !self.input.is_empty() {
            return Wake::Bytes;
        }
        self.input.release();
        self.worker.buffers.give_outgoing(std::mem::take(&mut self.out));
        loop {
            let idle = self.snapshot.downstream().idle_timeout;
            let leaving = self.should_leave();
            let waited = self.worker.clock.now().since(since);
            self.alarm.set(
                since
                    + if leaving {
                        idle.min(waited + DRAIN_IDLE)
                    } else {
                        idle
                    },
            );
            let ready = std::future::poll_fn(|cx| {
                let news = self.worker.draining.get() || !Rc::ptr_eq(&self.snapshot, &self.worker.snapshot());
                if news && !leaving {
                    return Poll::Ready(None);
                }
                self.transport.poll_read_ready(cx).map(Some)
            });
            match within(&self.alarm, ready).await {
                Ok(Some(Ok(()))) => match fill(&self.transport, &mut self.input, READ_SIZE).await {
                    Ok(count) if count > 0 => {
                        self.out = self.worker.buffers.outgoing();
                        return Wake::Bytes;
                    }
                    _ => return Wake::Over,
                },
                Ok(None) => self.refresh(),
                Ok(Some(Err(_))) => return Wake::Over,
                Err(_) => {
                    let stats = &self.worker.stats;
                    if leaving {
                        stats.cx_drain_close.inc()
                    } else {
                        stats.cx_idle_timeout.inc()
                    }
                    return Wake::Over;
                }
            }
        }
    }

    /// Writes what is to be sent; false if the client does not take it within `limit`.
    pub(crate) async fn flush(&mut self, limit: Duration) -> bool {
        if self.out.is_empty() {
            return true;
        }
        self.alarm.set(self.worker.clock.now() + limit);
        let flushed = within(&self.alarm, flush(&self.transport, &mut self.out)).await;
        self.alarm.set(Moment::NEVER);
        matches!(flushed, Ok(Ok(())))
    }

    /// Dropping the connection resets it from now on, so that nobody takes what was sent for whole.
    pub(crate) fn reset_on_drop(&self) {
        // Where it cannot be set, a close is all there is.
        let _ = socket2::SockRef::from(&self.transport).set_linger(Some(Duration::ZERO));
    }

    /// Closes well: says that no more comes, and reads on for a while.
    pub(crate) async fn close(mut self) {
        // Nobody waits for what lingers: a drain may end meanwhile.
        self.uncount();
        if self.transport.shut_down_write().is_err() {
            return;
        }
        self.alarm.set(self.worker.clock.now() + LINGER);
        let mut thrown_away = self.input.data().len();
        self.input.consume(thrown_away);
        while thrown_away < LINGER_BYTES {
            match within(&self.alarm, fill(&self.transport, &mut self.input, READ_SIZE)).await {
                Ok(Ok(count)) if count > 0 => {
                    thrown_away += count;
                    self.input.consume(count);
                }
                _ => break,
            }
        }
    }
}

impl Client {
    fn uncount(&mut self) {
        if std::mem::take(&mut self.counted) {
            self.worker.connections.set(self.worker.connections.get() - 1);
            self.worker.connections_everywhere.fetch_sub(1, Ordering::Relaxed);
            let stats = &self.worker.stats;
            stats.cx_closed();
            stats.cx_rx_bytes_total.add(self.transport.received());
            stats.cx_tx_bytes_total.add(self.transport.sent());
            stats
                .cx_length_ms
                .record(self.worker.clock.now().since(self.opened));
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.uncount();
    }
}
