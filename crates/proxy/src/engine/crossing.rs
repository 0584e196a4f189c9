//! What crosses threads: messages for an engine that may be asleep, and whether a task is among the ready ones.
//!
//! ```text
//!   another thread:  message in, news = true,   asleep was true? -> ring
//!   the engine:      asleep = true, news? -> do not sleep          ... awake: asleep = false, news = false, take
//! ```
//! Either the engine sees the news before it sleeps, or the other sees that it sleeps: no message is left to one that
//! sleeps. `tests/crossing.rs` models it with loom.

use super::sync::{AtomicBool, Mutex, Ordering, fence};
use std::sync::PoisonError;

/// Messages of other threads.
#[derive(Debug, Default)]
pub(super) struct Posts<T> {
    posted: Mutex<T>,
    /// Somebody posted since it was last emptied.
    news: AtomicBool,
    asleep: AtomicBool,
}

impl<T: Default> Posts<T> {
    /// Leaves a message. True if the engine sleeps, or is about to: then it is to be woken, by whoever is told this.
    pub(super) fn post(&self, write: impl FnOnce(&mut T)) -> bool {
        write(&mut self.posted.lock().unwrap_or_else(PoisonError::into_inner));
        self.news.store(true, Ordering::Release);
        // Between what each side writes and what it then reads of the other: one of them sees the other's.
        fence(Ordering::SeqCst);
        self.asleep.swap(false, Ordering::AcqRel)
    }

    /// The engine is about to sleep; false if it must not, since there are messages.
    pub(super) fn may_sleep(&self) -> bool {
        self.asleep.store(true, Ordering::Release);
        fence(Ordering::SeqCst);
        !self.news.load(Ordering::Acquire)
    }

    /// The engine is awake: what was posted?
    pub(super) fn take(&self) -> T {
        if self.asleep.load(Ordering::Relaxed) {
            self.asleep.store(false, Ordering::Relaxed);
        }
        if !self.news.load(Ordering::Acquire) {
            return T::default();
        }
        // An exchange: a message whose news this takes back is one that this takes.
        self.news.swap(false, Ordering::AcqRel);
        std::mem::take(&mut self.posted.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Whether a task is among the ready ones, or on its way there.
#[derive(Debug)]
pub(super) struct Queued(AtomicBool);

impl Queued {
    /// It is.
    pub(super) fn new() -> Self {
        Self(AtomicBool::new(true))
    }

    /// Its own thread makes it ready; false if it is already.
    pub(super) fn by_its_thread(&self) -> bool {
        // No other thread takes this back, so no exchange is needed; if one sets it at the same time, the task is
        // polled once too often.
        let new = !self.0.load(Ordering::Relaxed);
        if new {
            self.0.store(true, Ordering::Relaxed);
        }
        new
    }

    /// Another thread makes it ready; false if it is already.
    pub(super) fn by_another_thread(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }

    /// It is polled now. What a waker of another thread did before it woke is seen by the poll that follows.
    /// `alone`: nobody else has a waker of it.
    pub(super) fn begin_poll(&self, alone: bool) {
        // Nobody else can wake it, and whoever could and has let go did so before. An exchange is twenty times as
        // dear, and there are five polls a request.
        if alone {
            fence(Ordering::Acquire);
            self.0.store(false, Ordering::Relaxed);
        } else {
            self.0.swap(false, Ordering::AcqRel);
        }
    }
}
