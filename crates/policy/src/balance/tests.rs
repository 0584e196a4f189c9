//! Choices among endpoints that are only there to be chosen.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::*;
use crate::cluster::{Address, Cluster};
use crate::plan::{HashOn, HashPlan, HashTable};

/// Endpoints of these weights, and what it takes to choose among them.
struct Field {
    plan: ClusterPlan,
    members: Members,
    endpoints: Slab<EndpointId, Endpoint>,
    turn: u64,
    dice: Dice,
    now: Moment,
    hash: Option<u64>,
}

impl Field {
    fn new(balance: Balance, weights: &[u32]) -> Self {
        let address = |port| Address::Ip(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let addresses: Vec<_> = (1..).map(address).zip(weights.iter().copied()).collect();
        let now = Moment::from_millis(1);
        let mut members = Cluster::new("a".into()).adopt(&addresses, now);
        members.prepare(&balance);
        let mut endpoints = Slab::default();
        for (address, _) in addresses {
            endpoints.insert(Endpoint::new(address, now));
        }
        Self {
            plan: ClusterPlan {
                balance,
                ..ClusterPlan::default()
            },
            members,
            endpoints,
            turn: 0,
            dice: Dice::seeded(3),
            now,
            hash: None,
        }
    }

    fn choose(&mut self, fit: impl Fn(EndpointId, &Endpoint) -> bool) -> Option<usize> {
        let mut draw = Draw {
            plan: &self.plan,
            members: &self.members,
            endpoints: &self.endpoints,
            hash: self.hash,
            now: self.now,
            turn: &mut self.turn,
            dice: &mut self.dice,
        };
        let id = draw.choose(fit)?;
        self.members.list.iter().position(|&(other, _)| other == id)
    }

    fn id(&self, at: usize) -> EndpointId {
        self.members.list[at].0
    }

    fn shares(&mut self, fit: impl Fn(EndpointId, &Endpoint) -> bool) -> Vec<u32> {
        let mut shares = vec![0; self.members.list.len()];
        for _ in 0..10_000 {
            shares[self.choose(&fit).unwrap()] += 1;
        }
        shares
    }
}

fn hashed() -> Balance {
    Balance::ConsistentHash(HashPlan {
        on: HashOn::Source,
        table: HashTable::Maglev(251),
    })
}

#[test]
fn round_robin_gives_each_its_weight_exactly() {
    let mut field = Field::new(Balance::RoundRobin, &[1, 3, 0, 1]);
    assert_eq!(field.shares(|_, _| true), [2000, 6000, 0, 2000]);
}

#[test]
fn the_turns_of_an_endpoint_that_is_out_are_shared_by_the_others() {
    let mut field = Field::new(Balance::RoundRobin, &[1, 1, 1, 1]);
    let out = field.id(1);
    let shares = field.shares(|id, _| id != out);
    assert_eq!(shares[1], 0);
    assert!(
        shares
            .iter()
            .all(|&share| share == 0 || (3200..3500).contains(&share)),
        "{shares:?}"
    );
}

#[test]
fn chance_gives_each_its_weight_nearly() {
    let shares = Field::new(Balance::Random, &[1, 3, 0]).shares(|_, _| true);
    assert!((2300..2700).contains(&shares[0]) && shares[2] == 0, "{shares:?}");
}

#[test]
fn the_less_loaded_of_two_is_chosen_and_a_lone_one_always() {
    let mut field = Field::new(Balance::LeastRequest, &[1, 1]);
    let (busy, free) = (field.id(0), field.id(1));
    field.endpoints.get_mut(busy).unwrap().in_flight = 5;
    for _ in 0..50 {
        assert_eq!(field.choose(|_, _| true), Some(1));
        assert_eq!(field.choose(|id, _| id != free), Some(0));
    }
    assert_eq!(field.choose(|_, _| false), None);
}

#[test]
fn every_balance_finds_the_only_one_that_is_fit_among_many() {
    let mut weights = vec![1; 500];
    weights[7] = 0;
    let all = [
        Balance::RoundRobin,
        Balance::Random,
        Balance::LeastRequest,
        Balance::PeakEwma,
        hashed(),
    ];
    for balance in all {
        let mut field = Field::new(balance, &weights);
        field.hash = Some(17);
        let only = field.id(123);
        assert_eq!(field.choose(|id, _| id == only), Some(123));
        let weightless = field.id(7);
        assert_eq!(field.choose(|id, _| id == weightless), None);
    }
}

#[test]
fn a_key_leads_to_one_endpoint_whatever_the_load_and_no_key_to_any() {
    let mut field = Field::new(hashed(), &[1; 5]);
    field.hash = Some(42);
    let home = field.choose(|_, _| true).unwrap();
    let id = field.id(home);
    field.endpoints.get_mut(id).unwrap().in_flight = 100;
    assert!((0..100).all(|_| field.choose(|_, _| true) == Some(home)));
    let next = field.choose(|other, _| other != id).unwrap();
    assert!((0..100).all(|_| field.choose(|other, _| other != id) == Some(next)));
    field.hash = None;
    assert!(field.shares(|_, _| true).iter().all(|&share| share > 1500));
}

#[test]
fn an_endpoint_that_was_added_gets_its_share_by_and_by() {
    let mut field = Field::new(Balance::Random, &[1, 1]);
    field.plan.slow_start = Some(Duration::from_secs(10));
    field.now = Moment::from_millis(100_000);
    let new = field.id(1);
    let mut share_at = |millis: u64| {
        field.endpoints.get_mut(new).unwrap().service.added = Moment::from_millis(100_000 - millis);
        field.shares(|_, _| true)[1]
    };
    let (first, half, last) = (share_at(0), share_at(5000), share_at(10_000));
    assert!((800..1050).contains(&first), "10 to 100: {first}");
    assert!((3100..3550).contains(&half), "50 to 100: {half}");
    assert!((4800..5200).contains(&last), "{last}");
}
