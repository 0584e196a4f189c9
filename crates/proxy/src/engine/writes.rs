//! When the tasks of a turn write to endpoints.
//!
//! A peer that sleeps is woken by what is written to it, and waking it can cost as much as a third of the
//! write. While it is awake, more wakes nobody. So where a look at the kernel brought news for many,
//! all of it is taken in first, and what goes to endpoints is written after that, in one go.

use std::cell::{Cell, RefCell};
use std::task::Poll;

use super::Spawned;

/// Fewer news than this are acted on one by one: there is nothing to be had by waiting for the others.
const MANY: usize = 4;

/// Who waits to write in this turn.
#[derive(Default)]
pub(super) struct Writes {
    /// Whether news are still being taken in, and writes wait for that.
    wait: Cell<bool>,
    waiting: RefCell<Vec<Spawned>>,
}

impl Writes {
    /// A turn begins that has so many news.
    pub(super) fn begin(&self, news: usize) {
        self.wait.set(news >= MANY);
    }

    /// Ready when `task` may write: in this turn, but perhaps behind what the other tasks read.
    pub(super) fn poll(&self, task: Spawned) -> Poll<()> {
        if !self.wait.get() {
            return Poll::Ready(());
        }
        self.waiting.borrow_mut().push(task);
        Poll::Pending
    }

    /// All news are taken in: calls those who wait, who may write from now on. False if nobody does.
    pub(super) fn call(&self, mut call: impl FnMut(Spawned)) -> bool {
        self.wait.set(false);
        let mut waiting = self.waiting.borrow_mut();
        let some = !waiting.is_empty();
        waiting.drain(..).for_each(&mut call);
        some
    }
}
