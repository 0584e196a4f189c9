//! Up to which idle age a connection is used, and how a request that needs proof is written on it.

use std::time::Duration;

use crate::cluster::ReplaySafety;

/// Where a reuse limit comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The configured idle timeout.
    Configured,
    /// `Keep-Alive: timeout=N` of the endpoint's responses.
    Hint,
    /// Closes that were seen.
    Learned {
        /// How many closes agreed.
        closes: u32,
        /// The youngest age at which they came.
        wall: Duration,
    },
}

/// Up to which idle age a connection may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Past this age it is not used again.
    pub reuse: Duration,
    /// Up to this age, but for what is `wary`, a request that needs proof is written at once. Never
    /// above `reuse`.
    pub safe: Duration,
    /// Nothing speaks against ages above `safe`: only no request has been that old yet. So what
    /// siblings have survived counts as well.
    pub unexplored: bool,
    /// Ages within `safe` at which closes without proof have come too often.
    pub wary: Option<Ages>,
    /// The endpoint has sent bytes that answered no request. So requests that bear a repetition are as
    /// exposed as others: the next such bytes could be taken for their answer.
    pub unsolicited: bool,
    /// What set `reuse`.
    pub source: Source,
}

/// Idle ages from one to another, both of them included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ages {
    /// The youngest.
    pub from: Duration,
    /// The oldest.
    pub to: Duration,
}

/// What using a connection of some idle age risks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Risk {
    /// A close without proof in the next moments is rarer than the model takes.
    Safe,
    /// It is not, or nobody knows: a request that needs proof buys it with a round trip.
    Unsure,
    /// Beyond the limit.
    Past,
}

impl Limit {
    /// What a request of this kind risks on a connection of this idle age.
    #[must_use]
    pub fn risk(&self, age: Duration, replay_safety: ReplaySafety) -> Risk {
        if age > self.reuse {
            return Risk::Past;
        }
        let wary = self.wary.is_some_and(|ages| ages.from <= age && age <= ages.to);
        let exposed = replay_safety == ReplaySafety::NeedsProof || self.unsolicited;
        if exposed && (age > self.safe || wary) {
            Risk::Unsure
        } else {
            Risk::Safe
        }
    }

    /// The same, knowing that requests to siblings have survived this idle age.
    #[must_use]
    pub fn with_siblings(mut self, explored: Duration) -> Self {
        if self.unexplored {
            self.safe = self.safe.max(explored).min(self.reuse);
        }
        self
    }
}
