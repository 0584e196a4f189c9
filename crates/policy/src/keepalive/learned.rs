//! What outlives the process: the part of what was learned of an endpoint that is worth keeping.

use std::time::Duration;

use super::{Band, Learner};
use crate::time::Moment;

/// What was learned of one endpoint, apart from what the next requests teach anyway (its hint, how long the
/// path is).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Learned {
    /// The ages at which it closes idle connections.
    pub wall: Option<Band>,
    /// The greatest idle age that a request survived.
    pub explored: Duration,
    /// Closes that were seen; many of them count less.
    pub closes: f32,
    /// … of these, closes that left no proof.
    pub unproven: f32,
    /// The youngest age at which a request met a close that the wall did not explain.
    pub surprised: Option<Duration>,
    /// The idle age from which on connections were forgotten on their way.
    pub silence: Option<Silent>,
}

/// Connections of some idle age that nothing came back on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silent {
    /// The youngest such age.
    pub age: Duration,
    /// How much longer that is believed.
    pub left: Duration,
    /// How long it was believed in all.
    pub span: Duration,
}

impl Learned {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl Learner {
    /// What of it outlives the process; silence is not the learner's.
    #[must_use]
    pub fn learned(&self) -> Learned {
        let (closes, unproven) = self.manners.counts();
        Learned {
            wall: self.watch.wall().map(|wall| wall.untried()),
            explored: self.explored.age(),
            closes,
            unproven,
            surprised: self.surprised,
            silence: None,
        }
    }

    /// Starts from what an earlier process learned, as if it had been learned by now. The endpoint may have been
    /// restarted with another timer meanwhile; that is found out as it is while the process runs.
    pub fn recall(&mut self, learned: &Learned, now: Moment) {
        if let Some(wall) = learned.wall {
            self.watch.recall(wall);
        }
        self.explored.survived(learned.explored, now);
        self.manners.recall(learned.closes, learned.unproven);
        self.surprised = learned.surprised;
    }
}
