//! How many idle connections were closed, and how many were alive, by idle age.

use std::time::Duration;

/// Closes and survivals in cells of idle age, 16 to an octave from 1 ms to 9 hours. Old entries
/// fade: all are halved when there are [`ENTRIES_MAX`] survivals, and each close takes a 64th off.
#[derive(Clone, Debug)]
pub(super) struct Survival {
    alive: Box<[f32; CELLS]>,
    closed: Box<[f32; CELLS]>,
    alive_total: f32,
}

impl Survival {
    pub(super) fn new() -> Self {
        Self {
            alive: Box::new([0.0; CELLS]),
            closed: Box::new([0.0; CELLS]),
            alive_total: 0.0,
        }
    }

    pub(super) fn survived(&mut self, age: Duration) {
        self.alive[cell(age)] += 1.0;
        self.alive_total += 1.0;
        if self.alive_total >= ENTRIES_MAX {
            self.fade(0.5);
        }
    }

    pub(super) fn closed(&mut self, age: Duration) {
        self.fade(CLOSE_FADE);
        self.closed[cell(age)] += 1.0;
    }

    /// Whether at least `count` survived in cells wholly beyond `age`.
    pub(super) fn beyond(&self, age: Duration, count: f32) -> bool {
        self.alive[(cell(age) + 1).min(CELLS)..].iter().sum::<f32>() >= count
    }

    /// Whether a close at or below `age` is remembered.
    pub(super) fn closed_to(&self, age: Duration) -> bool {
        self.closed[..=cell(age)].iter().any(|&closes| closes > 0.0)
    }

    /// The largest age by which fewer than one in a thousand were closed, by the rule of
    /// succession: one more close than was seen is assumed. So 1000 must have survived beyond it
    /// if none was closed before it, 2000 if one was.
    pub(super) fn safe(&self) -> Duration {
        let mut closed: f32 = self.closed.iter().sum();
        let mut beyond = 0.0;
        for at in (0..CELLS).rev() {
            // `beyond` counts the cells above `at`, `closed` those up to and with it.
            if (closed + 1.0) * ONE_IN <= beyond {
                return edge(at + 1);
            }
            beyond += self.alive[at];
            closed -= self.closed[at];
        }
        Duration::ZERO
    }

    /// Survivals beyond `age` belong to a time that is over.
    pub(super) fn forget_beyond(&mut self, age: Duration) {
        self.alive[(cell(age) + 1).min(CELLS)..].fill(0.0);
        self.alive_total = self.alive.iter().sum();
    }

    /// The closes belong to a time that is over.
    pub(super) fn forget_closes(&mut self) {
        self.closed.fill(0.0);
    }

    fn fade(&mut self, by: f32) {
        for entry in self.alive.iter_mut().chain(self.closed.iter_mut()) {
            *entry *= by;
            if *entry < FORGOTTEN {
                *entry = 0.0;
            }
        }
        self.alive_total = self.alive.iter().sum();
    }
}

/// The cell of an age: the position of its highest bit, then its next four bits.
fn cell(age: Duration) -> usize {
    let units = u64::try_from(age.as_nanos()).unwrap_or(u64::MAX) >> UNIT_BITS;
    let octave = 63_u32.saturating_sub(units.leading_zeros()).max(CELL_BITS);
    let within = (units >> (octave - CELL_BITS)) & (PER_OCTAVE as u64 - 1);
    let below_first = units < PER_OCTAVE as u64;
    let index = (octave - CELL_BITS) as usize * PER_OCTAVE + within as usize;
    if below_first { 0 } else { index.min(CELLS - 1) }
}

/// The lower edge of a cell.
fn edge(cell: usize) -> Duration {
    let (octave, within) = (cell / PER_OCTAVE, cell % PER_OCTAVE);
    Duration::from_nanos(((PER_OCTAVE + within) as u64) << (octave as u32 + UNIT_BITS))
}

/// Cells to an octave: ages within 6 % of each other share one.
const PER_OCTAVE: usize = 1 << CELL_BITS;
const CELL_BITS: u32 = 4;

/// The unit is 2^16 ns, so that the first whole octave begins at 2^20 ns, about 1 ms.
const UNIT_BITS: u32 = 16;

/// 25 octaves above 1 ms: 9 hours, far beyond any idle timeout. Older ages share the last cell.
const CELLS: usize = 25 * PER_OCTAVE;

/// Survivals that are remembered; at this many all are halved, so that f32 counts stay exact.
const ENTRIES_MAX: f32 = 65_536.0;

/// What each close leaves of what was known before it.
const CLOSE_FADE: f32 = 63.0 / 64.0;

/// Less than this of an entry is nothing.
const FORGOTTEN: f32 = 1.0 / 64.0;

/// The chance of a close that a request takes: one in this many.
const ONE_IN: f32 = 1000.0;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_thousand_survivals_make_an_age_safe_and_a_close_below_it_asks_for_a_thousand_more() {
        let mut survival = Survival::new();
        (0..999).for_each(|_| survival.survived(Duration::from_secs(2)));
        assert_eq!(survival.safe(), Duration::ZERO);
        survival.survived(Duration::from_secs(2));
        assert!(survival.safe() > Duration::from_millis(1800) && survival.safe() <= Duration::from_secs(2));
        survival.closed(Duration::from_secs(1));
        assert!(survival.safe() < Duration::from_secs(1), "{:?}", survival.safe());
        (0..1100).for_each(|_| survival.survived(Duration::from_secs(2)));
        assert!(
            survival.safe() > Duration::from_millis(1800),
            "{:?}",
            survival.safe()
        );
    }

    proptest! {
        #[test]
        fn an_age_lies_in_its_cell(nanos in 0_u64..40_000_000_000_000) {
            let age = Duration::from_nanos(nanos);
            let at = cell(age);
            prop_assert!(at < CELLS);
            prop_assert!(at == 0 || edge(at) <= age);
            prop_assert!(at == CELLS - 1 || age < edge(at + 1));
        }

        #[test]
        fn cells_grow_with_age(one in any::<u64>(), two in any::<u64>()) {
            let (low, high) = (one.min(two), one.max(two));
            prop_assert!(cell(Duration::from_nanos(low)) <= cell(Duration::from_nanos(high)));
        }
    }
}
