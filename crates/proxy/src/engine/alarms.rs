//! Alarms, on a coarse clock: setting one later than before costs a store, no more.
//!
//! A connection sets a deadline for each request and almost never meets it. So an alarm is armed
//! once, comes due at the old time, sees that its deadline has moved, and arms itself again.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::marker::PhantomData;
use std::task::{Context, Poll};
use std::time::Duration;

use policy::time::Moment;

use super::sources::Caller;

/// Deadlines are rounded up to a multiple of this, so that they are gathered into one wake-up.
const GRAIN: Duration = Duration::from_millis(4);

/// All alarms of one thread.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    inner: RefCell<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    slots: Vec<Slot>,
    free: Vec<u32>,
    heap: BinaryHeap<Reverse<(Moment, u32)>>,
}

#[derive(Debug)]
struct Slot {
    deadline: Moment,
    /// The heap entry that counts for this slot; others of it are stale.
    armed: Moment,
    due: bool,
    caller: Caller,
}

/// One alarm of this thread; dropping it frees its slot.
#[derive(Debug)]
pub(crate) struct Alarm {
    slot: u32,
    /// Slots are the thread's own.
    stays: PhantomData<*const ()>,
}

impl Slot {
    const EMPTY: Self = Self {
        deadline: Moment::NEVER,
        armed: Moment::NEVER,
        due: false,
        caller: Caller::NOBODY,
    };
}

impl Alarms {
    fn open(&self) -> u32 {
        let inner = &mut *self.inner.borrow_mut();
        inner.free.pop().unwrap_or_else(|| {
            inner.slots.push(Slot::EMPTY);
            u32::try_from(inner.slots.len() - 1).unwrap_or(u32::MAX)
        })
    }

    fn close(&self, slot: u32) {
        let mut inner = self.inner.borrow_mut();
        let gone = std::mem::replace(&mut inner.slots[slot as usize], Slot::EMPTY);
        inner.free.push(slot);
        drop(inner);
        drop(gone);
    }

    fn set(&self, slot: u32, deadline: Moment) {
        let inner = &mut *self.inner.borrow_mut();
        let entry = &mut inner.slots[slot as usize];
        entry.deadline = deadline;
        entry.due = false;
        if deadline < entry.armed {
            entry.armed = deadline;
            inner.heap.push(Reverse((deadline, slot)));
        }
    }

    /// Calls whoever is due; says when to come back.
    pub(super) fn ring(&self, now: Moment, call: impl Fn(&Caller)) -> Option<Moment> {
        loop {
            // Whoever is called may set alarms.
            match self.inner.borrow_mut().next(now) {
                Some(Next::Due(caller)) => call(&caller),
                Some(Next::At(at)) => return Some(at),
                None => return None,
            }
        }
    }
}

/// What the heap has next.
enum Next {
    Due(Caller),
    At(Moment),
}

impl Inner {
    fn next(&mut self, now: Moment) -> Option<Next> {
        loop {
            let &Reverse((at, slot)) = self.heap.peek()?;
            if at > now {
                return Some(Next::At(at));
            }
            self.heap.pop();
            let entry = &mut self.slots[slot as usize];
            if entry.armed != at {
                continue; // stale: the slot was armed earlier, or freed
            }
            if entry.deadline <= now {
                entry.armed = Moment::NEVER;
                entry.due = true;
                return Some(Next::Due(entry.caller.clone()));
            }
            entry.armed = entry.deadline;
            if entry.deadline != Moment::NEVER {
                self.heap.push(Reverse((entry.deadline, slot)));
            }
        }
    }
}

/// The next multiple of [`GRAIN`].
fn rounded(deadline: Moment) -> Moment {
    const STEP: u64 = GRAIN.as_nanos() as u64;
    deadline
        .as_nanos()
        .checked_next_multiple_of(STEP)
        .map_or(Moment::NEVER, Moment::from_nanos)
}

impl Alarm {
    pub(super) fn new() -> Self {
        Self {
            slot: super::here(|engine| engine.alarms.open()),
            stays: PhantomData,
        }
    }

    /// Sets the deadline; [`Moment::NEVER`] switches the alarm off. It goes off up to [`GRAIN`] late.
    pub(crate) fn set(&self, deadline: Moment) {
        self.set_exactly(rounded(deadline));
    }

    /// Sets the deadline without rounding it.
    pub(super) fn set_exactly(&self, deadline: Moment) {
        super::here(|engine| engine.alarms.set(self.slot, deadline));
    }

    /// Ready once the deadline has passed.
    pub(crate) fn poll_due(&self, context: &Context<'_>) -> Poll<()> {
        super::here(|engine| {
            let mut inner = engine.alarms.inner.borrow_mut();
            let entry = &mut inner.slots[self.slot as usize];
            if entry.due {
                return Poll::Ready(());
            }
            entry.caller.set(context, &engine.tasks);
            Poll::Pending
        })
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        super::here_if_any(|engine| engine.alarms.close(self.slot));
    }
}
