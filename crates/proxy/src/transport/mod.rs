//! One concrete byte stream, so that nothing upstairs is generic. Every call tries first and
//! waits only if it must. With a TLS state on top of the socket, what is read and written is plaintext.

pub(crate) mod buffer;
pub(crate) mod leaving;
pub(crate) mod progress;
pub(crate) mod read_write;
#[cfg(feature = "sim")]
pub(crate) mod simulation;
pub(crate) mod splice;
pub(crate) mod tls;
pub(crate) mod tunnel;

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll, Waker, ready};

use crate::engine::{self, Source};
use tls::{EndpointSide, ServerSide, Tls};

/// A connection's transport: a TCP or Unix socket, and the TLS state on it, if there is one.
#[derive(Debug)]
pub(crate) struct Transport {
    socket: Socket,
    tls: Option<Box<RefCell<Tls>>>,
}

/// The socket itself. Counts what goes through it.
#[derive(Debug)]
struct Socket {
    /// Before the descriptor: its place is free before its number is.
    source: Source,
    descriptor: OwnedFd,
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

impl Socket {
    fn new(source: Source, descriptor: OwnedFd) -> Self {
        Self {
            source,
            descriptor,
            received: Cell::new(0),
            sent: Cell::new(0),
            was_reset: Cell::new(false),
        }
    }

    /// Notes why a call failed. An RST behind a FIN is EPIPE, not ECONNRESET.
    #[cold]
    fn note_failure(&self, error: &io::Error) {
        if error.kind() == io::ErrorKind::ConnectionReset {
            self.was_reset.set(true);
        }
    }

    /// Reads once, without waiting.
    fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
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

    /// Writes once, without waiting.
    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
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

    /// Looks at what has come, without taking it.
    fn peek(&self, first: &mut [u8]) -> sys::Peek {
        let seen = sys::peek(self, first);
        match seen {
            sys::Peek::Quiet => self.source.forget_readable(),
            sys::Peek::Reset => self.was_reset.set(true),
            sys::Peek::Fin | sys::Peek::Bytes(_) | sys::Peek::Failed(_) => {}
        }
        seen
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
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
            socket: Socket::new(source, socket),
            tls: None,
        }
    }

    /// Begins a TLS handshake with a client; TLS gets every byte from now on.
    ///
    /// # Errors
    /// There is no randomness.
    pub(crate) fn accept_tls(&mut self, side: &ServerSide) -> io::Result<()> {
        self.tls = Some(Tls::accept(side)?);
        Ok(())
    }

    /// Begins a TLS handshake with an endpoint.
    ///
    /// # Errors
    /// There is no randomness.
    pub(crate) fn connect_tls(&mut self, side: &EndpointSide) -> io::Result<()> {
        self.tls = Some(Tls::connect(side)?);
        Ok(())
    }

    /// An attempt begins: what is written from now on is its. Says how much was written before.
    pub(crate) fn begin_attempt(&self) -> u64 {
        if let Some(tls) = &self.tls {
            tls.borrow_mut().begin_attempt(&self.socket);
        }
        self.sent()
    }

    /// Bytes that the peer's TCP has acknowledged of a connection that we opened; with TLS, plaintext that it can have
    /// opened. `None` where nobody can tell.
    pub(crate) fn acknowledged(&self) -> Option<u64> {
        // The SYN counts as one byte.
        let wire = self.tcp_facts()?.bytes_acknowledged.saturating_sub(1);
        Some(match &self.tls {
            None => wire,
            Some(tls) => tls.borrow().acknowledged(wire),
        })
    }

    /// Whether the peer ended without the `close_notify` that TLS asks for: what came before may be cut off.
    pub(crate) fn was_cut(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.borrow().was_cut())
    }

    /// Goes on with the TLS handshake, as far as it goes now.
    ///
    /// # Errors
    /// `WouldBlock` if the peer has to be waited for, by [`Self::poll_handshake_ready`]; the socket's; or the handshake
    /// failed, and the TLS state knows why.
    pub(crate) fn try_handshake(&self) -> io::Result<()> {
        let Some(tls) = &self.tls else {
            return Ok(());
        };
        let mut tls = tls.borrow_mut();
        let done = tls.handshake(&self.socket).map(drop);
        if done
            .as_ref()
            .is_err_and(|error| error.kind() == io::ErrorKind::InvalidData)
        {
            tls.send_alert(&self.socket);
        }
        done
    }

    /// Ready when the TLS handshake may go on.
    pub(crate) fn poll_handshake_ready(&self, cx: &Context<'_>) -> Poll<()> {
        let wants_write = self.tls.as_ref().is_some_and(|tls| tls.borrow().wants_write());
        match wants_write {
            true => self.socket.source.poll_writable(cx),
            false => self.socket.source.poll_readable(cx),
        }
    }

    /// The TLS state, if there is one.
    pub(crate) fn tls(&self) -> Option<std::cell::Ref<'_, Tls>> {
        self.tls.as_ref().map(|tls| tls.borrow())
    }

    /// Whether what is read and written is what the socket carries, so that the kernel may pass it on.
    pub(crate) fn is_plain(&self) -> bool {
        self.tls.is_none()
    }

    /// How the peer has ended the connection; `None` if it has not, as far as can be told.
    pub(crate) fn ended(&self) -> Option<End> {
        let mut rest = [0; 1];
        match self.peek(&mut rest) {
            _ if self.socket.was_reset.get() => Some(End::Reset),
            sys::Peek::Reset => Some(End::Reset),
            sys::Peek::Fin => Some(End::Fin),
            sys::Peek::Quiet | sys::Peek::Bytes(_) | sys::Peek::Failed(_) => None,
        }
    }

    /// Bytes received so far: of plaintext, with a TLS state.
    pub(crate) fn received(&self) -> u64 {
        match &self.tls {
            None => self.socket.received.get(),
            Some(tls) => tls.borrow().read,
        }
    }

    /// Bytes handed to the kernel so far: of plaintext, with a TLS state.
    pub(crate) fn sent(&self) -> u64 {
        match &self.tls {
            None => self.socket.sent.get(),
            Some(tls) => tls.borrow().written,
        }
    }

    /// Reads once, tried before it is awaited. 0 is the end of the stream.
    pub(crate) fn poll_read(&self, cx: &Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self.try_read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.socket.source.poll_readable(cx).map(|()| {
                    // It ended, yet has nothing to say: only the kernel could mean that.
                    Ok(0)
                })
            }
            done => Poll::Ready(done),
        }
    }

    /// Reads once, without waiting.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.tls {
            None => self.socket.receive(buffer),
            Some(tls) => tls.borrow_mut().read(&self.socket, buffer),
        }
    }

    /// Looks at what has come, without taking it. With a TLS state that is plaintext: what concerns TLS alone, such as
    /// a ticket, is taken and is no news, and the peer's `close_notify` is its FIN.
    pub(crate) fn peek(&self, first: &mut [u8]) -> sys::Peek {
        let Some(tls) = &self.tls else {
            return self.socket.peek(first);
        };
        match tls.borrow_mut().peek(&self.socket, first) {
            Ok(None) => sys::Peek::Quiet,
            Ok(Some(0)) => sys::Peek::Fin,
            Ok(Some(count)) => sys::Peek::Bytes(count),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => sys::Peek::Reset,
            Err(error) => sys::Peek::Failed(error.raw_os_error().unwrap_or_default()),
        }
    }

    /// Ready when a read may say something: bytes, end or error.
    pub(crate) fn poll_read_ready(&self, cx: &Context<'_>) -> Poll<()> {
        if self.holds_news() {
            return Poll::Ready(());
        }
        self.socket.source.poll_readable(cx)
    }

    /// Whether the TLS state holds what nobody has read yet: the socket would not tell of it.
    fn holds_news(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.borrow().has_news())
    }

    /// As [`Self::poll_read_ready`], for whom it is early enough a millisecond late: who only wants to know
    /// whether the peer leaves.
    pub(crate) fn poll_read_ready_patiently(&self, cx: &Context<'_>) -> Poll<()> {
        if self.holds_news() {
            return Poll::Ready(());
        }
        self.socket.source.poll_readable_patiently(cx)
    }

    /// Wakes `watcher` when a read may say something; gives it back if it may already.
    pub(crate) fn watch(&self, watcher: Waker) -> Option<Waker> {
        if self.holds_news() {
            return Some(watcher);
        }
        self.socket.source.watch(watcher)
    }

    /// Ready once the peer has ended its side, whatever there is to read before that.
    #[cfg(feature = "sim")]
    pub(crate) fn poll_ended(&self, cx: &Context<'_>) -> Poll<()> {
        self.socket.source.poll_ended(cx)
    }

    /// Has the keeper of `slot` told when a read may say something; true if it may already.
    pub(crate) fn watch_slot(&self, slot: u32) -> bool {
        self.socket.source.watch_slot(slot) || self.holds_news()
    }

    /// Writes once, without waiting.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match &self.tls {
            None => self.socket.send(bytes),
            Some(tls) => tls.borrow_mut().write(&self.socket, bytes, &[]),
        }
    }

    /// Takes up to `most` received bytes into an empty pipe. 0 is the end of the stream. Of plain transports only.
    pub(crate) fn poll_fill(
        &self,
        cx: &Context<'_>,
        pipe: &mut sys::Pipe,
        most: u64,
    ) -> Poll<io::Result<usize>> {
        ready!(engine::poll_budget());
        loop {
            ready!(self.poll_read_ready(cx));
            match pipe.fill(&self.socket, most) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.socket.source.forget_readable();
                    if self.socket.source.poll_readable(cx).is_ready() {
                        return Poll::Ready(Ok(0)); // it has ended, and has nothing more to say
                    }
                }
                done => {
                    let count = done.as_ref().map_or(0, |&count| count as u64);
                    engine::spend(count as usize);
                    self.socket.received.set(self.socket.received.get() + count);
                    return Poll::Ready(done);
                }
            }
        }
    }

    /// Sends what it can of a pipe's bytes. Of plain transports only.
    pub(crate) fn poll_drain(&self, cx: &Context<'_>, pipe: &mut sys::Pipe) -> Poll<io::Result<usize>> {
        loop {
            match pipe.drain(&self.socket) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.socket.source.forget_writable();
                    ready!(self.poll_write_ready(cx));
                }
                done => {
                    let count = done.as_ref().map_or(0, |&count| count as u64);
                    engine::spend(count as usize);
                    self.socket.sent.set(self.socket.sent.get() + count);
                    if let Err(error) = &done {
                        self.socket.note_failure(error);
                    }
                    return Poll::Ready(done);
                }
            }
        }
    }

    /// Whether nothing has come since the last read, as far as this thread's engine knows.
    pub(crate) fn is_quiet(&self) -> bool {
        self.socket.source.is_quiet() && !self.holds_news()
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
        if let Some(tls) = &self.tls {
            return tls.borrow_mut().write(&self.socket, first, second);
        }
        let socket = &self.socket;
        socket.note_written(match (first, second) {
            (all, []) | ([], all) => sys::send(socket, all),
            (first, second) => sys::send_both(socket, first, second),
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
        self.socket.source.poll_writable(cx)
    }

    /// What TCP knows of the connection; `None` where it is not TCP, or the platform cannot tell.
    pub(crate) fn tcp_facts(&self) -> Option<sys::TcpFacts> {
        #[cfg(feature = "sim")]
        if let Some(simulated) = crate::transport::simulation::tcp_facts(&self.socket.descriptor) {
            return Some(simulated);
        }
        sys::tcp_facts(&self.socket)
    }

    /// Says that no more will be written: a FIN, and before it `close_notify`, with a TLS state.
    pub(crate) fn shut_down_write(&self) -> io::Result<()> {
        if let Some(tls) = &self.tls {
            tls.borrow_mut().close(&self.socket);
        }
        socket2::SockRef::from(&self.as_fd()).shutdown(std::net::Shutdown::Write)
    }

    /// Takes the transport from the thread that has it to this one.
    ///
    /// # Errors
    /// The kernel watches no more sockets.
    pub(crate) fn take_over(&mut self) -> io::Result<()> {
        let socket = &mut self.socket;
        socket.source.unwatch(&socket.descriptor)?;
        socket.source = Source::of(&socket.descriptor)?;
        Ok(())
    }
}

impl AsFd for Transport {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
