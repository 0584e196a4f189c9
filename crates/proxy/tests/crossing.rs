//! Every order in which two threads may take their steps, as the memory model allows them: the very source that the
//! engine is built of, on loom's atomics.

use std::time::Duration;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use loom::thread;

mod sync {
    pub(super) use loom::sync::Mutex;
    pub(super) use loom::sync::atomic::{Ordering, fence};

    /// Loom's, but that all that is stored in it has one order, as the memory model has it (its modification order). Loom
    /// leaves the stores of two threads without one where neither happens before the other, and lets a later exchange
    /// read either: then a waker that exchanges "asleep" for "awake" could read what another waker wrote before the
    /// engine fell asleep again, which no machine does. A store that is an exchange comes after what it takes the
    /// place of. It also sees a little more of other threads than a store does; for what hides behind that, `exact.rs`.
    #[derive(Debug, Default)]
    pub(super) struct AtomicBool(loom::sync::atomic::AtomicBool);

    impl AtomicBool {
        pub(super) fn new(value: bool) -> Self {
            Self(loom::sync::atomic::AtomicBool::new(value))
        }

        pub(super) fn load(&self, ordering: Ordering) -> bool {
            self.0.load(ordering)
        }

        pub(super) fn store(&self, value: bool, ordering: Ordering) {
            self.0.swap(value, ordering);
        }

        pub(super) fn swap(&self, value: bool, ordering: Ordering) -> bool {
            self.0.swap(value, ordering)
        }
    }
}

#[allow(dead_code, reason = "each model uses a part of it")]
#[allow(
    clippy::duplicate_mod,
    reason = "once on loom's atomics, once on stricter ones"
)]
#[path = "../src/engine/crossing.rs"]
mod crossing;
#[path = "crossing/exact.rs"]
mod exact;

use crossing::{Posts, Queued};

/// Tries out every order with so few switches that no thread asks for: nearly all known mistakes need no more, and
/// with more it takes hours. A machine that is too busy for that tries out fewer.
fn every_order(model: impl Fn() + Sync + Send + 'static) {
    const SWITCHES: usize = 2;
    const LONGEST: Duration = Duration::from_secs(10);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(SWITCHES);
    builder.max_duration = Some(LONGEST);
    builder.check(model);
}

/// An engine's bell: the kernel keeps a ring for who sleeps later.
#[derive(Default)]
struct Bell {
    rung: loom::sync::Mutex<bool>,
    ring: loom::sync::Condvar,
}

impl Bell {
    fn ring(&self) {
        *self.rung.lock().expect("no panic") = true;
        self.ring.notify_one();
    }

    fn sleep(&self) {
        let mut rung = self.rung.lock().expect("no panic");
        while !*rung {
            rung = self.ring.wait(rung).expect("no panic");
        }
        *rung = false;
    }
}

/// Loom says so where a thread sleeps for ever.
#[test]
fn no_message_is_left_to_an_engine_that_sleeps() {
    every_order(|| {
        let (posts, bell) = (Arc::new(Posts::<Vec<u8>>::default()), Arc::new(Bell::default()));
        let others: Vec<_> = (0..2)
            .map(|number| {
                let (posts, bell) = (posts.clone(), bell.clone());
                thread::spawn(move || {
                    if posts.post(|posted| posted.push(number)) {
                        bell.ring();
                    }
                })
            })
            .collect();
        let mut taken = 0;
        while taken < 2 {
            if posts.may_sleep() {
                bell.sleep();
            }
            taken += posts.take().len();
        }
        others.into_iter().for_each(|other| other.join().expect("posted"));
    });
}

/// A task as its thread and its wakers see it.
struct Task {
    queued: Queued,
    /// What the waker did before it woke.
    work: AtomicUsize,
    posts: Posts<usize>,
    bell: Bell,
}

/// The waker's own steps, in the order of `Handle::wake_by_ref`.
fn wake_from_another_thread(task: &Task) {
    task.work.fetch_add(1, Relaxed);
    if task.queued.by_another_thread() && task.posts.post(|woken| *woken += 1) {
        task.bell.ring();
    }
}

/// The task is polled until it has seen the work of every waker: if a wake were lost, it would sleep for ever.
fn poll_until_done(task: &Arc<Task>, wakes: usize) {
    let mut ready = 1; // it was spawned
    loop {
        for _ in 0..std::mem::take(&mut ready) {
            task.queued.begin_poll(Arc::strong_count(task) == 1);
            if task.work.load(Relaxed) == wakes {
                return;
            }
        }
        if task.posts.may_sleep() {
            task.bell.sleep();
        }
        ready += task.posts.take();
    }
}

fn no_wake_is_lost(wakers: usize, wakes: usize) {
    every_order(move || {
        let task = Arc::new(Task {
            queued: Queued::new(),
            work: AtomicUsize::new(0),
            posts: Posts::default(),
            bell: Bell::default(),
        });
        let others: Vec<_> = (0..wakers)
            .map(|_| {
                let task = task.clone();
                thread::spawn(move || (0..wakes).for_each(|_| wake_from_another_thread(&task)))
            })
            .collect();
        poll_until_done(&task, wakers * wakes);
        others.into_iter().for_each(|other| other.join().expect("woke"));
    });
}

#[test]
fn no_wake_of_another_thread_is_lost() {
    no_wake_is_lost(1, 2);
}

#[test]
fn no_wake_of_two_other_threads_is_lost() {
    no_wake_is_lost(2, 1);
}

/// The task wakes itself while another thread wakes it: it is polled once more, or twice.
#[test]
fn a_wake_of_its_own_thread_hides_none_of_another() {
    every_order(|| {
        let task = Arc::new(Task {
            queued: Queued::new(),
            work: AtomicUsize::new(0),
            posts: Posts::default(),
            bell: Bell::default(),
        });
        let other = {
            let task = task.clone();
            thread::spawn(move || wake_from_another_thread(&task))
        };
        task.queued.begin_poll(false);
        let mut ready = usize::from(task.queued.by_its_thread());
        while task.work.load(Relaxed) == 0 {
            if ready == 0 {
                if task.posts.may_sleep() {
                    task.bell.sleep();
                }
                ready += task.posts.take();
            }
            ready -= 1;
            task.queued.begin_poll(false);
        }
        other.join().expect("woke");
    });
}
