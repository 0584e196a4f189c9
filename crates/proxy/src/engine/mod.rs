//! One worker's engine: tasks, the readiness of sockets, alarms, on one thread and one `epoll`.
//!
//! ```text
//!   turn:  tasks that are ready run -> alarms that are due ring -> the kernel says which sockets
//!            ^    stage by stage                                   have news -> whoever waits is called
//!            |    then those that yielded in the turn before                          |
//!            '------------------------------------------------------------------------'
//! ```
//! A runtime of its own rather than tokio's current-thread one, for two figures (docs/performance.md):
//! an idle connection costs a slot here instead of a task with its registration, and a request two
//! atomic operations less for each time it is woken. Everything waits by plain [`std::future`], so
//! channels and notifications of other libraries work here as anywhere.
//!
//! A turn runs what was ready when it began, and once whoever was made ready by that; the rest has the next turn.
//! A task that has spent its budget (`budget.rs`) is polled behind all others of the next turn.

mod alarms;
mod awaited;
mod batching;
mod budget;
pub(crate) mod clock;
mod crossing;
#[cfg(feature = "sim")]
pub(crate) mod simulation;
mod source;
mod sources;
mod stages;
mod tasks;
mod vain;
pub(crate) mod wait;

/// What `crossing` is made of; its model test has loom's instead.
mod sync {
    pub(super) use std::sync::Mutex;
    pub(super) use std::sync::atomic::{AtomicBool, Ordering, fence};
}

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

pub(crate) use alarms::Alarm;
pub(crate) use awaited::Awaited;
pub(crate) use batching::count_request;
pub(crate) use budget::{budget, poll_budget, spend, yield_now};
pub(crate) use source::Source;
pub(crate) use stages::Stage;
pub(crate) use tasks::Spawned;

use policy::time::Moment;

use crate::engine::clock::Clock;
use alarms::Alarms;
use awaited::Heartbeat;
use batching::Batching;
use sources::{Here, Sources};
use stages::Stages;
use tasks::{Inbox, Tasks};

/// News taken from the kernel at once.
const EVENTS: usize = 1024;

/// The token of whoever wakes the engine from another thread.
const WAKE: mio::Token = mio::Token(usize::MAX);

thread_local! {
    static HERE: RefCell<Option<Rc<Engine>>> = const { RefCell::new(None) };
}

/// Told the number of a slot.
type SlotKeeper = Rc<dyn Fn(u32)>;

/// Bits of a slot's number that say which of its keeper's slots it is; those above say whose.
const SLOT_BITS: u32 = 24;

/// The last slot that a keeper may have: more than there can be descriptors.
pub(crate) const SLOT_MAX: u32 = (1 << SLOT_BITS) - 1;

/// What a thread's engine consists of.
struct Engine {
    clock: Clock,
    tasks: Tasks,
    sources: Sources,
    alarms: Alarms,
    stages: Stages,
    inbox: Arc<Inbox>,
    /// Told which of their slots have news: one for each worker, of which only simulated worlds have several on a
    /// thread.
    slot_keepers: RefCell<Vec<SlotKeeper>>,
    /// Turns so far.
    turns: Cell<u64>,
    /// A vital task has panicked.
    lost: Cell<bool>,
}

/// Runs `main` and all that it spawns on this thread, until `main` is done. What was spawned and is
/// not done then is dropped.
///
/// # Errors
/// The kernel gives no `epoll`, or `main` or another vital task panicked.
pub(crate) fn run<T: 'static>(clock: Clock, main: impl Future<Output = T> + 'static) -> io::Result<T> {
    let poll = mio::Poll::new()?;
    // Pauses are shorter than what the kernel adds to them otherwise.
    let _ = sys::sleep_exactly();
    let inbox = Inbox::new(
        poll.registry().try_clone()?,
        mio::Waker::new(poll.registry(), WAKE)?,
    );
    let engine = Rc::new(Engine {
        clock,
        tasks: Tasks::new(inbox.clone()),
        sources: Sources::new(inbox.clone()),
        alarms: Alarms::default(),
        stages: Stages::default(),
        inbox,
        slot_keepers: RefCell::default(),
        turns: Cell::new(0),
        lost: Cell::new(false),
    });
    HERE.set(Some(engine.clone()));
    let done = Rc::new(Cell::new(None));
    let result = done.clone();
    spawn_vital(async move { done.set(Some(main.await)) });
    let turned = engine.turn_until(poll, || result.take());
    // Tasks hold alarms and sources, which look for their engine when they are dropped.
    engine.tasks.clear();
    engine.slot_keepers.take();
    HERE.set(None);
    clock::read_anew();
    turned
}

impl Engine {
    fn turn_until<T>(&self, mut poll: mio::Poll, mut done: impl FnMut() -> Option<T>) -> io::Result<T> {
        let mut events = mio::Events::with_capacity(EVENTS);
        let mut batching = Batching::default();
        let mut heartbeat = Heartbeat::default();
        loop {
            self.turns.set(self.turns.get() + 1);
            self.tasks.run();
            while self.stages.advance(|task| self.tasks.wake(task)) {
                self.tasks.run();
            }
            self.tasks.run_yielded();
            #[cfg(feature = "sim")]
            self.tasks.poll_in_vain();
            if let Some(result) = done() {
                return Ok(result);
            }
            if self.lost.get() {
                return Err(io::Error::other(
                    "a task that it cannot do without panicked, as told above",
                ));
            }
            clock::cache_now();
            let next = self
                .alarms
                .ring(self.clock.now(), |caller| self.call(caller.call()));
            let soon = self
                .sources
                .watch_patient(self.clock.now(), |whom| self.call(whom));
            let next = [next, soon].into_iter().flatten().min();
            let timeout = if self.tasks.idle() {
                next.map(|at| at.since(self.clock.now()))
            } else {
                Some(Duration::ZERO)
            };
            let timeout = self.inbox.about_to_sleep(timeout);
            let awake_until = self.clock.now();
            let advance = heartbeat.bound(timeout, awake_until);
            // A simulated world would turn for each.
            #[cfg(feature = "sim")]
            let advance = crate::engine::simulation::asked(timeout, advance);
            let timeout = advance;
            clock::sleeps_until(timeout.map_or(Moment::NEVER, |timeout| awake_until + timeout));
            #[cfg(feature = "sim")]
            let (asked, timeout) = (timeout, crate::engine::simulation::instead_of_sleeping(timeout));
            match poll.poll(&mut events, timeout) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            #[cfg(feature = "sim")]
            if events.is_empty() {
                crate::engine::simulation::pass(asked);
            }
            clock::cache_now();
            if timeout != Some(Duration::ZERO) {
                batching.slept(self.clock.now().since(awake_until));
            }
            let posted = self.inbox.awake();
            for task in posted.woken {
                self.tasks.ready(task);
            }
            for source in posted.dropped {
                self.sources.forget(source);
            }
            let news = events.iter().count();
            heartbeat.saw(news);
            self.stages.begin(news);
            self.dispatch(&events);
            let pause = batching.delay(news, batching::requests(), self.clock.now());
            // Whoever yielded would wait in vain.
            let pause = pause.filter(|_| !self.tasks.some_yielded());
            // A simulated world has no time to save.
            #[cfg(feature = "sim")]
            let pause = pause.filter(|_| crate::engine::simulation::now().is_none());
            if let Some(pause) = pause {
                std::thread::sleep(pause);
                match poll.poll(&mut events, Some(Duration::ZERO)) {
                    Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                    _ => {}
                }
                clock::cache_now();
                self.stages.begin(news + events.iter().count());
                self.dispatch(&events);
            }
        }
    }

    fn dispatch(&self, events: &mio::Events) {
        for event in events {
            if event.token() != WAKE {
                self.sources.news(event, |whom| self.call(whom));
            }
        }
    }

    fn call(&self, whom: Here) {
        match whom {
            Here::Nobody => {}
            Here::Task(task) => self.tasks.wake(task),
            Here::Slot(slot) => self.on_readable(slot),
        }
    }

    fn on_readable(&self, slot: u32) {
        let keeper = self
            .slot_keepers
            .borrow()
            .get((slot >> SLOT_BITS) as usize)
            .cloned();
        if let Some(keeper) = keeper {
            // Whose slot it is loses its connection, as with a panic of a task.
            let _ = tasks::alone(|| keeper(slot & SLOT_MAX));
        }
    }
}

/// Visits this thread's engine.
fn here<T>(visit: impl FnOnce(&Engine) -> T) -> T {
    HERE.with_borrow(|engine| match engine {
        Some(engine) => visit(engine),
        None => panic!("this thread runs no engine"),
    })
}

/// Visits this thread's engine, if there is one.
fn here_if_any<T>(visit: impl FnOnce(&Engine) -> T) -> Option<T> {
    HERE.try_with(|engine| engine.borrow().as_deref().map(visit))
        .ok()
        .flatten()
}

/// Starts a task on this thread.
pub(crate) fn spawn(task: impl Future<Output = ()> + 'static) -> Spawned {
    here(|engine| engine.tasks.spawn(Box::pin(task)))
}

/// Starts a task on this thread that the thread cannot do without: if it panics, the engine ends with an error.
pub(crate) fn spawn_vital(task: impl Future<Output = ()> + 'static) -> Spawned {
    spawn(async move {
        let _vital = Vital;
        task.await;
    })
}

/// Dropped by a panic, it ends the engine.
struct Vital;

impl Drop for Vital {
    fn drop(&mut self) {
        if std::thread::panicking() {
            here_if_any(|engine| engine.lost.set(true));
        }
    }
}

/// Who is told when a source that watches one of its slots has news. Called between tasks, so it may spawn. Gives what
/// is to be added to the numbers of its slots, from 0 to [`SLOT_MAX`], where they are watched.
pub(crate) fn keep_slots(keeper: impl Fn(u32) + 'static) -> u32 {
    here(|engine| {
        let mut keepers = engine.slot_keepers.borrow_mut();
        keepers.push(Rc::new(keeper));
        (keepers.len() as u32 - 1) << SLOT_BITS
    })
}

/// Ready when it is time for the task that is polled with `waker` to do what belongs to `stage`: in this turn,
/// but perhaps behind what others do before it.
pub(crate) fn poll_stage(waker: &Waker, stage: Stage) -> Poll<()> {
    if stages::has_begun(stage) {
        return Poll::Ready(());
    }
    let polled = here_if_any(|engine| {
        let task = engine.tasks.running(waker)?;
        Some(engine.stages.poll(task, stage))
    });
    polled.flatten().unwrap_or(Poll::Ready(()))
}

/// Waits for `stage`, as [`poll_stage`] does.
pub(crate) async fn stage(stage: Stage) {
    poll_fn(|cx| poll_stage(cx.waker(), stage)).await;
}

/// A new alarm that never goes off until it is set.
pub(crate) fn alarm() -> Alarm {
    Alarm::new()
}

/// The number of the turn that this thread's engine is in.
pub(crate) fn turn() -> u64 {
    here(|engine| engine.turns.get())
}

/// Waits for `span`, to the millisecond.
pub(crate) async fn sleep(span: Duration) {
    let alarm = alarm_in(span);
    poll_fn(|cx| alarm.poll_due(cx)).await;
}

/// Waits until `moment`, to the millisecond.
#[cfg(feature = "sim")]
pub(crate) async fn sleep_until(moment: Moment) {
    let alarm = alarm_at(moment);
    poll_fn(|cx| alarm.poll_due(cx)).await;
}

/// An alarm that goes off after `span`, to the millisecond.
pub(crate) fn alarm_in(span: Duration) -> Alarm {
    alarm_at(here(|engine| engine.clock.now()) + span)
}

fn alarm_at(moment: Moment) -> Alarm {
    let alarm = Alarm::new();
    alarm.set_exactly(moment);
    alarm
}

#[cfg(test)]
mod tests;
