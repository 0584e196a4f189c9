//! Tasks: futures of this thread, polled when they were woken.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use slab::Slab;

use super::budget;
use super::crossing::{Posts, Queued};
use super::stages::Stage;
use crate::engine::clock;

type LocalFuture = Pin<Box<dyn Future<Output = ()>>>;

/// All tasks of a thread.
pub(super) struct Tasks {
    slots: RefCell<Slab<Slot>>,
    /// That of the task spawned last.
    generation: Cell<u32>,
    ready: RefCell<VecDeque<Spawned>>,
    /// Those that yielded since the last turn's end.
    yielded: RefCell<VecDeque<Spawned>>,
    /// So many of them did before the last turn's end.
    yielded_before: Cell<usize>,
    /// The task that is being polled, and where its waker is.
    running: Cell<Option<(Spawned, *const Waker)>>,
    inbox: Arc<Inbox>,
}

struct Slot {
    /// Slots are used again: a wake for the task that had it before is not for this one.
    generation: u32,
    /// `None` while it is being polled.
    waiting: Option<Box<Task>>,
}

struct Task {
    handle: Arc<Handle>,
    waker: Waker,
    future: LocalFuture,
}

/// What a waker knows.
struct Handle {
    task: Spawned,
    queued: Queued,
    inbox: Arc<Inbox>,
}

/// A task that was spawned. Dropping this leaves it running. It names no other task once this one has ended
/// (before four billion others were spawned).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spawned {
    slot: u32,
    generation: u32,
}

/// What other threads have to say to this one.
pub(super) struct Inbox {
    posts: Posts<Posted>,
    alarm_clock: mio::Waker,
    registry: mio::Registry,
}

/// Messages of other threads.
#[derive(Debug, Default)]
pub(super) struct Posted {
    pub(super) woken: Vec<Spawned>,
    pub(super) dropped: Vec<u64>,
}

impl Tasks {
    pub(super) fn new(inbox: Arc<Inbox>) -> Self {
        Self {
            slots: RefCell::default(),
            generation: Cell::new(0),
            ready: RefCell::default(),
            yielded: RefCell::default(),
            yielded_before: Cell::new(0),
            running: Cell::new(None),
            inbox,
        }
    }

    pub(super) fn spawn(&self, future: LocalFuture) -> Spawned {
        let generation = self.generation.get().wrapping_add(1);
        self.generation.set(generation);
        let mut slots = self.slots.borrow_mut();
        let entry = slots.vacant_entry();
        let slot = u32::try_from(entry.key()).unwrap_or_else(|_| panic!("four billion tasks"));
        let task = Spawned { slot, generation };
        let handle = Arc::new(Handle {
            task,
            queued: Queued::new(),
            inbox: self.inbox.clone(),
        });
        let waker = Waker::from(handle.clone());
        entry.insert(Slot {
            generation,
            waiting: Some(Box::new(Task {
                handle,
                waker,
                future,
            })),
        });
        self.ready.borrow_mut().push_back(task);
        task
    }

    /// Whether no task is ready.
    pub(super) fn idle(&self) -> bool {
        self.ready.borrow().is_empty() && !self.some_yielded()
    }

    /// Whether a task has yielded that was not polled since.
    pub(super) fn some_yielded(&self) -> bool {
        !self.yielded.borrow().is_empty()
    }

    /// A task has been woken.
    pub(super) fn ready(&self, task: Spawned) {
        self.ready.borrow_mut().push_back(task);
    }

    /// Wakes a task of this thread, unless it has ended.
    pub(super) fn wake(&self, task: Spawned) {
        let slots = self.slots.borrow();
        let Some(slot) = task.slot_in(&slots) else {
            return;
        };
        // One that is being polled is polled once more.
        if slot
            .waiting
            .as_ref()
            .is_none_or(|task| task.handle.queued.by_its_thread())
        {
            self.ready(task);
        }
    }

    /// The task that is being polled, if `waker` is the one that it is polled with.
    pub(super) fn running(&self, waker: &Waker) -> Option<Spawned> {
        let (task, its) = self.running.get()?;
        std::ptr::eq(waker, its).then_some(task)
    }

    /// Runs the tasks that are ready, and once those that are made ready by that. Others have the next turn, however
    /// often tasks wake each other.
    pub(super) fn run(&self) {
        self.run_ready();
        self.run_ready();
    }

    fn run_ready(&self) {
        let count = self.ready.borrow().len();
        for _ in 0..count {
            let Some(task) = self.ready.borrow_mut().pop_front() else {
                return;
            };
            self.poll(task);
        }
    }

    /// Runs the tasks that yielded before this turn's end.
    pub(super) fn run_yielded(&self) {
        let count = self.yielded_before.replace(0);
        for _ in 0..count {
            let Some(task) = self.yielded.borrow_mut().pop_front() else {
                break;
            };
            self.poll(task);
        }
        self.yielded_before.set(self.yielded.borrow().len());
    }

    fn poll(&self, id: Spawned) {
        let taken = id
            .slot_in_mut(&mut self.slots.borrow_mut())
            .and_then(|slot| slot.waiting.take());
        let Some(mut task) = taken else {
            return; // ended since it was woken
        };
        task.handle.begin_poll();
        budget::begin_poll();
        clock::pass();
        let mut context = Context::from_waker(&task.waker);
        self.running.set(Some((id, &raw const task.waker)));
        let mut poll = || task.future.as_mut().poll(&mut context);
        let polled = alone(|| {
            let polled = poll();
            // Every future of ours bears to be polled in vain.
            match polled.is_pending() && super::vain::once_more() {
                true => poll(),
                false => polled,
            }
        });
        self.running.set(None);
        let mut slots = self.slots.borrow_mut();
        // It may have been cancelled meanwhile.
        let slot = id.slot_in_mut(&mut slots);
        match (polled, slot) {
            (Ok(Poll::Pending), Some(slot)) => {
                slot.waiting = Some(task);
                if budget::has_yielded() {
                    self.yielded.borrow_mut().push_back(id);
                }
            }
            (ended, slot) => {
                if slot.is_some() {
                    slots.remove(id.slot as usize);
                }
                drop(slots);
                drop(ended);
                let _ = alone(|| drop(task));
            }
        }
    }

    /// Now and then, polls a task that nobody woke.
    #[cfg(feature = "sim")]
    pub(super) fn poll_in_vain(&self) {
        let chosen = {
            let slots = self.slots.borrow();
            super::vain::one_of(slots.len())
                .and_then(|place| slots.iter().nth(place))
                .map(|(slot, entry)| Spawned {
                    slot: slot as u32,
                    generation: entry.generation,
                })
        };
        if let Some(task) = chosen {
            self.poll(task);
        }
    }

    /// Ends all tasks.
    pub(super) fn clear(&self) {
        while let Some(task) = {
            let mut slots = self.slots.borrow_mut();
            let first = slots.iter().next().map(|(key, _)| key);
            first.map(|key| slots.remove(key))
        } {
            let _ = alone(|| drop(task));
        }
    }
}

/// Does what belongs to one connection: a panic of it is told, and ends nobody else.
pub(super) fn alone<T>(work: impl FnOnce() -> T) -> std::thread::Result<T> {
    let done = std::panic::catch_unwind(AssertUnwindSafe(work));
    if done.is_err() {
        tracing::error!("a task panicked; its connection is closed");
    }
    done
}

impl Spawned {
    /// The task that is being polled.
    ///
    /// # Panics
    /// If there is none.
    pub(crate) fn running() -> Self {
        let running = super::here(|engine| engine.tasks.running.get());
        running.expect("a task is being polled").0
    }

    /// Wakes it when it is time for `stage`, on its own thread; nobody, if it has ended.
    pub(crate) fn wake_at(self, stage: Stage) {
        super::here(|engine| {
            if engine.stages.poll(self, stage).is_ready() {
                engine.tasks.wake(self);
            }
        });
    }

    /// Drops the task where it waits.
    pub(crate) fn cancel(self) {
        let task = super::here(|engine| {
            let mut slots = engine.tasks.slots.borrow_mut();
            self.slot_in(&slots)?;
            slots.try_remove(self.slot as usize)
        });
        let _ = alone(|| drop(task));
    }

    fn slot_in(self, slots: &Slab<Slot>) -> Option<&Slot> {
        slots
            .get(self.slot as usize)
            .filter(|slot| slot.generation == self.generation)
    }

    fn slot_in_mut(self, slots: &mut Slab<Slot>) -> Option<&mut Slot> {
        slots
            .get_mut(self.slot as usize)
            .filter(|slot| slot.generation == self.generation)
    }
}

impl Handle {
    fn begin_poll(self: &Arc<Self>) {
        // Ours, and the one in the task's own waker.
        self.queued.begin_poll(Arc::strong_count(self) == 2);
    }
}

impl Wake for Handle {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let local = super::here_if_any(|engine| {
            let ours = Arc::ptr_eq(&engine.inbox, &self.inbox);
            if ours && self.queued.by_its_thread() {
                engine.tasks.ready(self.task);
            }
            ours
        });
        if local != Some(true) && self.queued.by_another_thread() {
            self.inbox.post(|posted| posted.woken.push(self.task));
        }
    }
}

impl Inbox {
    pub(super) fn new(registry: mio::Registry, alarm_clock: mio::Waker) -> Arc<Self> {
        Arc::new(Self {
            registry,
            posts: Posts::default(),
            alarm_clock,
        })
    }

    /// Leaves a message, and wakes the engine if it sleeps.
    pub(super) fn post(&self, write: impl FnOnce(&mut Posted)) {
        if self.posts.post(write)
            && let Err(error) = self.alarm_clock.wake()
        {
            tracing::error!(%error, "a worker cannot be woken");
        }
    }

    /// What the engine's sockets are watched by; any thread may ask it.
    pub(super) fn registry(&self) -> &mio::Registry {
        &self.registry
    }

    /// The engine is going to sleep for `span`, or not at all if there are messages.
    pub(super) fn about_to_sleep(&self, span: Option<Duration>) -> Option<Duration> {
        if span == Some(Duration::ZERO) {
            return span;
        }
        if self.posts.may_sleep() {
            span
        } else {
            Some(Duration::ZERO)
        }
    }

    /// The engine is awake: what was posted?
    pub(super) fn awake(&self) -> Posted {
        self.posts.take()
    }
}
