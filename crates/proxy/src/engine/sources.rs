//! The sockets that the kernel watches for us, and whom to call when they have news.
//!
//! ```text
//!   fresh --somebody waits for bytes, or room----------------------------> on
//!     '-----somebody waits, with patience --> soon --for a millisecond------^
//! ```
//! Registered once, edge-triggered, for both directions: waiting costs no system call. Readiness is
//! remembered until a call finds that it is used up. A socket that is fresh has been looked at by nobody;
//! one that is used up before anybody waits for it is never registered.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use mio::unix::SourceFd;
use policy::time::Moment;
use slab::Slab;

use super::tasks::{Inbox, Spawned, Tasks};

/// Who asks only whether a fresh socket's peer leaves learns it so much later: most sockets that carry one
/// request are gone by then, and the kernel never had to watch them.
const PATIENCE: Duration = Duration::from_millis(1);

/// All sources of a thread.
pub(super) struct Sources {
    inbox: Arc<Inbox>,
    entries: RefCell<Slab<Entry>>,
    generation: std::cell::Cell<u32>,
    /// Fresh sockets that somebody waits for with patience, and until when.
    patient: RefCell<VecDeque<(Moment, u64)>>,
}

/// What is known of a socket.
#[derive(Debug)]
pub(super) struct Entry {
    /// Slots are used again: news for who had it before is not ours.
    generation: u32,
    socket: RawFd,
    pub(super) watch: Watch,
    pub(super) readable: bool,
    /// The peer ended its side, or the socket failed: reads say so from now on, and no edge tells
    /// it again.
    pub(super) ended: bool,
    pub(super) writable: bool,
    pub(super) reader: Caller,
    pub(super) writer: Caller,
}

/// Whether the kernel watches a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watch {
    /// Not before somebody waits for it.
    Fresh,
    /// Somebody does, with patience.
    Soon,
    On,
}

/// Whom to call.
#[derive(Clone, Debug)]
pub(super) enum Caller {
    /// Somebody of this thread.
    Here(Here),
    /// A watcher.
    Elsewhere(Waker),
}

/// Whom to call on this thread: without a count that other threads may touch, as wakers have.
#[derive(Clone, Copy, Debug)]
pub(super) enum Here {
    Nobody,
    Task(Spawned),
    /// Who keeps this slot.
    Slot(u32),
}

impl Caller {
    pub(super) const NOBODY: Self = Self::Here(Here::Nobody);

    /// Calls whoever is polled with `context` from now on.
    pub(super) fn set(&mut self, context: &Context<'_>, tasks: &Tasks) {
        let waker = context.waker();
        *self = match tasks.running(waker) {
            Some(task) => Self::Here(Here::Task(task)),
            None => Self::Elsewhere(waker.clone()),
        };
    }

    /// Calls it, or says who of this thread is to be called.
    pub(super) fn call(&self) -> Here {
        match self {
            Self::Here(whom) => *whom,
            Self::Elsewhere(waker) => {
                waker.wake_by_ref();
                Here::Nobody
            }
        }
    }
}

impl Sources {
    pub(super) fn new(inbox: Arc<Inbox>) -> Self {
        Self {
            inbox,
            entries: RefCell::default(),
            generation: std::cell::Cell::default(),
            patient: RefCell::default(),
        }
    }

    /// A fresh socket's key.
    pub(super) fn add(&self, socket: &impl AsFd) -> u64 {
        let generation = self.generation.get().wrapping_add(1);
        self.generation.set(generation);
        let slot = self.entries.borrow_mut().insert(Entry {
            generation,
            socket: socket.as_fd().as_raw_fd(),
            watch: Watch::Fresh,
            readable: true,
            ended: false,
            writable: false,
            reader: Caller::NOBODY,
            writer: Caller::NOBODY,
        });
        u64::from(generation) << 32 | slot as u64
    }

    /// Visits the entry of a socket that has not been dropped.
    pub(super) fn visit<T>(&self, key: u64, visit: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        self.entries.borrow_mut().get_mut(slot(key)).map(visit)
    }

    /// Somebody waits with patience for a fresh socket's peer to leave.
    pub(super) fn watch_later(&self, key: u64, now: Moment) {
        self.patient.borrow_mut().push_back((now + PATIENCE, key));
    }

    /// The entry of a key, if it is still its.
    fn entry(entries: &mut Slab<Entry>, key: u64) -> Option<&mut Entry> {
        entries
            .get_mut(slot(key))
            .filter(|e| e.generation == generation(key))
    }

    /// Has the kernel watch the sockets whose waiters had patience for long enough. Says when the next one's
    /// is at its end.
    pub(super) fn watch_patient(&self, now: Moment, call: impl Fn(Here)) -> Option<Moment> {
        loop {
            let (due, key) = *self.patient.borrow().front()?;
            if due > now {
                return Some(due);
            }
            self.patient.borrow_mut().pop_front();
            let mut entries = self.entries.borrow_mut();
            let Some(entry) = Self::entry(&mut entries, key) else {
                continue;
            };
            if !entry.watched(&self.inbox, key) {
                let reader = entry.reader.call();
                drop(entries);
                call(reader);
            }
        }
    }

    /// The kernel has news of a source.
    pub(super) fn news(&self, event: &mio::event::Event, call: impl Fn(Here)) {
        let key = event.token().0 as u64;
        let mut entries = self.entries.borrow_mut();
        let Some(entry) = Self::entry(&mut entries, key) else {
            return;
        };
        let (mut reader, mut writer) = (Here::Nobody, Here::Nobody);
        let ended = event.is_read_closed() || event.is_error();
        if event.is_readable() || ended {
            entry.readable = true;
            entry.ended |= ended;
            reader = entry.reader.call();
        }
        if event.is_writable() || event.is_write_closed() || event.is_error() {
            entry.writable = true;
            writer = std::mem::replace(&mut entry.writer, Caller::NOBODY).call();
        }
        // Whoever is called may want a source.
        drop(entries);
        call(reader);
        call(writer);
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.entries.borrow().is_empty()
    }

    pub(super) fn forget(&self, key: u64) {
        let mut entries = self.entries.borrow_mut();
        let ours = Self::entry(&mut entries, key).is_some();
        let gone = ours.then(|| entries.remove(slot(key)));
        drop(entries);
        drop(gone);
    }
}

impl Entry {
    pub(super) const fn may_say_something(&self) -> bool {
        self.readable || self.ended
    }

    /// Ready if the kernel does not watch the socket for whoever waits.
    pub(super) fn poll_watched(&mut self, inbox: &Inbox, key: u64) -> Poll<()> {
        match self.watched(inbox, key) {
            true => Poll::Pending,
            false => Poll::Ready(()),
        }
    }

    /// Has the kernel watch the socket, unless it does. False if it refuses: then the socket has ended, as far
    /// as anyone is told.
    pub(super) fn watched(&mut self, inbox: &Inbox, key: u64) -> bool {
        if self.watch == Watch::On {
            return true;
        }
        self.watch = Watch::On;
        let Err(error) = self.register(inbox, key) else {
            return true;
        };
        tracing::warn!(%error, "the kernel does not watch a connection; it is closed");
        self.ended = true;
        false
    }

    pub(super) fn register(&self, inbox: &Inbox, key: u64) -> io::Result<()> {
        let interest = mio::Interest::READABLE | mio::Interest::WRITABLE;
        let token = mio::Token(usize::try_from(key).unwrap_or(usize::MAX - 1));
        inbox
            .registry()
            .register(&mut SourceFd(&self.socket), token, interest)
    }
}

const fn slot(key: u64) -> usize {
    (key & u32::MAX as u64) as usize
}

const fn generation(key: u64) -> u32 {
    (key >> 32) as u32
}
