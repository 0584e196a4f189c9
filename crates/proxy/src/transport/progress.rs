//! The progress counter of one exchange: which bytes moved last, and when.

use std::cell::Cell;

use policy::deadline::{Signs, Turn};
use policy::time::Moment;

use crate::engine::clock::Clock;

/// Signs of life of one exchange, for whoever watches its time limits.
#[derive(Debug)]
pub(crate) struct ProgressCounter {
    clock: Clock,
    moved: Cell<Moment>,
    /// When the request had come whole; [`Moment::NEVER`] while more is to come.
    whole: Cell<Moment>,
    /// Who the request waits for, and who its answer does.
    turns: [Cell<Turn>; 2],
    client_ended: Cell<bool>,
    /// Limits begin or end otherwise than when it was last asked.
    changed: Cell<bool>,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From client to endpoint.
    Up,
    /// From endpoint to client.
    Down,
}

impl ProgressCounter {
    /// A wait begins, for a request that had come whole at this moment, or has not yet.
    pub(crate) fn new(clock: Clock, whole: Option<Moment>) -> Self {
        Self {
            clock,
            moved: Cell::new(clock.now()),
            whole: Cell::new(whole.unwrap_or(Moment::NEVER)),
            turns: Default::default(),
            client_ended: Cell::new(false),
            changed: Cell::new(false),
        }
    }

    /// Something moved.
    pub(crate) fn advance(&self) {
        self.moved.set(self.clock.now());
    }

    /// The last byte of the request has come: when that was.
    pub(crate) fn request_is_whole(&self) -> Moment {
        let now = self.clock.now();
        self.whole.set(now);
        self.changed.set(true);
        now
    }

    /// Whose turn it is that bytes move this way.
    pub(crate) fn turn(&self, way: Direction, turn: Turn) {
        if self.turns[way as usize].replace(turn) != turn {
            self.changed.set(true);
        }
    }

    /// The client has ended its sending side.
    pub(crate) fn client_ends(&self) {
        self.client_ended.set(true);
        self.changed.set(true);
    }

    /// Whether the client has ended its sending side since this was last asked.
    pub(crate) fn client_has_ended(&self) -> bool {
        self.client_ended.take()
    }

    /// Whether limits begin or end otherwise than when this was last asked.
    pub(crate) fn has_changed(&self) -> bool {
        self.changed.take()
    }

    /// What has been seen so far.
    pub(crate) fn signs(&self) -> Signs {
        let awaits_client = self.turns.iter().any(|turn| turn.get() == Turn::Client);
        Signs {
            moved: self.moved.get(),
            turn: if awaits_client {
                Turn::Client
            } else {
                Turn::Endpoint
            },
            whole: Some(self.whole.get()).filter(|&whole| whole != Moment::NEVER),
        }
    }
}
