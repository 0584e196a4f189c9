//! The same source on loom's own atomics, whose stores have no order but what happens before them: as far as a model
//! with them goes, which is one message.

mod sync {
    pub(super) use loom::sync::Mutex;
    pub(super) use loom::sync::atomic::{AtomicBool, Ordering, fence};
}

#[allow(dead_code, reason = "the model uses a part of it")]
#[allow(
    clippy::duplicate_mod,
    reason = "once on loom's atomics, once on stricter ones"
)]
#[path = "../../src/engine/crossing.rs"]
mod crossing;

use loom::sync::Arc;
use loom::thread;

use super::{Bell, every_order};
use crossing::Posts;

#[test]
fn a_first_message_is_not_left_to_an_engine_that_sleeps() {
    every_order(|| {
        let (posts, bell) = (Arc::new(Posts::<usize>::default()), Arc::new(Bell::default()));
        let other = {
            let (posts, bell) = (posts.clone(), bell.clone());
            thread::spawn(move || {
                if posts.post(|posted| *posted += 1) {
                    bell.ring();
                }
            })
        };
        if posts.may_sleep() {
            bell.sleep();
        }
        assert_eq!(posts.take(), 1, "awake means that there is a message");
        other.join().expect("posted");
    });
}
