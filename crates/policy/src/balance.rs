//! Which endpoint is next.

use std::collections::BTreeMap;

use crate::cluster::{EndpointId, Members};
use crate::endpoint::Endpoint;
use crate::plan::Balance;
use crate::time::Dice;

/// Chooses among the members that have a weight and pass `fit`.
pub(crate) fn choose(
    balance: &Balance,
    members: &Members,
    endpoints: &mut BTreeMap<EndpointId, Endpoint>,
    dice: &mut Dice,
    fit: impl Fn(EndpointId) -> bool,
) -> Option<EndpointId> {
    let fits = |&&(id, weight): &&(EndpointId, u32)| weight > 0 && fit(id);
    let mut fitting = members.list.iter().filter(fits);
    let first = *fitting.next()?;
    if fitting.next().is_none() {
        return Some(first.0);
    }
    let total = members
        .list
        .iter()
        .filter(fits)
        .map(|&(_, weight)| u64::from(weight))
        .sum();
    let draw = |throw: u64, without: Option<EndpointId>| {
        let mut throw = throw;
        members
            .list
            .iter()
            .filter(fits)
            .filter(|&&(id, _)| Some(id) != without)
            .find(|&&(_, weight)| {
                let hit = throw < u64::from(weight);
                throw = throw.saturating_sub(u64::from(weight));
                hit
            })
    };
    match balance {
        Balance::Random | Balance::ConsistentHash(_) => draw(dice.below(total), None).map(|&(id, _)| id),
        Balance::LeastRequest | Balance::PeakEwma => {
            let &one = draw(dice.below(total), None)?;
            let &two = draw(dice.below(total - u64::from(one.1)), Some(one.0))?;
            let load = |id| {
                endpoints
                    .get(&id)
                    .map_or(0, |endpoint: &Endpoint| u64::from(endpoint.in_flight))
            };
            // Both were drawn by weight, so equal loads leave the shares as configured.
            let heavier = load(one.0) * u64::from(two.1) > load(two.0) * u64::from(one.1);
            Some(if heavier { two.0 } else { one.0 })
        }
        Balance::RoundRobin => {
            let mut next: Option<(EndpointId, i64)> = None;
            for &(id, weight) in members.list.iter().filter(fits) {
                let Some(endpoint) = endpoints.get_mut(&id) else {
                    continue;
                };
                endpoint.turn += i64::from(weight);
                if next.is_none_or(|(_, turn)| endpoint.turn > turn) {
                    next = Some((id, endpoint.turn));
                }
            }
            let (id, _) = next?;
            let chosen = endpoints.get_mut(&id)?;
            chosen.turn = chosen
                .turn
                .saturating_sub(i64::try_from(total).unwrap_or(i64::MAX));
            Some(id)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Address;

    fn cluster(weights: &[u32]) -> (Members, BTreeMap<EndpointId, Endpoint>) {
        let ids = || (0_u32..).map(EndpointId);
        let endpoints = ids()
            .zip(weights)
            .map(|(id, _)| (id, Endpoint::new(Address::Unix("/x".into()))));
        (
            Members {
                list: ids().zip(weights.iter().copied()).collect(),
            },
            endpoints.collect(),
        )
    }

    fn shares(balance: &Balance, weights: &[u32]) -> Vec<u32> {
        let (members, mut endpoints) = cluster(weights);
        let mut dice = Dice::seeded(3);
        let mut shares = vec![0; weights.len()];
        for _ in 0..10_000 {
            let id = choose(balance, &members, &mut endpoints, &mut dice, |_| true).unwrap();
            shares[id.0 as usize] += 1;
        }
        shares
    }

    #[test]
    fn round_robin_gives_each_its_weight_exactly() {
        assert_eq!(shares(&Balance::RoundRobin, &[1, 3, 0, 1]), [2000, 6000, 0, 2000]);
    }

    #[test]
    fn chance_gives_each_its_weight_nearly() {
        let shares = shares(&Balance::Random, &[1, 3, 0]);
        assert!((2300..2700).contains(&shares[0]) && shares[2] == 0, "{shares:?}");
    }

    #[test]
    fn the_less_loaded_of_two_is_chosen_and_a_lone_one_always() {
        let (members, mut endpoints) = cluster(&[1, 1]);
        endpoints.get_mut(&EndpointId(0)).unwrap().in_flight = 5;
        let mut dice = Dice::seeded(1);
        for _ in 0..50 {
            let choice = choose(&Balance::LeastRequest, &members, &mut endpoints, &mut dice, |_| {
                true
            });
            assert_eq!(choice, Some(EndpointId(1)));
        }
        let only = |id| id == EndpointId(0);
        assert_eq!(
            choose(&Balance::Random, &members, &mut endpoints, &mut dice, only),
            Some(EndpointId(0))
        );
        assert_eq!(
            choose(&Balance::Random, &members, &mut endpoints, &mut dice, |_| false),
            None
        );
    }
}
