//! The stages of a turn: what its tasks do together rather than one after the other.
//!
//! ```text
//!   Read: what came is taken in --> Act: heads are parsed, routed, written anew
//!         --> Ask: endpoints are written to --> Answer: clients are
//! ```
//! Two things are dear about going through all of it with each request by itself. A peer that sleeps is woken
//! by what is written to it, which can cost as much as a third of the write; while it is awake, more wakes
//! nobody. And the kernel's code and ours drive each other out of the processor's caches. So where a
//! look at the kernel brought news for many, each stage is gone through by all of them.

use std::cell::{Cell, RefCell};
use std::task::Poll;

use super::Spawned;

/// Fewer news than this are acted on one by one: there is nothing to be had by waiting for the others.
const MANY: usize = 4;

/// Whoever waits to act holds what was read; past so many, the next act at once.
const HOLDING_MAX: usize = 128;

/// A part of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Read,
    Process,
    WriteUpstream,
    WriteDownstream,
}

thread_local! {
    /// Where this thread's turn is: asked for more often than all else.
    static NOW: Cell<Stage> = const { Cell::new(Stage::WriteDownstream) };
}

/// Whether `stage` has begun.
pub(super) fn has_begun(stage: Stage) -> bool {
    NOW.get() >= stage
}

/// Who waits for which stage of the turn.
#[derive(Default)]
pub(super) struct Stages {
    processing: RefCell<Vec<Spawned>>,
    writing_upstream: RefCell<Vec<Spawned>>,
    writing_downstream: RefCell<Vec<Spawned>>,
}

impl Stages {
    /// A turn begins that has so many news.
    pub(super) fn begin(&self, news: usize) {
        let first = if news >= MANY {
            Stage::Read
        } else {
            Stage::WriteDownstream
        };
        NOW.set(first);
    }

    /// Ready when it is time for `task` to do what belongs to `stage`: in this turn, but perhaps behind what
    /// the other tasks do before it.
    pub(super) fn poll(&self, task: Spawned, stage: Stage) -> Poll<()> {
        if has_begun(stage) {
            return Poll::Ready(());
        }
        let mut waiting = self.waiting(stage).borrow_mut();
        if stage == Stage::Process && waiting.len() >= HOLDING_MAX {
            return Poll::Ready(());
        }
        waiting.push(task);
        Poll::Pending
    }

    /// The next stage begins: calls those who wait for it. False if all stages are over.
    pub(super) fn advance(&self, call: impl FnMut(Spawned)) -> bool {
        let next = match NOW.get() {
            Stage::Read => Stage::Process,
            Stage::Process => Stage::WriteUpstream,
            Stage::WriteUpstream => Stage::WriteDownstream,
            Stage::WriteDownstream => return false,
        };
        NOW.set(next);
        self.waiting(next).borrow_mut().drain(..).for_each(call);
        true
    }

    fn waiting(&self, stage: Stage) -> &RefCell<Vec<Spawned>> {
        match stage {
            Stage::Read | Stage::Process => &self.processing,
            Stage::WriteUpstream => &self.writing_upstream,
            Stage::WriteDownstream => &self.writing_downstream,
        }
    }
}
