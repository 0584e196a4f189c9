//! Sources: sockets that the kernel watches for us, and whom to call when they have news.
//!
//! Registered once, edge-triggered, for both directions: waiting costs no system call. Readiness is
//! remembered until a call finds that it is used up. A socket that is *fresh* is registered when it is first
//! waited for; one that is used up before that never is.

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

use super::Engine;
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

#[derive(Debug)]
struct Entry {
    /// Slots are used again: news for who had it before is not ours.
    generation: u32,
    socket: RawFd,
    watch: Watch,
    readable: bool,
    /// The peer ended its side, or the socket failed: reads say so from now on, and no edge tells
    /// it again.
    ended: bool,
    writable: bool,
    reader: Caller,
    writer: Caller,
}

/// Whether the kernel watches a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watch {
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
    /// The doorkeeper, about this door.
    Door(u32),
}

/// A socket's place among the sources of the thread that registered it. It may be dropped on any
/// thread, and asked only on its own.
pub(crate) struct Source {
    key: u64,
    inbox: Arc<Inbox>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Source").field(&self.key).finish()
    }
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

    fn add(&self, socket: &impl AsFd) -> Source {
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
        Source {
            key: u64::from(generation) << 32 | slot as u64,
            inbox: self.inbox.clone(),
        }
    }

    /// The entry of a key, if it is still its.
    fn entry<'a>(entries: &'a mut Slab<Entry>, key: u64) -> Option<&'a mut Entry> {
        entries.get_mut(slot(key)).filter(|e| e.generation == generation(key))
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
    const fn may_say_something(&self) -> bool {
        self.readable || self.ended
    }

    /// Ready if the kernel does not watch the socket for whoever waits.
    fn poll_watched(&mut self, inbox: &Inbox, key: u64) -> Poll<()> {
        match self.watched(inbox, key) {
            true => Poll::Pending,
            false => Poll::Ready(()),
        }
    }

    /// Has the kernel watch the socket, unless it does. False if it refuses: then the socket has ended, as far
    /// as anyone is told.
    fn watched(&mut self, inbox: &Inbox, key: u64) -> bool {
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

    fn register(&self, inbox: &Inbox, key: u64) -> io::Result<()> {
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

impl Source {
    /// Has the kernel watch `socket` for this thread.
    ///
    /// # Errors
    /// The kernel refused.
    pub(crate) fn of(socket: &impl AsFd) -> io::Result<Self> {
        let source = Self::fresh(socket);
        let watched = source.visit(|entry, engine| {
            (entry.watch, entry.readable) = (Watch::On, false);
            entry.register(&engine.inbox, source.key)
        });
        watched.unwrap_or(Ok(())).map(|()| source)
    }

    /// Has the kernel watch `socket` for this thread once somebody waits for it.
    pub(crate) fn fresh(socket: &impl AsFd) -> Self {
        super::here(|engine| engine.sources.add(socket))
    }

    /// Ready when a read may say something: bytes, end or error.
    pub(crate) fn poll_readable(&self, context: &Context<'_>) -> Poll<()> {
        self.visit(|entry, engine| {
            if entry.may_say_something() {
                return Poll::Ready(());
            }
            entry.reader.set(context, &engine.tasks);
            entry.poll_watched(&engine.inbox, self.key)
        })
        .unwrap_or(Poll::Pending)
    }

    /// As [`Self::poll_readable`], for whom it is early enough a millisecond late.
    pub(crate) fn poll_readable_patiently(&self, context: &Context<'_>) -> Poll<()> {
        self.visit(|entry, engine| {
            if entry.may_say_something() {
                return Poll::Ready(());
            }
            entry.reader.set(context, &engine.tasks);
            if entry.watch == Watch::Fresh {
                entry.watch = Watch::Soon;
                let until = engine.clock.now() + PATIENCE;
                engine.sources.patient.borrow_mut().push_back((until, self.key));
            }
            Poll::Pending
        })
        .unwrap_or(Poll::Pending)
    }

    /// Wakes `watcher` when a read may say something; gives it back if it may already.
    pub(crate) fn watch(&self, watcher: Waker) -> Option<Waker> {
        let mut watcher = Some(watcher);
        self.visit(|entry, engine| {
            if !entry.may_say_something() && entry.poll_watched(&engine.inbox, self.key).is_pending() {
                entry.reader = watcher.take().map_or(Caller::NOBODY, Caller::Elsewhere);
            }
        });
        watcher
    }

    /// Ready once the peer has ended its side, whatever there is to read before that.
    #[cfg(feature = "sim")]
    pub(crate) fn poll_ended(&self, context: &Context<'_>) -> Poll<()> {
        self.visit(|entry, engine| {
            if entry.ended {
                return Poll::Ready(());
            }
            entry.reader.set(context, &engine.tasks);
            entry.poll_watched(&engine.inbox, self.key)
        })
        .unwrap_or(Poll::Pending)
    }

    /// Ready when a write may be taken.
    pub(crate) fn poll_writable(&self, context: &Context<'_>) -> Poll<()> {
        self.visit(|entry, engine| {
            if entry.writable {
                return Poll::Ready(());
            }
            entry.writer.set(context, &engine.tasks);
            entry.poll_watched(&engine.inbox, self.key)
        })
        .unwrap_or(Poll::Pending)
    }

    /// Knocks at `door` when a read may say something; true if it may already.
    pub(crate) fn watch_door(&self, door: u32) -> bool {
        let watched = self.visit(|entry, engine| {
            entry.reader = Caller::Here(Here::Door(door));
            entry.watched(&engine.inbox, self.key);
            entry.may_say_something()
        });
        watched.unwrap_or(false)
    }

    /// Whether no news has come that was not read.
    pub(crate) fn is_quiet(&self) -> bool {
        self.visit(|entry, _| !entry.may_say_something()).unwrap_or(false)
    }

    /// The kernel has no more to read: what comes from now on is news.
    pub(crate) fn forget_readable(&self) {
        self.visit(|entry, _| entry.readable = false);
    }

    /// The kernel takes no more: when it does again, that is news.
    pub(crate) fn forget_writable(&self) {
        self.visit(|entry, _| entry.writable = false);
    }

    /// Ends the kernel's watch of `socket`, so that another thread can have it.
    ///
    /// # Errors
    /// The kernel did not watch it.
    pub(crate) fn unwatch(&self, socket: &impl AsFd) -> io::Result<()> {
        let fd = socket.as_fd().as_raw_fd();
        self.inbox.registry().deregister(&mut SourceFd(&fd))
    }

    /// Visits the entry, if this is the thread that has it.
    fn visit<T>(&self, visit: impl FnOnce(&mut Entry, &Engine) -> T) -> Option<T> {
        super::here_if_any(|engine| {
            if !Arc::ptr_eq(&engine.inbox, &self.inbox) {
                return None;
            }
            let mut entries = engine.sources.entries.borrow_mut();
            let entry = entries.get_mut(slot(self.key))?;
            Some(visit(entry, engine))
        })
        .flatten()
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        // Closing the socket ends the kernel's watch.
        let here = super::here_if_any(|engine| {
            let ours = Arc::ptr_eq(&engine.inbox, &self.inbox);
            if ours {
                engine.sources.forget(self.key);
            }
            ours
        });
        if here != Some(true) {
            self.inbox.post(|posted| posted.dropped.push(self.key));
        }
    }
}
