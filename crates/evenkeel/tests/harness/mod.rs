//! The stage: the gateway's process, scripted upstreams, clients that speak raw bytes.

mod gateway;
mod message;
mod peer;
pub(crate) mod tls;
mod upstream;
pub(crate) mod yaml;

use std::time::{Duration, Instant};

pub(crate) use gateway::{Gateway, free_port};
pub(crate) use message::{Framing, Message};
pub(crate) use peer::{End, Peer};
pub(crate) use upstream::{Upstream, reply};

/// Nothing on this stage takes longer; a wait that does is a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// Waits until `ready` gives something; panics with `what` when patience ends.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(since.elapsed() < PATIENCE, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
