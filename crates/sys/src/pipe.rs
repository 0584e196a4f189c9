//! Moving bytes between sockets inside the kernel, through a pipe.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

/// Bytes asked for in a pipe: as many as an unprivileged process may have in one.
const CAPACITY: usize = 1024 * 1024;

/// A pipe that bytes pass through on their way from one socket to another.
#[derive(Debug)]
pub struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    held: usize,
}

impl Pipe {
    /// An empty pipe.
    ///
    /// # Errors
    /// The process has no descriptors left.
    pub fn new() -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // Where it is refused (a user's pipes are limited altogether), a smaller one works as well.
        let _ = fcntl_setpipe_size(&write, CAPACITY);
        Ok(Self { read, write, held: 0 })
    }

    /// Bytes in it.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.held
    }

    /// Takes up to `most` bytes that a socket has received, without waiting. 0 is the end of the
    /// stream. To be called while the pipe is empty, so that it has room.
    ///
    /// # Errors
    /// `WouldBlock` if there is nothing to take; otherwise how the connection failed.
    pub fn fill(&mut self, from: &impl AsFd, most: u64) -> io::Result<usize> {
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(CAPACITY);
        let count = retried(|| splice(from, None, &self.write, None, most, FLAGS))?;
        self.held += count;
        Ok(count)
    }

    /// Gives a socket what it takes of the bytes held, without waiting.
    ///
    /// # Errors
    /// `WouldBlock` if it takes nothing now; otherwise how the connection failed.
    pub fn drain(&mut self, to: &impl AsFd) -> io::Result<usize> {
        let count = retried(|| splice(&self.read, None, to, None, self.held, FLAGS))?;
        self.held -= count;
        Ok(count)
    }
}

const FLAGS: SpliceFlags = SpliceFlags::NONBLOCK.union(SpliceFlags::MOVE);

fn retried(mut call: impl FnMut() -> rustix::io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(rustix::io::Errno::INTR) => {}
            done => return Ok(done?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    #[test]
    fn what_one_socket_received_another_sends() -> io::Result<()> {
        let (mut source, from) = UnixStream::pair()?;
        let (to, mut sink) = UnixStream::pair()?;
        from.set_nonblocking(true)?;
        let mut pipe = Pipe::new()?;
        let empty = pipe.fill(&from, 100).map_err(|error| error.kind());
        assert_eq!(empty, Err(io::ErrorKind::WouldBlock));
        source.write_all(b"hello, world")?;
        assert_eq!(pipe.fill(&from, 5)?, 5);
        assert_eq!((pipe.drain(&to)?, pipe.held()), (5, 0));
        let mut read = [0; 5];
        sink.read_exact(&mut read)?;
        assert_eq!(&read, b"hello");
        drop(source);
        assert_eq!(pipe.fill(&from, 100)?, 7);
        pipe.drain(&to)?;
        assert_eq!(pipe.fill(&from, 100)?, 0, "the end of the stream");
        Ok(())
    }
}
