//! What outlives the process: given out for the state file, and taken in from it.

use super::{Address, Cluster};
use crate::keepalive::Learned;
use crate::time::Moment;

/// What one endpoint gives to the state file.
#[derive(Clone, Debug, PartialEq)]
pub struct LearnedEndpoint {
    /// Where it listens.
    pub address: Address,
    /// Requests that it was given so far: whether any came since the last time.
    pub uses: u64,
    /// What was learned.
    pub learned: Learned,
}

impl Cluster {
    /// What was learned of its endpoints, where anything was.
    #[must_use]
    pub fn learned_endpoints(&self, now: Moment) -> Vec<LearnedEndpoint> {
        let of = |endpoint: &crate::endpoint::Endpoint| {
            let mut learned = endpoint.learner.learned();
            learned.silence = endpoint.silence.learned(now);
            (!learned.is_nothing()).then(|| LearnedEndpoint {
                address: endpoint.address.clone(),
                uses: endpoint.uses,
                learned,
            })
        };
        let held = self.endpoints.iter().filter(|(_, endpoint)| endpoint.held_by > 0);
        held.filter_map(|(_, endpoint)| of(endpoint)).collect()
    }

    /// Takes in what an earlier process learned of endpoints, as `of` has it. An endpoint that was used already knows
    /// better. Returns of how many endpoints it was taken in.
    pub fn recall(&mut self, mut of: impl FnMut(&Address) -> Option<Learned>, now: Moment) -> usize {
        let mut taken = 0;
        for (_, endpoint) in self.endpoints.iter_mut().filter(|(_, one)| one.uses == 0) {
            if let Some(learned) = of(&endpoint.address) {
                endpoint.recall(&learned, now);
                taken += 1;
            }
        }
        self.share();
        taken
    }
}
