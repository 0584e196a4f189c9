//! What an HTTP/2 peer's behaviour may cost, per connection.
//!
//! HTTP/2 has many frames that cost their receiver more than their sender: resets of requests that were begun, PINGs,
//! SETTINGS, updates of one byte. None is an error, and honest peers send each now and then. So each takes points from
//! one budget, which time and finished requests refill; a peer that spends it all is told ENHANCE_YOUR_CALM and
//! its connection is closed.

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::time::{Moment, nanos};

/// What a peer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// It reset a stream before both messages were whole.
    PeerReset,
    /// It made us reset or refuse a stream.
    OwnReset,
    /// A PING.
    Ping,
    /// SETTINGS.
    Settings,
    /// PRIORITY or PRIORITY_UPDATE.
    Priority,
    /// A WINDOW_UPDATE of a few bytes.
    SmallWindowUpdate,
    /// DATA without content that does not end a stream.
    EmptyData,
    /// DATA of little content.
    SmallData,
    /// A CONTINUATION.
    Continuation,
    /// A frame on a stream that is over.
    Late,
    /// A frame of an unknown type.
    Unknown,
}

impl Behaviour {
    const COUNT: usize = 11;
    const ALL: [Self; Self::COUNT] = [
        Self::PeerReset,
        Self::OwnReset,
        Self::Ping,
        Self::Settings,
        Self::Priority,
        Self::SmallWindowUpdate,
        Self::EmptyData,
        Self::SmallData,
        Self::Continuation,
        Self::Late,
        Self::Unknown,
    ];

    /// Points that it takes. A reset takes what a request costs; other frames what parsing and answering them does,
    /// against about ten of the smallest.
    const fn points(self) -> u32 {
        match self {
            Self::PeerReset | Self::OwnReset => RESET,
            Self::Settings => 50,
            Self::Ping | Self::EmptyData | Self::Continuation => 20,
            Self::Priority | Self::Late | Self::Unknown => 10,
            Self::SmallWindowUpdate => 2,
            Self::SmallData => 1,
        }
    }

    /// What a person is told who asks what spent the budget.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::PeerReset => "The peer resets its own requests too often.",
            Self::OwnReset => "The peer sends too many requests that must be reset.",
            Self::Ping => "The peer sends too many PING frames.",
            Self::Settings => "The peer sends too many SETTINGS frames.",
            Self::Priority => "The peer changes priorities too often.",
            Self::SmallWindowUpdate => "The peer opens its windows in too many small steps.",
            Self::EmptyData => "The peer sends too many DATA frames without content.",
            Self::SmallData => "The peer sends too many DATA frames of a few bytes.",
            Self::Continuation => "The peer sends its heads in too many pieces.",
            Self::Late => "The peer sends too many frames on streams that are over.",
            Self::Unknown => "The peer sends too many frames of unknown types.",
        }
    }
}

/// A budget that is spent: the connection ends with ENHANCE_YOUR_CALM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted {
    /// What took most of it.
    pub most: Behaviour,
}

/// The budget of one connection.
///
/// ```text
///   50,000 points --each behaviour takes some--> 0: Exhausted
///      ^-----5,000 a second, 200 a request-----'
/// ```
#[derive(Clone, Debug)]
pub struct H2Budget {
    left: u32,
    /// Up to when points were given back.
    filled: Moment,
    /// Points that each behaviour took since the budget was last full.
    taken: [u32; Behaviour::COUNT],
}

impl H2Budget {
    /// A whole budget.
    #[must_use]
    pub const fn new(now: Moment) -> Self {
        Self {
            left: CAPACITY,
            filled: now,
            taken: [0; Behaviour::COUNT],
        }
    }

    /// The peer did something.
    ///
    /// # Errors
    /// [`Exhausted`]: it was once too often.
    pub fn on_behaviour(&mut self, behaviour: Behaviour, now: Moment) -> Result<(), Exhausted> {
        self.refill(now);
        let points = behaviour.points();
        self.taken[behaviour as usize] = self.taken[behaviour as usize].saturating_add(points);
        match self.left.checked_sub(points) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.left = 0;
                Err(Exhausted { most: self.most() })
            }
        }
    }

    /// A request and its response were whole: work that was worth it.
    pub fn on_finished_request(&mut self) {
        self.give_back(FINISHED_REQUEST);
    }

    /// Points that are left.
    #[must_use]
    pub const fn left(&self) -> u32 {
        self.left
    }

    fn most(&self) -> Behaviour {
        let most = Behaviour::ALL
            .into_iter()
            .max_by_key(|&behaviour| self.taken[behaviour as usize]);
        most.unwrap_or(Behaviour::Unknown)
    }

    fn refill(&mut self, now: Moment) {
        let points = nanos(now.since(self.filled)) / POINT_EVERY;
        if points > 0 {
            // What is less than a point is kept for the next time.
            self.filled = self.filled + Duration::from_nanos(points * POINT_EVERY);
            self.give_back(u32::try_from(points).unwrap_or(CAPACITY));
        }
    }

    fn give_back(&mut self, points: u32) {
        self.left = self.left.saturating_add(points).min(CAPACITY);
        if self.left == CAPACITY {
            self.taken = [0; Behaviour::COUNT];
        }
    }
}

/// 500 resets at once: a browser that leaves a page cancels all that it had open, which is 100 at a time.
const CAPACITY: u32 = 500 * RESET;
const RESET: u32 = 100;
/// 5,000 points a second: 50 resets, 250 PINGs, or 5,000 small messages on streams.
const POINT_EVERY: u64 = 1_000_000_000 / 5_000;
/// Who finishes a request may reset two.
const FINISHED_REQUEST: u32 = 2 * RESET;
