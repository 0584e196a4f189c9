//! One concrete byte stream, so that nothing upstairs is generic. Every call tries first and
//! waits only if it must.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll, ready};

use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

/// A connection's transport. Counts what goes through it.
#[derive(Debug)]
pub(crate) struct Transport {
    socket: Socket,
    received: Cell<u64>,
    sent: Cell<u64>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A transport that is registered with no reactor: it may move to another worker.
#[derive(Debug)]
pub(crate) struct Detached {
    socket: Bare,
    received: u64,
    sent: u64,
}

#[derive(Debug)]
enum Bare {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

impl From<TcpStream> for Transport {
    fn from(stream: TcpStream) -> Self {
        Self {
            socket: Socket::Tcp(stream),
            received: Cell::new(0),
            sent: Cell::new(0),
        }
    }
}

impl From<UnixStream> for Transport {
    fn from(stream: UnixStream) -> Self {
        Self {
            socket: Socket::Unix(stream),
            received: Cell::new(0),
            sent: Cell::new(0),
        }
    }
}

impl Transport {
    /// Bytes received so far.
    pub(crate) fn received(&self) -> u64 {
        self.received.get()
    }

    /// Bytes handed to the kernel so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.get()
    }

    /// Reads once. 0 is the end of the stream.
    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.poll_read_ready(cx))?;
            match self.try_read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match &self.socket {
            Socket::Tcp(stream) => stream.try_read(buffer),
            Socket::Unix(stream) => stream.try_read(buffer),
        }?;
        if count > 0 && count < buffer.len() {
            self.forget_readable();
        }
        self.received.set(self.received.get() + count as u64);
        Ok(count)
    }

    /// The kernel has no more to read: forget the reactor's readiness, which saves a read that
    /// says so. What comes from now on raises a new edge, and the driver runs on this thread.
    fn forget_readable(&self) {
        let nothing = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
        let _ = match &self.socket {
            Socket::Tcp(stream) => stream.try_io(Interest::READABLE, nothing),
            Socket::Unix(stream) => stream.try_io(Interest::READABLE, nothing),
        };
    }

    /// Looks at what has come, without taking it.
    pub(crate) fn peek(&self, first: &mut [u8]) -> sys::Peek {
        let seen = sys::peek(self, first);
        if seen == sys::Peek::Quiet {
            self.forget_readable();
        }
        seen
    }

    /// Ready when a read may say something: bytes, end or error.
    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.socket {
            Socket::Tcp(stream) => stream.poll_read_ready(cx),
            Socket::Unix(stream) => stream.poll_read_ready(cx),
        }
    }

    /// Writes once, tried before it is awaited.
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let tried = match &self.socket {
                Socket::Tcp(stream) => stream.try_write(bytes),
                Socket::Unix(stream) => stream.try_write(bytes),
            };
            match tried {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(self.poll_write_ready(cx))?,
                done => {
                    let count = done.as_ref().map_or(0, |&count| count as u64);
                    self.sent.set(self.sent.get() + count);
                    return Poll::Ready(done);
                }
            }
        }
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.socket {
            Socket::Tcp(stream) => stream.poll_write_ready(cx),
            Socket::Unix(stream) => stream.poll_write_ready(cx),
        }
    }

    /// Says that no more will be written: a FIN.
    pub(crate) fn shut_down_write(&self) -> io::Result<()> {
        socket2::SockRef::from(&self.as_fd()).shutdown(std::net::Shutdown::Write)
    }

    /// Takes the transport out of its reactor.
    pub(crate) fn detach(self) -> io::Result<Detached> {
        let socket = match self.socket {
            Socket::Tcp(stream) => Bare::Tcp(stream.into_std()?),
            Socket::Unix(stream) => Bare::Unix(stream.into_std()?),
        };
        Ok(Detached {
            socket,
            received: self.received.get(),
            sent: self.sent.get(),
        })
    }
}

impl Detached {
    /// Registers the transport with this thread's reactor.
    pub(crate) fn attach(self) -> io::Result<Transport> {
        let socket = match self.socket {
            Bare::Tcp(stream) => Socket::Tcp(TcpStream::from_std(stream)?),
            Bare::Unix(stream) => Socket::Unix(UnixStream::from_std(stream)?),
        };
        Ok(Transport {
            socket,
            received: Cell::new(self.received),
            sent: Cell::new(self.sent),
        })
    }
}

impl AsFd for Transport {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Tcp(stream) => stream.as_fd(),
            Socket::Unix(stream) => stream.as_fd(),
        }
    }
}
