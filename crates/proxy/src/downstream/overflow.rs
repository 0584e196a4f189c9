//! A client that comes when as many are connected as may be: it is told so and let go.

use std::fmt;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use policy::time::Moment;

use super::clients::Clients;

/// What of a refused client's request is read: a head as most are. What is left unread when the connection is closed
/// resets it, and may take the answer with it.
const READ_MAX: usize = 16 * 1024;

/// The log says it once in this time, and how many there were meanwhile: who connects must not fill a disk.
const WARNED_AGAIN: Duration = Duration::from_secs(60);

/// Which limit is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// The configured one of an address.
    Address {
        /// The configured address.
        address: SocketAddr,
        /// Its limit.
        most: u32,
    },
    /// What the process' descriptors allow.
    Process {
        /// So many connections.
        most: usize,
    },
}

impl fmt::Display for Full {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { address, most } => write!(
                out,
                "{most} client connections to {address} are open, as many as `connection.connectionLimit.value` of its \
                 ClientTrafficPolicy allows. Raise it, or shorten `timeout.http.idleTimeout` there so that idle clients \
                 leave sooner"
            ),
            Self::Process { most } => write!(
                out,
                "{most} client connections are open, seven eighths of the descriptors that this process may have. Raise \
                 the hard limit (`ulimit -Hn`, `LimitNOFILE=`), or shorten `timeout.http.idleTimeout` of the \
                 ClientTrafficPolicy so that idle clients leave sooner"
            ),
        }
    }
}

/// What such a client is told.
const ANSWER: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\ncontent-length: 80\r\n\
    connection: close\r\n\r\nToo many connections are open at this gateway. Wait a moment and try again (UO).";

/// Answers a client whose request is here, and closes its connection. One that has said nothing yet is closed without
/// a word: nobody asked anything.
pub(crate) fn refuse(clients: &Clients, full: &Full, socket: OwnedFd) {
    warn(clients, full);
    let mut head = [0; READ_MAX];
    let count = sys::receive(&socket, &mut head).unwrap_or(0);
    let is_head = head[..count].windows(4).any(|four| four == b"\r\n\r\n");
    // Where a client does not take it, nothing more can be done for it.
    if is_head && sys::send(&socket, ANSWER).is_ok() {
        let _: io::Result<()> = socket2::SockRef::from(&socket).shutdown(Shutdown::Write);
    }
}

fn warn(clients: &Clients, full: &Full) {
    if let Some(count) = clients.refusals.borrow_mut().count(clients.worker.clock.now()) {
        tracing::warn!(
            "clients {} refused {count} clients with 503: {full}",
            clients.worker.id.0
        );
    }
}

/// Clients that were refused for one reason, and when that was said.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    said: Option<Moment>,
    since: u64,
}

impl Refusals {
    /// One more; their number since the last time, if it is to be said now.
    pub(super) fn count(&mut self, now: Moment) -> Option<u64> {
        self.since += 1;
        if self.said.is_some_and(|said| now.since(said) < WARNED_AGAIN) {
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_as_long_as_it_says() {
        let text = std::str::from_utf8(ANSWER).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        assert!(
            head.contains(&format!("content-length: {}\r\n", body.len())),
            "{}",
            body.len()
        );
    }

    #[test]
    fn it_is_said_at_once_and_then_once_a_minute_with_how_many_there_were() {
        let mut refusals = Refusals::default();
        let at = Moment::from_millis;
        assert_eq!(refusals.count(at(1)), Some(1));
        assert_eq!(refusals.count(at(2)), None);
        assert_eq!(refusals.count(at(59_000)), None);
        assert_eq!(refusals.count(at(60_001)), Some(3));
        assert_eq!(refusals.count(at(60_002)), None);
    }
}
