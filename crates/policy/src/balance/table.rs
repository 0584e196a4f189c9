//! Tables that lead the same key to the same endpoint, and move few keys when endpoints change.

use super::hash::mix;
use crate::plan::HashTable;

/// A table of places in an endpoint set's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Table {
    /// Maglev's: each slot belongs to a place.
    Slots(Vec<u32>),
    /// A ring: points, ascending, each of a place.
    Points(Vec<(u64, u32)>),
}

impl Table {
    /// For places of these keys and weights; `None` if none has a weight.
    pub(super) fn build(kind: HashTable, places: &[(u64, u32)]) -> Option<Self> {
        let total: u64 = places.iter().map(|&(_, weight)| u64::from(weight)).sum();
        if total == 0 {
            return None;
        }
        Some(match kind {
            HashTable::Maglev(size) => Self::Slots(slots(places, size.max(SLOTS_MIN) as usize)),
            HashTable::Ring(least) => Self::Points(points(places, total, u64::from(least))),
        })
    }

    /// The place that `key` leads to, or the first of those it would lead to next that is `fit`;
    /// `None` after a bounded search.
    pub(super) fn find(&self, key: u64, mut fit: impl FnMut(usize) -> bool) -> Option<usize> {
        match self {
            // Keys of a place that is not fit go to all others, not to one.
            Self::Slots(slots) => {
                let tries = (0..SEARCH_MAX as u64).map(|nth| match nth {
                    0 => key,
                    _ => mix(key.wrapping_add(nth)),
                });
                let mut places = tries.map(|key| slots[(key % slots.len() as u64) as usize] as usize);
                places.find(|&place| fit(place))
            }
            Self::Points(points) => {
                let from = points.partition_point(|&(point, _)| point < key);
                let onwards = points[from..].iter().chain(&points[..from]);
                let mut places = onwards.map(|&(_, place)| place as usize).take(SEARCH_MAX);
                places.find(|&place| fit(place))
            }
        }
    }
}

/// Each place claims slots in an order of its own, in turns as often as its weight says.
fn slots(places: &[(u64, u32)], size: usize) -> Vec<u32> {
    let heaviest = places.iter().map(|&(_, weight)| weight).max().unwrap_or(1);
    let mut claims: Vec<Claims> = (0_u32..)
        .zip(places)
        .filter(|&(_, &(_, weight))| weight > 0)
        .map(|(place, &(key, weight))| Claims {
            place,
            share: u64::from(weight),
            owed: 0,
            next: (key % size as u64) as usize,
            step: (mix(!key) % (size as u64 - 1)) as usize + 1,
        })
        .collect();
    let mut slots = vec![FREE; size];
    let mut left = size;
    while left > 0 {
        for one in &mut claims {
            one.owed += one.share;
            if one.owed < u64::from(heaviest) {
                continue;
            }
            one.owed -= u64::from(heaviest);
            if left > 0 {
                let mut tries = 0;
                while slots[one.next] != FREE {
                    tries += 1;
                    // A size that is no prime might be walked in a circle without all its slots.
                    let step = if tries % size == 0 { 1 } else { one.step };
                    one.next = (one.next + step) % size;
                }
                slots[one.next] = one.place;
                left -= 1;
            }
        }
    }
    slots
}

struct Claims {
    place: u32,
    share: u64,
    owed: u64,
    next: usize,
    step: usize,
}

/// Each unit of weight has so many points that does not depend on who else is there, or each
/// endpoint that leaves would move the keys of all: `least`, fewer only where there are many.
fn points(places: &[(u64, u32)], total: u64, least: u64) -> Vec<(u64, u32)> {
    let each = if total <= FEW {
        least.max(1)
    } else {
        (least / FEW).max(POINTS_MIN)
    };
    let each = each.min((POINTS_MAX / total).max(1));
    let mut points: Vec<(u64, u32)> = (0_u32..)
        .zip(places)
        .flat_map(|(place, &(key, weight))| {
            let count = (u64::from(weight) * each).min(POINTS_MAX);
            (0..count).map(move |nth| (mix(key ^ mix(nth + 1)), place))
        })
        .collect();
    points.sort_unstable();
    points
}

/// No place has this number.
const FREE: u32 = u32::MAX;

/// The smallest table that can be walked in steps.
const SLOTS_MIN: u32 = 2;

/// Units of weight that each have all the points that are asked for; with 1024, 1 MiB.
const FEW: u64 = 64;

/// Points of a unit of weight among many: shares are off by a twelfth or so.
const POINTS_MIN: u64 = 128;

/// A million points are 16 MiB. Past it weights have a point for each unit.
const POINTS_MAX: u64 = 1 << 20;

/// Slots or points that are looked at for one that is fit.
const SEARCH_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kind(maglev: bool) -> HashTable {
        if maglev {
            HashTable::Maglev(65_537)
        } else {
            HashTable::Ring(1024)
        }
    }

    fn places(weights: &[u32]) -> Vec<(u64, u32)> {
        (1_u64..).map(mix).zip(weights.iter().copied()).collect()
    }

    fn owner(table: &Table, key: u64) -> usize {
        table.find(key, |_| true).unwrap()
    }

    const KEYS: u64 = 4000;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        #[test]
        fn removing_one_of_n_endpoints_moves_about_one_nth_of_the_keys(
            count in 2_usize..20, gone in 0_usize..20, maglev in any::<bool>()
        ) {
            let (gone, all) = (gone % count, places(&vec![1; count]));
            let mut fewer = all.clone();
            fewer.remove(gone);
            let (before, after) =
                (Table::build(kind(maglev), &all).unwrap(), Table::build(kind(maglev), &fewer).unwrap());
            let (mut moved, mut needlessly) = (0, 0);
            for key in (0..KEYS).map(mix) {
                let (old, new) = (owner(&before, key), owner(&after, key));
                let new = if new >= gone { new + 1 } else { new };
                moved += u64::from(old != new);
                needlessly += u64::from(old != new && old != gone);
            }
            let share = moved as f64 / KEYS as f64;
            let ideal = 1.0 / count as f64;
            prop_assert!(share > ideal * 0.7 && share < ideal * 1.4 + 0.03, "{share} of {ideal}");
            prop_assert!(needlessly * 25 <= KEYS, "{needlessly}");
        }

        #[test]
        fn each_endpoint_gets_the_share_of_its_weight(
            weights in prop::collection::vec(0_u32..5, 1..8), maglev in any::<bool>()
        ) {
            let total: u32 = weights.iter().sum();
            let Some(table) = Table::build(kind(maglev), &places(&weights)) else {
                prop_assert_eq!(total, 0);
                return Ok(());
            };
            let mut counts = vec![0_u64; weights.len()];
            (0..KEYS).map(mix).for_each(|key| counts[owner(&table, key)] += 1);
            for (&count, &weight) in counts.iter().zip(&weights) {
                let (share, ideal) = (count as f64 / KEYS as f64, f64::from(weight) / f64::from(total));
                prop_assert!((share - ideal).abs() <= 0.03 + 0.1 * ideal, "{share} of {ideal}");
                prop_assert!(weight > 0 || count == 0);
            }
        }

        #[test]
        fn keys_of_an_endpoint_that_is_out_go_to_others_and_no_other_key_moves(
            count in 2_usize..10, out in 0_usize..10, maglev in any::<bool>()
        ) {
            let out = out % count;
            let table = Table::build(kind(maglev), &places(&vec![1; count])).unwrap();
            for key in (0..KEYS).map(mix) {
                let (always, now) = (owner(&table, key), table.find(key, |place| place != out).unwrap());
                prop_assert!(now != out && (always == out || now == always));
            }
        }
    }

    #[test]
    fn a_table_of_a_size_that_is_no_prime_is_filled() {
        for size in 1..40 {
            let Table::Slots(slots) = Table::build(HashTable::Maglev(size), &places(&[1, 2, 3])).unwrap()
            else {
                panic!("not Maglev's")
            };
            assert!(slots.iter().all(|&slot| slot != FREE));
        }
    }
}
