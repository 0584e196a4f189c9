//! Socket set-up and the descriptor limit.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rustix::net::SocketFlags;
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, TcpKeepalive, Type};

/// The accept queue's length: what `net.core.somaxconn` allows is the kernel's business.
#[must_use]
pub const fn listen_backlog() -> i32 {
    4096
}

/// A non-blocking listener that shares its address with the other workers' (`SO_REUSEPORT`).
///
/// # Errors
/// The address is taken, not ours, or not permitted.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
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
    socket.listen(listen_backlog())?;
    Ok(socket.into())
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

/// Begins to open a connection to `address`, without waiting: it is open, or has failed, once the
/// socket is writable.
///
/// # Errors
/// It failed at once. A Unix socket whose backlog is full says `WouldBlock`.
pub fn connect(address: &SockAddr, prepare: impl FnOnce(&Socket) -> io::Result<()>) -> io::Result<OwnedFd> {
    let socket = Socket::new(address.domain(), Type::STREAM.nonblocking().cloexec(), None)?;
    prepare(&socket)?;
    match socket.connect(address) {
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
        done => done?,
    }
    Ok(socket.into())
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

/// Not on this platform.
///
/// # Errors
/// Always.
#[cfg(not(target_os = "linux"))]
pub fn hear_no_more(_listener: &impl AsFd) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Switches TCP keep-alive probes on.
///
/// # Errors
/// The kernel refused a value.
pub fn keep_alive(socket: &impl AsFd, idle: Duration, interval: Duration, probes: u32) -> io::Result<()> {
    let options = TcpKeepalive::new()
        .with_time(idle)
        .with_interval(interval)
        .with_retries(probes);
    SockRef::from(socket).set_tcp_keepalive(&options)
}

/// Has this thread's sleeps end when they should, and not up to 50 µs later.
///
/// # Errors
/// The platform knows no such thing.
#[cfg(target_os = "linux")]
pub fn sleep_exactly() -> io::Result<()> {
    Ok(nix::sys::prctl::set_timerslack(1)?)
}

/// Not on this platform.
///
/// # Errors
/// Always.
#[cfg(not(target_os = "linux"))]
pub fn sleep_exactly() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Raises the soft limit on open descriptors to the hard one; says the limit now in force.
///
/// # Errors
/// The kernel refused.
pub fn raise_fd_limit() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(hard)
}

/// Has the kernel make room for `count` open descriptors (1 at least) now, so that it need not later.
///
/// A table of descriptors doubles when it is full, and where threads share it, the kernel first waits until
/// no processor can be reading the old one: 10 to 20 ms in which the thread that opened a connection
/// stands still, and all of its clients with it. Takes 8 bytes of the kernel's memory for each.
///
/// # Errors
/// `count` is above the limit, or the kernel is out of memory; nothing is lost but the room.
pub fn make_room_for_fds(count: u64) -> io::Result<()> {
    let last = i32::try_from(count.saturating_sub(1)).unwrap_or(i32::MAX);
    let (some, _) = rustix::pipe::pipe()?;
    rustix::io::fcntl_dupfd_cloexec(&some, last)?;
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpStream;

    /// How many descriptors this process's table has room for.
    fn room() -> Option<u64> {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("FDSize:"))?;
        line.trim().parse().ok()
    }

    #[test]
    fn room_for_descriptors_is_there_before_they_are() -> io::Result<()> {
        let wanted = raise_fd_limit()?.min(4096);
        make_room_for_fds(wanted)?;
        assert!(room() >= Some(wanted), "{:?}", room());
        Ok(())
    }

    #[test]
    fn a_listener_that_hears_no_more_still_gives_what_it_heard() -> io::Result<()> {
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        listener.set_nonblocking(false)?;
        let address = listener.local_addr()?;
        let mut heard = TcpStream::connect(address)?;
        hear_no_more(&listener)?;
        let unheard = TcpStream::connect_timeout(&address, Duration::from_millis(200));
        assert_eq!(
            unheard.map(drop).map_err(|error| error.kind()),
            Err(io::ErrorKind::TimedOut)
        );
        let (mut served, _) = listener.accept()?;
        drop(listener);
        heard.write_all(b"ask")?;
        served.read_exact(&mut [0; 3])?;
        served.write_all(b"told")?;
        heard.read_exact(&mut [0; 4])
    }
}
