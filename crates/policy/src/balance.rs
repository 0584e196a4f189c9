//! Which endpoint is next. A choice costs the same however many endpoints there are, as long as
//! most of them are fit.

mod endpoint_set;
mod hash;
mod table;

use std::ops::Mul;
use std::time::Duration;

use crate::cluster::{EndpointId, Members};
use crate::endpoint::Endpoint;
use crate::plan::{Balance, ClusterPlan};
use crate::slab::Slab;
use crate::time::{Dice, Moment};

pub use endpoint_set::EndpointSet;
pub(crate) use hash::hash;
pub use hash::key;

/// One choice.
pub(crate) struct Draw<'a> {
    pub(crate) plan: &'a ClusterPlan,
    pub(crate) members: &'a Members,
    pub(crate) endpoints: &'a Slab<EndpointId, Endpoint>,
    pub(crate) hash: Option<u64>,
    pub(crate) now: Moment,
    /// Turns taken in round robin.
    pub(crate) turn: &'a mut u64,
    pub(crate) dice: &'a mut Dice,
}

impl Draw<'_> {
    /// Chooses among the members that have a weight and are `fit`.
    #[inline]
    pub(crate) fn choose(&mut self, fit: impl Fn(EndpointId, &Endpoint) -> bool) -> Option<EndpointId> {
        let members = self.members;
        let endpoints = self.endpoints;
        let fit = |at: usize| {
            let (id, weight) = members.list[at];
            weight > 0 && endpoints.get(id).is_some_and(|endpoint| fit(id, endpoint))
        };
        if let [(only, _)] = members.list[..] {
            return fit(0).then_some(only);
        }
        let at = match &self.plan.balance {
            Balance::ConsistentHash(_) => self.by_key(&fit)?,
            Balance::RoundRobin => self.in_turn(&fit)?,
            Balance::Random => self.by_chance(None, &fit)?,
            Balance::LeastRequest => self.of_two(&fit, |endpoint| u64::from(endpoint.load()))?,
            Balance::PeakEwma => {
                let now = self.now;
                self.of_two(&fit, |endpoint| endpoint.peak.cost(endpoint.load(), now) as f64)?
            }
        };
        Some(members.list[at].0)
    }

    fn by_key(&mut self, fit: &impl Fn(usize) -> bool) -> Option<usize> {
        let table = self.members.table();
        let found = self.hash.zip(table).and_then(|(key, table)| table.find(key, fit));
        found.or_else(|| self.by_chance(None, fit))
    }

    /// The turns of those that are not fit go to all others, by chance, rather than to the next one.
    fn in_turn(&mut self, fit: &impl Fn(usize) -> bool) -> Option<usize> {
        let at = self.members.turn(*self.turn)?;
        *self.turn = self.turn.wrapping_add(1);
        if fit(at) && self.is_ready(at) {
            return Some(at);
        }
        self.by_chance(None, fit)
    }

    /// The less loaded of two. A load times a weight does not overflow `L`.
    #[inline]
    fn of_two<L: Copy + From<u32> + Mul<Output = L> + PartialOrd>(
        &mut self,
        fit: &impl Fn(usize) -> bool,
        load: impl Fn(&Endpoint) -> L,
    ) -> Option<usize> {
        let one = self.by_chance(None, fit)?;
        let Some(two) = self.by_chance(Some(one), fit) else {
            return Some(one);
        };
        let drawn = |at: usize| {
            let (id, weight) = self.members.list[at];
            let endpoint = self.endpoints.get(id)?;
            Some((load(endpoint), L::from(weight)))
        };
        let ((load, weight), (other, others_weight)) = (drawn(one)?, drawn(two)?);
        // Both were drawn by weight, so equal loads leave the shares as configured.
        let heavier = load * others_weight > other * weight;
        Some(if heavier { two } else { one })
    }

    /// One by weight, but not `without`. A few draws find one where most are fit; else all are
    /// looked at.
    #[inline]
    fn by_chance(&mut self, without: Option<usize>, fit: &impl Fn(usize) -> bool) -> Option<usize> {
        for _ in 0..DRAWS {
            let at = self.members.draw(self.dice, without)?;
            if fit(at) && self.is_ready(at) {
                return Some(at);
            }
        }
        self.among_all(without, fit)
    }

    #[cold]
    fn among_all(&mut self, without: Option<usize>, fit: &impl Fn(usize) -> bool) -> Option<usize> {
        let list = &self.members.list;
        let fitting = || (0..list.len()).filter(|&at| Some(at) != without && fit(at));
        let total = fitting().map(|at| u64::from(list[at].1)).sum();
        let mut throw = self.dice.below(total);
        fitting().find(|&at| {
            let hit = throw < u64::from(list[at].1);
            throw = throw.saturating_sub(u64::from(list[at].1));
            hit
        })
    }

    /// Slow start: one that was added or came back is passed over by chance, ever more rarely.
    #[inline]
    fn is_ready(&mut self, at: usize) -> bool {
        match self.plan.slow_start {
            Some(window) if !window.is_zero() => self.is_warm(at, window),
            _ => true,
        }
    }

    fn is_warm(&mut self, at: usize, window: Duration) -> bool {
        let endpoint = self.endpoints.get(self.members.list[at].0);
        let since = endpoint.map_or(self.now, |endpoint| endpoint.service.since(self.now));
        let age = self.now.since(since);
        age >= window || {
            let share = (age.as_nanos() * 1000 / window.as_nanos()) as u64;
            self.dice.below(1000) < share.max(SLOW_START_FROM)
        }
    }
}

/// So many draws before all endpoints are looked at.
const DRAWS: u32 = 8;

/// The share of its weight with which an endpoint starts, in thousandths.
const SLOW_START_FROM: u64 = 100;

#[cfg(test)]
mod tests;
