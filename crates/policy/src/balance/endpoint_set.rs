//! The endpoints of a snapshot with their weights, and what is made of them once so that a choice
//! costs the same however many there are.

use super::table::Table;
use crate::cluster::EndpointId;
use crate::plan::HashTable;
use crate::time::Dice;

/// The endpoints and weights of one configuration snapshot. Immutable once it is shared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointSet {
    /// The endpoints and their weights; weight 0 is never chosen.
    pub list: Vec<(EndpointId, u32)>,
    /// What each endpoint's place in a table goes by.
    keys: Vec<u64>,
    /// The weights up to and with each endpoint's.
    ends: Vec<u64>,
    /// All weights are the same, and not 0.
    even: bool,
    /// Whose turn it is, in turn; places in `list`.
    schedule: Vec<u32>,
    table: Option<Table>,
}

impl EndpointSet {
    pub(crate) fn new(list: Vec<(EndpointId, u32)>, keys: Vec<u64>) -> Self {
        let ends: Vec<u64> = list
            .iter()
            .scan(0, |sum, &(_, weight)| {
                *sum += u64::from(weight);
                Some(*sum)
            })
            .collect();
        let weights: Vec<u32> = list.iter().map(|&(_, weight)| weight).collect();
        Self {
            schedule: schedule(&weights),
            even: weights.first().is_some_and(|&first| first > 0)
                && weights.iter().min() == weights.iter().max(),
            list,
            keys,
            ends,
            table: None,
        }
    }

    /// Builds the table for consistent hashing.
    pub(crate) fn spread(&mut self, table: HashTable) {
        let weighted = self.keys.iter().zip(&self.list);
        let gcd = common(self.list.iter().map(|&(_, weight)| weight));
        let weighted: Vec<(u64, u32)> = weighted.map(|(&key, &(_, weight))| (key, weight / gcd)).collect();
        self.table = Table::build(table, &weighted);
    }

    pub(super) fn table(&self) -> Option<&Table> {
        self.table.as_ref()
    }

    /// The place whose turn is the `nth`.
    pub(super) fn turn(&self, nth: u64) -> Option<usize> {
        let length = self.schedule.len() as u64;
        (length > 0).then(|| self.schedule[(nth % length) as usize] as usize)
    }

    /// A place drawn by weight, but not that of `without`.
    #[inline]
    pub(super) fn draw(&self, dice: &mut Dice, without: Option<usize>) -> Option<usize> {
        if !self.even {
            return self.draw_by_weight(dice, without);
        }
        // The same place that the same throw finds by weight.
        let others = self.list.len() - usize::from(without.is_some());
        if others == 0 {
            return None;
        }
        let at = dice.below(others as u64) as usize;
        Some(at + usize::from(without.is_some_and(|without| at >= without)))
    }

    fn draw_by_weight(&self, dice: &mut Dice, without: Option<usize>) -> Option<usize> {
        let total = *self.ends.last()?;
        let (start, weight) = without.map_or((total, 0), |at| {
            let weight = u64::from(self.list[at].1);
            (self.ends[at] - weight, weight)
        });
        let left = total - weight;
        if left == 0 {
            return None;
        }
        let throw = dice.below(left);
        let throw = if throw >= start { throw + weight } else { throw };
        Some(self.ends.partition_point(|&end| end <= throw))
    }
}

/// Each place as often as its weight says and as evenly as it goes, in at most about [`TURNS_MAX`]
/// turns; where the weights ask for more they are rounded.
fn schedule(weights: &[u32]) -> Vec<u32> {
    let gcd = common(weights.iter().copied());
    let total: u64 = weights.iter().map(|&weight| u64::from(weight / gcd)).sum();
    let turns = |weight: u32| {
        let weight = u64::from(weight / gcd);
        if total <= TURNS_MAX || weight == 0 {
            weight
        } else {
            (weight * TURNS_MAX / total).max(1)
        }
    };
    let mut places: Vec<(u64, u32)> = (0_u32..)
        .zip(weights)
        .flat_map(|(at, &weight)| {
            let turns = turns(weight);
            (0..turns).map(move |nth| (((2 * nth + 1) << 32) / (2 * turns), at))
        })
        .collect();
    places.sort_unstable();
    places.into_iter().map(|(_, at)| at).collect()
}

/// The greatest common divisor.
fn common(weights: impl Iterator<Item = u32>) -> u32 {
    fn gcd(one: u32, two: u32) -> u32 {
        if two == 0 { one } else { gcd(two, one % two) }
    }
    weights.fold(0, gcd).max(1)
}

/// Weights are exact to one part in so many; 16 KiB for a snapshot's cluster at most.
const TURNS_MAX: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn turns_are_spread_evenly() {
        assert_eq!(schedule(&[2, 6, 0, 2]), [1, 0, 1, 3, 1]);
        assert_eq!(schedule(&[5, 5, 5]), [0, 1, 2]);
        assert_eq!(schedule(&[0, 0]), [0; 0]);
    }

    proptest! {
        #[test]
        fn a_schedule_is_bounded_and_gives_each_weight_its_share(
            weights in prop::collection::vec(prop_oneof![0_u32..10, any::<u32>()], 1..20)
        ) {
            let schedule = schedule(&weights);
            prop_assert!(schedule.len() as u64 <= TURNS_MAX + weights.len() as u64);
            let total: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
            for (at, &weight) in (0_u32..).zip(&weights) {
                let turns = schedule.iter().filter(|&&place| place == at).count() as f64;
                let share = if total == 0 { 0.0 } else { f64::from(weight) / total as f64 };
                prop_assert!((turns - share * schedule.len() as f64).abs() <= 2.0 + 20.0 * share);
                prop_assert_eq!(turns > 0.0, weight > 0);
            }
        }

        #[test]
        fn equal_weights_are_drawn_as_weights_are(
            count in 1_usize..9, weight in 1_u32..1000, seed in any::<u64>(), without in 0_usize..9
        ) {
            let list: Vec<_> = (0..).map(EndpointId).zip(vec![weight; count]).collect();
            let endpoint_set = EndpointSet::new(list, vec![0; count]);
            prop_assert!(endpoint_set.even);
            let without = (without < count).then_some(without);
            let (mut one, mut two) = (Dice::seeded(seed), Dice::seeded(seed));
            for _ in 0..50 {
                prop_assert_eq!(endpoint_set.draw(&mut one, without), endpoint_set.draw_by_weight(&mut two, without));
            }
        }

        #[test]
        fn a_draw_without_one_never_gives_it(
            weights in prop::collection::vec(0_u32..5, 1..8), seed in any::<u64>(), without in 0_usize..8
        ) {
            let list: Vec<_> = (0..).map(EndpointId).zip(weights.iter().copied()).collect();
            let keys = vec![0; list.len()];
            let (endpoint_set, without) = (EndpointSet::new(list, keys), without % weights.len());
            let mut dice = Dice::seeded(seed);
            for _ in 0..50 {
                match endpoint_set.draw(&mut dice, Some(without)) {
                    Some(at) => prop_assert!(at != without && weights[at] > 0),
                    None => prop_assert!((0..).zip(&weights).all(|(at, &weight)| at == without || weight == 0)),
                }
            }
        }
    }
}
