//! What TCP knows of a connection: bytes acknowledged, round trip time.

use std::os::fd::AsFd;
use std::time::Duration;

/// The part of the kernel's `TCP_INFO` that evenkeel uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpFacts {
    /// Bytes that the peer has acknowledged since the connection was opened. The SYN of a
    /// connection that we opened counts as one.
    pub bytes_acknowledged: u64,
    /// The smoothed round trip time.
    pub round_trip: Duration,
}

/// Reads the connection's facts; `None` for a socket that is not TCP, or where the platform
/// cannot tell.
#[must_use]
pub fn tcp_facts(socket: &impl AsFd) -> Option<TcpFacts> {
    imp::tcp_facts(socket)
}

#[cfg(target_os = "linux")]
mod imp {
    use super::{AsFd, Duration, TcpFacts};
    use nix::sys::socket::getsockopt;
    use nix::{getsockopt_impl, sockopt_impl};

    // A prefix of the kernel's `struct tcp_info`, up to `tcpi_bytes_received` (Linux 4.1). The
    // kernel fills no more than it is given, and nix checks that it filled no less, so a longer
    // struct would fail on an older kernel.
    #[expect(
        unreachable_pub,
        reason = "nix's macro makes `TcpInfo` public, and this is its value"
    )]
    #[repr(C)]
    #[derive(Clone, Copy, Debug)]
    pub struct Prefix {
        bytes: [u8; 8],
        words: [u32; 24],
        long_words: [u64; 4],
    }

    // Offsets within `words`, counted in fields of `struct tcp_info` after its eight bytes of bit fields.
    const RTT: usize = 15;
    // Offset within `long_words`: pacing rate, maximum pacing rate, bytes acknowledged, bytes received.
    const BYTES_ACKED: usize = 2;

    sockopt_impl!(
        /// `TCP_INFO`, its first 136 bytes.
        TcpInfo, GetOnly, nix::libc::IPPROTO_TCP, nix::libc::TCP_INFO, Prefix
    );

    pub(super) fn tcp_facts(socket: &impl AsFd) -> Option<TcpFacts> {
        let info = getsockopt(socket, TcpInfo).ok()?;
        Some(TcpFacts {
            bytes_acknowledged: info.long_words[BYTES_ACKED],
            round_trip: Duration::from_micros(info.words[RTT].into()),
        })
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use super::{AsFd, TcpFacts};

    pub(super) fn tcp_facts(_socket: &impl AsFd) -> Option<TcpFacts> {
        None
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn acknowledged_bytes_count_the_syn_and_what_was_sent() -> std::io::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let mut ours = TcpStream::connect(listener.local_addr()?)?;
        let (mut theirs, _) = listener.accept()?;
        let before = tcp_facts(&ours).expect("TCP on Linux").bytes_acknowledged;
        ours.write_all(&[7; 1000])?;
        theirs.read_exact(&mut [0; 1000])?;
        let after = tcp_facts(&ours).expect("TCP on Linux");
        assert_eq!(before, 1);
        assert_eq!(after.bytes_acknowledged, 1001);
        assert!(after.round_trip > Duration::ZERO && after.round_trip < Duration::from_secs(1));
        Ok(())
    }

    #[test]
    fn a_socket_that_is_not_tcp_has_no_facts() -> std::io::Result<()> {
        let (one, _two) = std::os::unix::net::UnixStream::pair()?;
        assert_eq!(tcp_facts(&one), None);
        Ok(())
    }
}
