//! Socket set-up and the descriptor limit.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::{SockAddr, SockRef, Socket, TcpKeepalive, Type};

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
}
