//! What everybody in a world saw, and what must never be.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use policy::time::Moment;
use proxy::sim::now;

use crate::message::{Method, Request};

/// Violations that are told; more would say nothing new.
const TOLD_MAX: usize = 8;

/// How a request ended, as its client saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// By a whole answer with this status; the endpoint's own, or a local one.
    Answered(u16),
    /// The connection ended inside the answer.
    Cut,
    /// The connection ended before it.
    Closed,
    /// The client left.
    Left,
}

/// The ledger of one world.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    ids: Cell<u64>,
    hash: Cell<u64>,
    /// Requests that endpoints applied, since the world last came to rest.
    applied: RefCell<BTreeMap<u64, u32>>,
    pub(crate) tally: Cell<Tally>,
    told: RefCell<Vec<String>>,
}

/// Counts of a world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests that clients began.
    pub sent: u64,
    /// … that ended.
    pub ended: u64,
    /// … by a whole answer of an endpoint with status 200.
    pub good: u64,
    /// … by another answer.
    pub refused: u64,
    /// … by a connection that ended before or inside the answer.
    pub cut: u64,
    /// … because their client left.
    pub left: u64,
    /// Requests that endpoints applied.
    pub applied: u64,
    /// Connections that endpoints saw.
    pub connections: u64,
    /// Keep-alive timers of endpoints that fired.
    pub timers: u64,
}

impl Ledger {
    /// A new request's number.
    pub(crate) fn id(&self) -> u64 {
        self.ids.set(self.ids.get() + 1);
        self.ids.get()
    }

    /// One more of something.
    pub(crate) fn count(&self, change: impl FnOnce(&mut Tally)) {
        let mut tally = self.tally.get();
        change(&mut tally);
        self.tally.set(tally);
    }

    /// An event of the story: `what` happened to `whom`, now.
    pub(crate) fn note(&self, what: &str, whom: u64, how: u64) {
        let mut hash = self.hash.get();
        let numbers = [now().as_nanos(), whom, how]
            .into_iter()
            .flat_map(u64::to_le_bytes);
        for byte in what.bytes().chain(numbers) {
            // FNV-1a.
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self.hash.set(hash);
    }

    /// The hash of all events.
    pub(crate) fn hash(&self) -> u64 {
        self.hash.get()
    }

    /// An endpoint read a whole request, and acts on it.
    pub(crate) fn applied(&self, request: &Request, may_repeat: bool) {
        self.note("applied", request.id, 0);
        self.count(|tally| tally.applied += 1);
        let mut applied = self.applied.borrow_mut();
        let times = applied.entry(request.id).or_default();
        *times += 1;
        if *times > 1 && request.method == Method::Post && !may_repeat {
            self.violated(format!("{request:?} was applied {times} times"));
        }
    }

    /// A request ended.
    pub(crate) fn ended(&self, request: &Request, end: End) {
        let how = match end {
            End::Answered(status) => u64::from(status),
            End::Cut => 1,
            End::Closed => 2,
            End::Left => 3,
        };
        self.note("ended", request.id, how);
        self.count(|tally| {
            tally.ended += 1;
            match end {
                End::Answered(200) => tally.good += 1,
                End::Answered(_) => tally.refused += 1,
                End::Cut | End::Closed => tally.cut += 1,
                End::Left => tally.left += 1,
            }
        });
    }

    /// Something happened that must never.
    pub(crate) fn violated(&self, what: String) {
        let mut told = self.told.borrow_mut();
        if told.len() < TOLD_MAX {
            told.push(format!("at {:.6} s: {what}", now().as_nanos() as f64 / 1e9));
        }
    }

    /// A task panicked in the process that began at `since`.
    pub(crate) fn panicked(&self, since: Moment, said: String) {
        let since = since.as_nanos() / 1_000_000_000;
        let told = format!("in the process that began at {since} s a task panicked: {said}");
        self.told.borrow_mut().push(told);
    }

    /// What happened that must never.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.told.borrow().clone()
    }

    /// The world is at rest: what was applied once cannot be applied again.
    pub(crate) fn forget(&self) {
        self.applied.borrow_mut().clear();
    }
}
