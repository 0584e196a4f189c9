//! The network between the proxy and a world's endpoints, which is the world's.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use policy::cluster::Address;

/// A connection being opened: the proxy's end of it, or why there is none.
pub type Dialling = Pin<Box<dyn Future<Output = io::Result<OwnedFd>>>>;

/// What a world's network does when the proxy asks it.
pub trait Network {
    /// Opens a connection to `to`. Being dropped means that the proxy waits no longer.
    fn dial(&self, to: SocketAddr) -> Dialling;

    /// Bytes that the far end of the proxy's socket has acknowledged, and the round trip, as TCP would
    /// tell them now; `None` for a socket that `dial` did not give.
    fn acknowledged(&self, socket: RawFd) -> Option<(u64, Duration)>;
}

thread_local! {
    static NETWORK: RefCell<Option<Rc<dyn Network>>> = const { RefCell::new(None) };
}

/// From now on the proxy's connections of this thread lead into `network`, until the world ends.
pub fn use_network(network: Rc<dyn Network>) {
    NETWORK.set(Some(network));
}

pub(crate) fn close() {
    NETWORK.set(None);
}

/// Whether this thread's connections lead into a world.
pub(crate) fn is_simulated() -> bool {
    NETWORK.with_borrow(Option::is_some)
}

/// A connection into the world's network; `None` where there is no world.
pub(crate) fn dial(address: &Address) -> Option<Dialling> {
    let network = NETWORK.with_borrow(Clone::clone)?;
    match address {
        Address::Ip(address) => Some(network.dial(*address)),
        Address::Unix(_) => None,
    }
}

/// What TCP would tell of a connection into the world's network. The SYN counts as one byte.
pub(crate) fn tcp_facts(socket: &impl AsFd) -> Option<sys::TcpFacts> {
    let network = NETWORK.with_borrow(Clone::clone)?;
    let (acknowledged, round_trip) = network.acknowledged(socket.as_fd().as_raw_fd())?;
    Some(sys::TcpFacts {
        bytes_acknowledged: acknowledged + 1,
        round_trip,
    })
}
