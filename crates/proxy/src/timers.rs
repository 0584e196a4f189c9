//! A worker's alarms, on a coarse clock: setting one later than before costs a store, no more.
//!
//! A connection sets a deadline for each request and almost never meets it. So an alarm is armed
//! once, fires at the old time, sees that its deadline has moved, and arms itself again.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use policy::time::Moment;

use crate::clock::Clock;

/// Alarms go off at most this much late: deadlines are gathered into one wake-up.
const GRAIN: Duration = Duration::from_millis(4);

/// All alarms of one worker.
#[derive(Debug)]
pub(crate) struct Timers {
    clock: Clock,
    inner: RefCell<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    slots: Vec<Slot>,
    free: Vec<u32>,
    heap: BinaryHeap<Reverse<(Moment, u32)>>,
    /// When the driver wakes by itself.
    driver_at: Option<Moment>,
    driver: Option<Waker>,
}

#[derive(Debug)]
struct Slot {
    deadline: Moment,
    /// The heap entry that counts for this slot; others of it are stale.
    armed: Moment,
    due: bool,
    waker: Option<Waker>,
}

/// One alarm; dropping it frees its slot.
#[derive(Debug)]
pub(crate) struct Alarm {
    timers: Rc<Timers>,
    slot: u32,
}

impl Timers {
    /// No alarms yet. [`Timers::drive`] must be running for them to go off.
    pub(crate) fn new(clock: Clock) -> Rc<Self> {
        Rc::new(Self {
            clock,
            inner: RefCell::default(),
        })
    }

    /// A new alarm that never goes off until it is set.
    pub(crate) fn alarm(self: &Rc<Self>) -> Alarm {
        let mut inner = self.inner.borrow_mut();
        let empty = Slot {
            deadline: Moment::NEVER,
            armed: Moment::NEVER,
            due: false,
            waker: None,
        };
        let slot = match inner.free.pop() {
            Some(slot) => {
                inner.slots[slot as usize] = empty;
                slot
            }
            None => {
                inner.slots.push(empty);
                u32::try_from(inner.slots.len() - 1).unwrap_or(u32::MAX)
            }
        };
        Alarm {
            timers: self.clone(),
            slot,
        }
    }

    /// Lets alarms go off, for as long as the worker lives.
    pub(crate) async fn drive(self: Rc<Self>) {
        loop {
            let next = self.ring(self.clock.now());
            self.inner.borrow_mut().driver_at = Some(next);
            let mut sleep = std::pin::pin!(tokio::time::sleep_until(self.clock.instant(next)));
            std::future::poll_fn(|cx| {
                let mut inner = self.inner.borrow_mut();
                if inner.driver_at.is_none() {
                    return Poll::Ready(()); // an earlier deadline was set meanwhile
                }
                inner.driver = Some(cx.waker().clone());
                drop(inner);
                sleep.as_mut().poll(cx)
            })
            .await;
        }
    }

    /// Wakes every task that waits with an alarm, so that it looks at its world again.
    pub(crate) fn nudge(&self) {
        for slot in &mut self.inner.borrow_mut().slots {
            if let Some(waker) = slot.waker.take() {
                waker.wake();
            }
        }
    }

    /// Wakes whoever is due; says when to come back.
    fn ring(&self, now: Moment) -> Moment {
        let inner = &mut *self.inner.borrow_mut();
        while let Some(&Reverse((at, slot))) = inner.heap.peek() {
            if at > now {
                return at + GRAIN;
            }
            inner.heap.pop();
            let entry = &mut inner.slots[slot as usize];
            if entry.armed != at {
                continue; // stale: the slot was armed earlier, or freed
            }
            if entry.deadline <= now {
                entry.armed = Moment::NEVER;
                entry.due = true;
                if let Some(waker) = entry.waker.take() {
                    waker.wake();
                }
            } else {
                entry.armed = entry.deadline;
                if entry.deadline != Moment::NEVER {
                    inner.heap.push(Reverse((entry.deadline, slot)));
                }
            }
        }
        Moment::NEVER
    }

    fn set(&self, slot: u32, deadline: Moment) {
        let inner = &mut *self.inner.borrow_mut();
        let entry = &mut inner.slots[slot as usize];
        entry.deadline = deadline;
        entry.due = false;
        if deadline >= entry.armed {
            return;
        }
        entry.armed = deadline;
        inner.heap.push(Reverse((deadline, slot)));
        if inner.driver_at.is_some_and(|at| deadline + GRAIN < at) {
            inner.driver_at = None;
            if let Some(driver) = inner.driver.take() {
                driver.wake();
            }
        }
    }
}

impl Alarm {
    /// Sets the deadline; [`Moment::NEVER`] switches the alarm off.
    pub(crate) fn set(&self, deadline: Moment) {
        self.timers.set(self.slot, deadline);
    }

    /// Ready once the deadline has passed.
    pub(crate) fn poll_due(&self, cx: &Context<'_>) -> Poll<()> {
        let mut inner = self.timers.inner.borrow_mut();
        let entry = &mut inner.slots[self.slot as usize];
        if entry.due {
            return Poll::Ready(());
        }
        match &mut entry.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let mut inner = self.timers.inner.borrow_mut();
        let entry = &mut inner.slots[self.slot as usize];
        *entry = Slot {
            deadline: Moment::NEVER,
            armed: Moment::NEVER,
            due: false,
            waker: None,
        };
        inner.free.push(self.slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_driver(test: impl AsyncFnOnce(Rc<Timers>, Clock)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build_local(<_>::default());
        runtime.expect("a runtime").block_on(async {
            let clock = Clock::start();
            let timers = Timers::new(clock);
            tokio::task::spawn_local(timers.clone().drive());
            tokio::task::yield_now().await;
            test(timers, clock).await;
        });
    }

    #[test]
    fn an_alarm_goes_off_after_its_deadline_and_not_before() {
        with_driver(async |timers, clock| {
            let alarm = timers.alarm();
            let deadline = clock.now() + Duration::from_millis(20);
            alarm.set(deadline);
            std::future::poll_fn(|cx| alarm.poll_due(cx)).await;
            assert!(clock.now() >= deadline);
        });
    }

    #[test]
    fn a_deadline_that_moved_later_is_kept() {
        with_driver(async |timers, clock| {
            let alarm = timers.alarm();
            alarm.set(clock.now() + Duration::from_millis(10));
            let deadline = clock.now() + Duration::from_millis(40);
            alarm.set(deadline);
            std::future::poll_fn(|cx| alarm.poll_due(cx)).await;
            assert!(clock.now() >= deadline);
        });
    }

    #[test]
    fn an_earlier_deadline_wakes_the_driver() {
        with_driver(async |timers, clock| {
            let (far, near) = (timers.alarm(), timers.alarm());
            far.set(clock.now() + Duration::from_secs(3600));
            tokio::task::yield_now().await;
            near.set(clock.now() + Duration::from_millis(10));
            let waited = tokio::time::timeout(
                Duration::from_secs(5),
                std::future::poll_fn(|cx| near.poll_due(cx)),
            );
            assert!(waited.await.is_ok());
        });
    }

    #[test]
    fn a_slot_is_used_again_without_its_old_deadline() {
        with_driver(async |timers, clock| {
            let first = timers.alarm();
            first.set(clock.now() + Duration::from_millis(5));
            drop(first);
            let second = timers.alarm();
            let waited = tokio::time::timeout(
                Duration::from_millis(40),
                std::future::poll_fn(|cx| second.poll_due(cx)),
            );
            assert!(waited.await.is_err(), "the freed slot's deadline is gone");
        });
    }
}
