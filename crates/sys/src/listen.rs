//! Listening: what a worker accepts on.

#[cfg(target_os = "linux")]
use std::fs::File;
use std::io;
#[cfg(target_os = "linux")]
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::net::SocketFlags;
#[cfg(target_os = "linux")]
use socket2::SockRef;
use socket2::{Domain, Protocol, Socket, Type};

/// The accept queue's length: what `net.core.somaxconn` allows is the kernel's business.
#[must_use]
pub const fn listen_backlog() -> i32 {
    4096
}

/// A client that connects and says nothing is given to us once it does, or after this long. So whoever
/// is to lose no client waits for longer before closing a listener.
pub const SILENCE: Duration = Duration::from_secs(1);

/// Who of a listener's protocol says something first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpeaksFirst {
    /// The client, as with HTTP and TLS: where the platform can, connections come with their first bytes, or
    /// [`SILENCE`] after their handshake.
    Client,
    /// The server, or nobody knows: a tunnel of raw TCP, say. Connections come with their handshake.
    Server,
}

/// A non-blocking listener that shares its address with the other workers' (`SO_REUSEPORT`).
///
/// # Errors
/// The address is taken, not ours, or not permitted.
pub fn listen(address: SocketAddr, first: SpeaksFirst) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // Accepted sockets inherit it on Linux, which saves a call for each connection.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    if first == SpeaksFirst::Client {
        // Without it a connection wakes us twice, and is read once in vain; nothing else is lost.
        let _ = defer_accept(&socket);
    }
    socket.listen(listen_backlog())?;
    Ok(socket.into())
}

#[cfg(target_os = "linux")]
fn defer_accept(listener: &Socket) -> io::Result<()> {
    use nix::{setsockopt_impl, sockopt_impl};
    sockopt_impl!(
        /// `TCP_DEFER_ACCEPT`, in seconds.
        DeferAccept, SetOnly, nix::libc::IPPROTO_TCP, nix::libc::TCP_DEFER_ACCEPT, u32
    );
    let seconds = u32::try_from(SILENCE.as_secs()).unwrap_or(u32::MAX);
    Ok(nix::sys::socket::setsockopt(listener, DeferAccept, &seconds)?)
}

#[cfg(not(target_os = "linux"))]
fn defer_accept(_listener: &Socket) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Accepts one connection, without waiting; its socket does not wait either. One system call.
///
/// # Errors
/// `WouldBlock` if there is none; otherwise see accept(2).
pub fn accept(listener: &impl AsFd) -> io::Result<(OwnedFd, SocketAddr)> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (socket, peer) = rustix::net::acceptfrom_with(listener, flags)?;
    let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
    Ok((socket, peer.unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0)))))
}

/// From now on the listener hears no new connection: its SYNs are dropped before they are answered.
/// Those that were answered still complete and can be accepted, so that none is lost when the
/// listener is closed a little later. A client whose SYN was dropped sends it again after a second,
/// and finds who listens there then.
///
/// # Errors
/// The platform has no socket filters; the listener is as it was.
#[cfg(target_os = "linux")]
pub fn hear_no_more(listener: &impl AsFd) -> io::Result<()> {
    use socket2::SockFilter;
    // linux/bpf_common.h: BPF_LD|BPF_B|BPF_ABS, BPF_JMP|BPF_JSET|BPF_K, BPF_RET|BPF_K.
    const LOAD_BYTE: u16 = 0x30;
    const JUMP_IF_SET: u16 = 0x45;
    const RETURN: u16 = 0x06;
    // RFC 9293, 3.1: the flags are byte 13 of the TCP header, SYN is its second bit.
    const FLAGS: u32 = 13;
    const SYN: u32 = 0x02;
    SockRef::from(listener).attach_filter(&[
        SockFilter::new(LOAD_BYTE, 0, 0, FLAGS),
        SockFilter::new(JUMP_IF_SET, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ])
}

/// How many handshakes that were answered on a port are not complete, those of silent clients among them:
/// they can not be accepted yet, and are lost when the listener is closed. Reads the kernel's list of all
/// connections, so it may take a tenth of a second where there are a hundred thousand.
///
/// # Errors
/// There is no `/proc`.
#[cfg(target_os = "linux")]
pub fn handshakes(port: u16) -> io::Result<usize> {
    let count = |path| File::open(path).map(|table| handshakes_in(BufReader::new(table), port));
    // Where IPv6 is switched off there is no table of its connections.
    Ok(count("/proc/self/net/tcp")? + count("/proc/self/net/tcp6").unwrap_or(0))
}

/// proc_pid_net(5): number, local address, remote address, state, … A line at a time, since there can be many.
#[cfg(target_os = "linux")]
fn handshakes_in(table: impl BufRead, port: u16) -> usize {
    const SYN_RECV: &str = "03";
    let port = format!(":{port:04X}");
    let is_one = |line: &String| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let ours = fields.next().is_some_and(|local| local.ends_with(&port));
        ours && fields.nth(1) == Some(SYN_RECV)
    };
    table.lines().map_while(Result::ok).filter(is_one).count()
}

/// Not on this platform.
///
/// # Errors
/// Always.
#[cfg(not(target_os = "linux"))]
pub fn handshakes(_port: u16) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Not on this platform.
///
/// # Errors
/// Always.
#[cfg(not(target_os = "linux"))]
pub fn hear_no_more(_listener: &impl AsFd) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::time::Instant;

    #[test]
    fn a_client_comes_with_what_it_says_and_a_silent_one_a_little_later() -> io::Result<()> {
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0)), SpeaksFirst::Client)?;
        let address = listener.local_addr()?;
        let silent = TcpStream::connect(address)?;
        let since = Instant::now();
        let mut speaking = TcpStream::connect(address)?;
        speaking.write_all(b"ask")?;
        let (_, peer) = accept(&listener)?;
        assert_eq!(peer, speaking.local_addr()?);
        assert_eq!(handshakes(address.port())?, 1);
        let nobody = accept(&listener).map(drop).map_err(|error| error.kind());
        assert_eq!(nobody, Err(io::ErrorKind::WouldBlock));
        listener.set_nonblocking(false)?;
        let (_, peer) = listener.accept()?;
        assert_eq!(peer, silent.local_addr()?);
        assert_eq!(handshakes(address.port())?, 0);
        let waited = since.elapsed();
        assert!(waited > SILENCE / 2 && waited < SILENCE * 3, "{waited:?}");
        Ok(())
    }

    #[test]
    fn a_listener_that_hears_no_more_still_gives_what_it_heard() -> io::Result<()> {
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0)), SpeaksFirst::Client)?;
        listener.set_nonblocking(false)?;
        let address = listener.local_addr()?;
        let mut heard = TcpStream::connect(address)?;
        hear_no_more(&listener)?;
        let unheard = TcpStream::connect_timeout(&address, Duration::from_millis(200));
        assert_eq!(
            unheard.map(drop).map_err(|error| error.kind()),
            Err(io::ErrorKind::TimedOut)
        );
        heard.write_all(b"ask")?;
        let (mut served, _) = listener.accept()?;
        drop(listener);
        served.read_exact(&mut [0; 3])?;
        served.write_all(b"told")?;
        heard.read_exact(&mut [0; 4])
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_silent_client_is_there_at_once_where_the_server_speaks_first() -> io::Result<()> {
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0)), SpeaksFirst::Server)?;
        let _client = std::net::TcpStream::connect(listener.local_addr()?)?;
        accept(&listener).map(drop)
    }
}
