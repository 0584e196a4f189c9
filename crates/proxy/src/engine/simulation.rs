//! A simulated world's time and chance.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use policy::time::{Dice, Moment};

/// What the wall clock says at the origin: 2026-01-01, for every world.
const UNIX_ORIGIN: u64 = 1_767_225_600_000_000_000;

/// Turns of the engine at one moment after which somebody must be waking himself for ever.
const TURNS_MAX: u32 = 2_000_000;

thread_local! {
    static NOW: Cell<Option<Moment>> = const { Cell::new(None) };
    static TURNS: Cell<u32> = const { Cell::new(0) };
    /// The world is to stand still for so long, and its clock to go on.
    static FREEZE: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    static DICE: RefCell<Dice> = const { RefCell::new(Dice::seeded(0)) };
    /// For polls in vain.
    static VAIN: RefCell<Dice> = const { RefCell::new(Dice::seeded(0)) };
}

/// Time is simulated on this thread for as long as this lives.
#[derive(Debug)]
pub(crate) struct Begun(());

impl Begun {
    pub(crate) fn at(begin: Moment, seed: u64) -> Self {
        NOW.set(Some(begin));
        TURNS.set(0);
        FREEZE.set(Duration::ZERO);
        DICE.set(Dice::seeded(seed));
        VAIN.set(Dice::seeded(!seed));
        Self(())
    }

    pub(crate) fn now(&self) -> Moment {
        NOW.get().unwrap_or_default()
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        NOW.set(None);
    }
}

/// The simulated time; `None` where time is real.
pub(crate) fn now() -> Option<Moment> {
    NOW.get()
}

/// The simulated wall clock.
pub(crate) fn unix_nanos() -> Option<u64> {
    NOW.get().map(|now| UNIX_ORIGIN + now.as_nanos())
}

/// The next seed of this world.
pub(crate) fn entropy() -> Option<u64> {
    NOW.get().map(|_| DICE.with_borrow_mut(Dice::bits))
}

/// True once in so many times; `None` where there is no world.
pub(crate) fn one_in(count: u64) -> Option<bool> {
    NOW.get()
        .map(|_| VAIN.with_borrow_mut(|dice| dice.below(count)) == 0)
}

/// A number below `count`, which is not 0.
pub(crate) fn below(count: usize) -> usize {
    VAIN.with_borrow_mut(|dice| dice.below(count as u64)) as usize
}

/// How long the engine may really sleep that asks for `timeout`: in a world, not at all.
pub(crate) fn instead_of_sleeping(timeout: Option<Duration>) -> Option<Duration> {
    NOW.get().map_or(timeout, |_| Some(Duration::ZERO))
}

/// How long the engine asks to sleep, who would for `timeout`, and for `advance` to notice a freeze: in a world, where one comes.
pub(crate) fn asked(timeout: Option<Duration>, advance: Option<Duration>) -> Option<Duration> {
    let calm = NOW.get().is_some() && FREEZE.get() == Duration::ZERO;
    if calm { timeout } else { advance }
}

/// See [`crate::sim::freeze`].
pub(crate) fn freeze(span: Duration) {
    FREEZE.set(FREEZE.get() + span);
}

/// The engine would have slept for `asked`, and no socket has news: that time has passed.
pub(crate) fn pass(asked: Option<Duration>) {
    let Some(now) = NOW.get() else { return };
    let asked = asked.expect("nothing will ever happen again: no task is ready, no alarm is set");
    let slept = asked + FREEZE.take();
    if slept > Duration::ZERO {
        NOW.set(Some(now + slept));
        TURNS.set(0);
    } else {
        TURNS.set(TURNS.get() + 1);
        assert!(
            TURNS.get() < TURNS_MAX,
            "time stands still: somebody wakes himself for ever"
        );
    }
}
