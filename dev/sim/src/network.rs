//! The network between the proxy and the endpoints, and who sees how many connections.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::rc::{Rc, Weak};
use std::time::Duration;

use proxy::sim::{Dialling, Network, Stream, sleep, spawn};

use crate::endpoint::{Dialled, Endpoint};
use crate::ledger::Ledger;
use crate::link::Link;

/// All endpoints of a world, by their addresses.
#[derive(Debug, Default)]
pub(crate) struct Net {
    pub(crate) endpoints: Vec<Rc<Endpoint>>,
    /// By the proxy's descriptor. One that is used again is entered again.
    links: Rc<RefCell<BTreeMap<RawFd, Weak<Link>>>>,
    ledger: Rc<Ledger>,
}

/// Connections to an endpoint and to its cluster, as the proxy's side holds them, and as many as
/// it may.
#[derive(Debug)]
pub(crate) struct Seats {
    pub(crate) taken: Cell<u32>,
    pub(crate) most: u32,
}

/// One connection, counted from its dialling until the proxy's end is closed.
struct Counted(Rc<Endpoint>);

impl Net {
    pub(crate) fn new(endpoints: Vec<Rc<Endpoint>>, ledger: Rc<Ledger>) -> Self {
        Self {
            endpoints,
            links: Rc::default(),
            ledger,
        }
    }

    /// Connections of the proxy that are open or opening.
    pub(crate) fn connections(&self) -> u32 {
        self.endpoints
            .iter()
            .map(|endpoint| endpoint.seats.taken.get())
            .sum()
    }
}

impl Network for Net {
    fn dial(&self, to: SocketAddr) -> Dialling {
        let endpoint = self.endpoints.iter().find(|endpoint| endpoint.address == to);
        let endpoint = endpoint
            .unwrap_or_else(|| panic!("{to} is not in this world"))
            .clone();
        let (links, ledger) = (self.links.clone(), self.ledger.clone());
        let counted = Counted::enter(&endpoint, &ledger);
        Box::pin(async move {
            sleep(endpoint.distance * 2).await;
            if endpoint.dialled().await == Dialled::Refused {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            let (theirs, ours) = UnixStream::pair()?;
            theirs.set_nonblocking(true)?;
            ours.set_nonblocking(true)?;
            let link = Link::start(Stream::of(ours.into())?, endpoint.distance, counted);
            links
                .borrow_mut()
                .insert(theirs.as_raw_fd(), Rc::downgrade(&link));
            ledger.count(|tally| tally.connections += 1);
            endpoint.accept(link);
            Ok(theirs.into())
        })
    }

    fn acknowledged(&self, socket: RawFd) -> Option<(u64, Duration)> {
        let link = self.links.borrow().get(&socket)?.upgrade()?;
        Some((link.acknowledged(), link.round_trip()))
    }
}

impl Seats {
    pub(crate) fn of(most: u32) -> Self {
        Self {
            taken: Cell::new(0),
            most,
        }
    }

    fn is_over(&self) -> bool {
        self.taken.get() > self.most
    }
}

impl Counted {
    fn enter(endpoint: &Rc<Endpoint>, ledger: &Rc<Ledger>) -> Self {
        for seats in [&endpoint.seats, &*endpoint.cluster] {
            seats.taken.set(seats.taken.get() + 1);
        }
        ledger.note("dialled", u64::from(endpoint.address.port()), 0);
        if endpoint.seats.is_over() || endpoint.cluster.is_over() {
            // What was closed at this very moment is seen a turn later.
            let (endpoint, ledger) = (endpoint.clone(), ledger.clone());
            spawn(async move {
                sleep(Duration::from_nanos(1)).await;
                for seats in [&endpoint.seats, &*endpoint.cluster] {
                    if seats.is_over() {
                        let (taken, most) = (seats.taken.get(), seats.most);
                        ledger.violated(format!("{} has {taken} connections of {most}", endpoint.address));
                    }
                }
            });
        }
        Self(endpoint.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        for seats in [&self.0.seats, &*self.0.cluster] {
            seats.taken.set(seats.taken.get() - 1);
        }
    }
}
