//! One concrete byte stream, so that nothing upstairs is generic. Every call tries first and
//! waits only if it must.

pub(crate) mod buffer;
pub(crate) mod leaving;
pub(crate) mod progress;
pub(crate) mod read_write;
#[cfg(feature = "sim")]
pub(crate) mod simulation;
pub(crate) mod splice;
pub(crate) mod tunnel;

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll, Waker, ready};

use crate::engine::{self, Source};

/// A connection's transport: a TCP or Unix socket. Counts what goes through it.
#[derive(Debug)]
pub(crate) struct Transport {
    /// Before the socket: its place is free before its number is.
    source: Source,
    socket: OwnedFd,
    received: Cell<u64>,
    sent: Cell<u64>,
    /// A call said that the peer had reset the connection. It says so once.
    was_reset: Cell<bool>,
}

/// How the peer ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Fin,
    Reset,
}

impl Transport {
    /// Takes a non-blocking socket in, for this thread.
    ///
    /// # Errors
    /// The kernel watches no more sockets.
    pub(crate) fn of(socket: OwnedFd) -> io::Result<Self> {
        Source::of(&socket).map(|source| Self::new(source, socket))
    }

    /// Takes a non-blocking socket in that was just accepted: the kernel watches it once it is waited for.
    pub(crate) fn accepted(socket: OwnedFd) -> Self {
        Self::new(Source::fresh(&socket), socket)
    }

    fn new(source: Source, socket: OwnedFd) -> Self {
        Self {
            source,
            socket,
            received: Cell::new(0),
            sent: Cell::new(0),
            was_reset: Cell::new(false),
        }
    }

    /// How the peer has ended the connection; `None` if it has not, as far as can be told.
    pub(crate) fn ended(&self) -> Option<End> {
        let mut rest = [0; 1];
        match self.peek(&mut rest) {
            _ if self.was_reset.get() => Some(End::Reset),
            sys::Peek::Reset => Some(End::Reset),
            sys::Peek::Fin => Some(End::Fin),
            sys::Peek::Quiet | sys::Peek::Bytes(_) | sys::Peek::Failed(_) => None,
        }
    }

    /// Notes why a call failed. An RST behind a FIN is EPIPE, not ECONNRESET.
    #[cold]
    fn note_failure(&self, error: &io::Error) {
        if error.kind() == io::ErrorKind::ConnectionReset {
            self.was_reset.set(true);
        }
    }

    /// Bytes received so far.
    pub(crate) fn received(&self) -> u64 {
        self.received.get()
    }

    /// Bytes handed to the kernel so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.get()
    }

    /// Reads once, tried before it is awaited. 0 is the end of the stream.
    pub(crate) fn poll_read(&self, cx: &Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self.try_read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.source.poll_readable(cx).map(|()| {
                    // It ended, yet has nothing to say: only the kernel could mean that.
                    Ok(0)
                })
            }
            done => Poll::Ready(done),
        }
    }

    /// Reads once, without waiting.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = sys::receive(self, buffer);
        match &read {
            Ok(count) => {
                engine::spend(*count);
                if *count < buffer.len() {
                    self.source.forget_readable();
                }
                self.received.set(self.received.get() + *count as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.source.forget_readable(),
            Err(error) => self.note_failure(error),
        }
        read
    }

    /// Looks at what has come, without taking it.
    pub(crate) fn peek(&self, first: &mut [u8]) -> sys::Peek {
        let seen = sys::peek(self, first);
        match seen {
            sys::Peek::Quiet => self.source.forget_readable(),
            sys::Peek::Reset => self.was_reset.set(true),
            sys::Peek::Fin | sys::Peek::Bytes(_) | sys::Peek::Failed(_) => {}
        }
        seen
    }

    /// Ready when a read may say something: bytes, end or error.
    pub(crate) fn poll_read_ready(&self, cx: &Context<'_>) -> Poll<()> {
        self.source.poll_readable(cx)
    }

    /// As [`Self::poll_read_ready`], for whom it is early enough a millisecond late: who only wants to know
    /// whether the peer leaves.
    pub(crate) fn poll_read_ready_patiently(&self, cx: &Context<'_>) -> Poll<()> {
        self.source.poll_readable_patiently(cx)
    }

    /// Wakes `watcher` when a read may say something; gives it back if it may already.
    pub(crate) fn watch(&self, watcher: Waker) -> Option<Waker> {
        self.source.watch(watcher)
    }

    /// Ready once the peer has ended its side, whatever there is to read before that.
    #[cfg(feature = "sim")]
    pub(crate) fn poll_ended(&self, cx: &Context<'_>) -> Poll<()> {
        self.source.poll_ended(cx)
    }

    /// Has the keeper of `slot` told when a read may say something; true if it may already.
    pub(crate) fn watch_slot(&self, slot: u32) -> bool {
        self.source.watch_slot(slot)
    }

    /// Writes once, without waiting.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.note_written(sys::send(self, bytes))
    }

    fn note_written(&self, written: io::Result<usize>) -> io::Result<usize> {
        match &written {
            Ok(count) => {
                engine::spend(*count);
                self.sent.set(self.sent.get() + *count as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.source.forget_writable(),
            Err(error) => self.note_failure(error),
        }
        written
    }

    /// Takes up to `most` received bytes into an empty pipe. 0 is the end of the stream.
    pub(crate) fn poll_fill(
        &self,
        cx: &Context<'_>,
        pipe: &mut sys::Pipe,
        most: u64,
    ) -> Poll<io::Result<usize>> {
        ready!(engine::poll_budget());
        loop {
            ready!(self.poll_read_ready(cx));
            match pipe.fill(self, most) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.source.forget_readable();
                    if self.source.poll_readable(cx).is_ready() {
                        return Poll::Ready(Ok(0)); // it has ended, and has nothing more to say
                    }
                }
                done => {
                    let count = done.as_ref().map_or(0, |&count| count as u64);
                    engine::spend(count as usize);
                    self.received.set(self.received.get() + count);
                    return Poll::Ready(done);
                }
            }
        }
    }

    /// Sends what it can of a pipe's bytes.
    pub(crate) fn poll_drain(&self, cx: &Context<'_>, pipe: &mut sys::Pipe) -> Poll<io::Result<usize>> {
        loop {
            match pipe.drain(self) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.source.forget_writable();
                    ready!(self.poll_write_ready(cx));
                }
                done => {
                    let count = done.as_ref().map_or(0, |&count| count as u64);
                    engine::spend(count as usize);
                    self.sent.set(self.sent.get() + count);
                    if let Err(error) = &done {
                        self.note_failure(error);
                    }
                    return Poll::Ready(done);
                }
            }
        }
    }

    /// Whether nothing has come since the last read, as far as this thread's engine knows.
    pub(crate) fn is_quiet(&self) -> bool {
        self.source.is_quiet()
    }

    /// Writes once, tried before it is awaited.
    pub(crate) fn poll_write(&self, cx: &Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(self.poll_write_ready(cx)),
                done => return Poll::Ready(done),
            }
        }
    }

    /// Writes two pieces at once, without waiting.
    pub(crate) fn try_write_both(&self, first: &[u8], second: &[u8]) -> io::Result<usize> {
        self.note_written(match (first, second) {
            (all, []) | ([], all) => sys::send(self, all),
            (first, second) => sys::send_both(self, first, second),
        })
    }

    /// Writes two pieces at once, tried before it is awaited.
    pub(crate) fn poll_write_both(
        &self,
        cx: &Context<'_>,
        first: &[u8],
        second: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.try_write_both(first, second) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(self.poll_write_ready(cx)),
                done => return Poll::Ready(done),
            }
        }
    }

    /// Ready when a write may be taken, or a connection that was being opened is, or failed.
    pub(crate) fn poll_write_ready(&self, cx: &Context<'_>) -> Poll<()> {
        self.source.poll_writable(cx)
    }

    /// What TCP knows of the connection; `None` where it is not TCP, or the platform cannot tell.
    pub(crate) fn tcp_facts(&self) -> Option<sys::TcpFacts> {
        #[cfg(feature = "sim")]
        if let Some(simulated) = crate::transport::simulation::tcp_facts(&self.socket) {
            return Some(simulated);
        }
        sys::tcp_facts(self)
    }

    /// Says that no more will be written: a FIN.
    pub(crate) fn shut_down_write(&self) -> io::Result<()> {
        socket2::SockRef::from(&self.as_fd()).shutdown(std::net::Shutdown::Write)
    }

    /// Takes the transport from the thread that has it to this one.
    ///
    /// # Errors
    /// The kernel watches no more sockets.
    pub(crate) fn take_over(&mut self) -> io::Result<()> {
        self.source.unwatch(&self.socket)?;
        self.source = Source::of(&self.socket)?;
        Ok(())
    }
}

impl AsFd for Transport {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
