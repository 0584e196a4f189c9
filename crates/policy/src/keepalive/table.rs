//! How many idle connections were closed, and how many were alive, by idle age.

use std::time::Duration;

use super::Ages;
use crate::time::nanos;

/// Closes and survivals in cells of idle age, 16 to an octave from 1 ms to 9 hours. Old entries
/// fade: all are halved when there are [`ENTRIES_MAX`] survivals, and each close takes a 64th off.
#[derive(Clone, Debug)]
pub(super) struct Survival {
    alive: Cells,
    closed: Cells,
    alive_total: f32,
    /// Whether any close is remembered.
    closes: bool,
}

impl Survival {
    pub(super) fn new() -> Self {
        Self {
            alive: Cells::default(),
            closed: Cells::default(),
            alive_total: 0.0,
            closes: false,
        }
    }

    #[inline]
    pub(super) fn survived(&mut self, age: Duration) {
        *self.alive.at(age) += 1.0;
        self.alive_total += 1.0;
        if self.alive_total >= ENTRIES_MAX {
            self.halve();
        }
    }

    #[cold]
    fn halve(&mut self) {
        self.fade(0.5);
    }

    pub(super) fn closed(&mut self, age: Duration) {
        self.fade(CLOSE_FADE);
        *self.closed.at(age) += 1.0;
        self.closes = true;
    }

    /// Whether at least `count` survived in cells wholly beyond `age`.
    pub(super) fn beyond(&self, age: Duration, count: f32) -> bool {
        self.alive.beyond(age).iter().sum::<f32>() >= count
    }

    /// From the youngest to the oldest age at which a close within the next `window` is more likely
    /// than is taken. The chance is that of the closes seen in a cell among all that got that far
    /// (Kaplan and Meier's estimate). Closes from `below` on are a timer's, and not looked at.
    pub(super) fn scatter(
        &self,
        below: Duration,
        window: Duration,
        too_likely: impl Fn(f32) -> bool,
    ) -> Option<Ages> {
        let mut found: Option<Ages> = None;
        if !self.closes {
            return None;
        }
        // Those that got as far as the cell at `counted`.
        let (mut reached, mut counted) = (0.0, CELLS);
        for (at, &closed) in self.closed.all().iter().enumerate().rev() {
            if closed == 0.0 {
                continue;
            }
            let alive = self.alive.all().get(at..counted).unwrap_or_default();
            reached += alive.iter().sum::<f32>() + closed;
            counted = at;
            if edge(at + 1) > below {
                continue;
            }
            let (lower, upper) = (edge(at), edge(at + 1));
            // Of a cell that is wider than the window a part of its closes is within it.
            let part = window.div_duration_f32(upper - lower).min(1.0);
            if too_likely(closed * part / reached) {
                let to = found.map_or(upper, |ages| ages.to);
                let from = lower.saturating_sub(window);
                found = Some(Ages { from, to });
            }
        }
        found
    }

    /// Survivals beyond `age` belong to a time that is over.
    pub(super) fn forget_beyond(&mut self, age: Duration) {
        self.alive.beyond_mut(age).fill(0.0);
        self.alive_total = self.alive.all().iter().sum();
    }

    /// The closes belong to a time that is over.
    pub(super) fn forget_closes(&mut self) {
        self.closed = Cells::default();
        self.closes = false;
    }

    fn fade(&mut self, by: f32) {
        for entry in self.alive.all_mut().iter_mut().chain(self.closed.all_mut()) {
            *entry *= by;
            if *entry < FORGOTTEN {
                *entry = 0.0;
            }
        }
        self.alive_total = self.alive.all().iter().sum();
    }
}

/// Counts by idle age. They take 1.6 KiB from the first one on: of the endpoints of a large configuration few
/// are ever asked.
#[derive(Clone, Debug, Default)]
struct Cells(Option<Box<[f32; CELLS]>>);

impl Cells {
    fn all(&self) -> &[f32] {
        self.0.as_deref().map_or(&[], |cells| &cells[..])
    }

    fn all_mut(&mut self) -> &mut [f32] {
        self.0.as_deref_mut().map_or(&mut [], |cells| &mut cells[..])
    }

    fn at(&mut self, age: Duration) -> &mut f32 {
        &mut self.0.get_or_insert_with(|| Box::new([0.0; CELLS]))[cell(age)]
    }

    /// Those wholly beyond an age.
    fn beyond(&self, age: Duration) -> &[f32] {
        self.all().get(cell(age) + 1..).unwrap_or_default()
    }

    fn beyond_mut(&mut self, age: Duration) -> &mut [f32] {
        self.all_mut().get_mut(cell(age) + 1..).unwrap_or_default()
    }
}

/// The cell of an age: the position of its highest bit, then its next four bits.
#[inline]
fn cell(age: Duration) -> usize {
    let units = nanos(age) >> UNIT_BITS;
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn closes_are_held_against_all_that_got_as_far() {
        let ms = Duration::from_millis;
        let scatter = |survival: &Survival| survival.scatter(ms(5000), ms(40), |chance| chance > 0.001);
        let mut survival = Survival::new();
        assert_eq!(scatter(&survival), None);
        (0..100).for_each(|_| survival.survived(ms(2000)));
        survival.closed(ms(70));
        let ages = scatter(&survival).expect("one in a hundred");
        assert!(
            ages.from <= ms(32) && ages.to > ms(70) && ages.to < ms(80),
            "{ages:?}"
        );
        (0..3000).for_each(|_| survival.survived(ms(20)));
        assert!(scatter(&survival).is_some(), "these did not get as far");
        (0..1000).for_each(|_| survival.survived(ms(2000)));
        assert_eq!(scatter(&survival), None, "one in a thousand");
        survival.closed(ms(6000));
        assert_eq!(scatter(&survival), None, "a timer's");
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
