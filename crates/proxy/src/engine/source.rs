//! A socket as whoever owns it sees it: whether it can be read or written, and being called when it can.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use mio::unix::SourceFd;

use super::Engine;
use super::sources::{Caller, Entry, Here, Watch};
use super::tasks::Inbox;

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
        super::here(|engine| Self {
            key: engine.sources.add(socket),
            inbox: engine.inbox.clone(),
        })
    }

    /// Ready when a read may say something: bytes, end or error.
    pub(crate) fn poll_readable(&self, context: &Context<'_>) -> Poll<()> {
        self.poll(context, Entry::may_say_something, |entry| &mut entry.reader)
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
                engine.sources.watch_later(self.key, engine.clock.now());
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
        self.poll(context, |entry| entry.ended, |entry| &mut entry.reader)
    }

    /// Ready when a write may be taken.
    pub(crate) fn poll_writable(&self, context: &Context<'_>) -> Poll<()> {
        self.poll(context, |entry| entry.writable, |entry| &mut entry.writer)
    }

    /// Ready if `is_ready`; otherwise the kernel watches the socket, and `caller` calls whoever is polled.
    fn poll(
        &self,
        context: &Context<'_>,
        is_ready: impl FnOnce(&Entry) -> bool,
        caller: impl FnOnce(&mut Entry) -> &mut Caller,
    ) -> Poll<()> {
        self.visit(|entry, engine| {
            if is_ready(entry) {
                return Poll::Ready(());
            }
            caller(entry).set(context, &engine.tasks);
            entry.poll_watched(&engine.inbox, self.key)
        })
        .unwrap_or(Poll::Pending)
    }

    /// Tells the keeper of `slot` when a read may say something; true if it may already.
    pub(crate) fn watch_slot(&self, slot: u32) -> bool {
        let watched = self.visit(|entry, engine| {
            entry.reader = Caller::Here(Here::Slot(slot));
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
            engine.sources.visit(self.key, |entry| visit(entry, engine))
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
