//! A look at what a socket has received, without taking it and without waiting.

use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};

/// What a look at a socket showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peek {
    /// Nothing has come: the connection is open and quiet.
    Quiet,
    /// Bytes are there.
    Bytes(usize),
    /// The peer's FIN is there, with no bytes before it.
    Fin,
    /// The first sign of the end was ECONNRESET: an RST, with no FIN before it.
    Reset,
    /// Another error.
    Failed(i32),
}

/// Looks at what the socket has received. `buffer` takes a copy of the first bytes.
///
/// The call reports a pending socket error and so takes it: whoever looks must remember what the
/// look said, since the next read may then say end of file.
pub fn peek(socket: &impl AsFd, buffer: &mut [u8]) -> Peek {
    let fd = socket.as_fd().as_raw_fd();
    loop {
        return match recv(fd, buffer, MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT) {
            Ok(0) => Peek::Fin,
            Ok(n) => Peek::Bytes(n),
            Err(Errno::EAGAIN) => Peek::Quiet,
            Err(Errno::EINTR) => continue,
            Err(Errno::ECONNRESET) => Peek::Reset,
            Err(error) => Peek::Failed(error as i32),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::time::{Duration, Instant};

    fn pair() -> std::io::Result<(TcpStream, TcpStream)> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let ours = TcpStream::connect(listener.local_addr()?)?;
        Ok((ours, listener.accept()?.0))
    }

    fn settled(socket: &TcpStream) -> Peek {
        let end = Instant::now() + Duration::from_secs(2);
        loop {
            match peek(socket, &mut [0; 8]) {
                Peek::Quiet if Instant::now() < end => std::thread::yield_now(),
                other => return other,
            }
        }
    }

    #[test]
    fn an_open_connection_is_quiet_until_bytes_come() -> std::io::Result<()> {
        let (ours, mut theirs) = pair()?;
        assert_eq!(peek(&ours, &mut [0; 8]), Peek::Quiet);
        theirs.write_all(b"abc")?;
        assert_eq!(settled(&ours), Peek::Bytes(3));
        assert_eq!(settled(&ours), Peek::Bytes(3), "a look takes nothing");
        Ok(())
    }

    #[test]
    fn a_fin_and_a_bare_reset_are_told_apart() -> std::io::Result<()> {
        let (ours, theirs) = pair()?;
        drop(theirs);
        assert_eq!(settled(&ours), Peek::Fin);
        let (ours, theirs) = pair()?;
        socket2::SockRef::from(&theirs).set_linger(Some(Duration::ZERO))?;
        drop(theirs);
        assert_eq!(settled(&ours), Peek::Reset);
        Ok(())
    }
}
