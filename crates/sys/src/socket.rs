//! Socket set-up and the descriptor limit.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

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
