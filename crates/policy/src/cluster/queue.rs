//! The waiters for a connection, first come, first served, and what the next of them was given.

use std::collections::{BTreeMap, VecDeque};

use super::place::Want;
use super::{ConnectionId, Ticket, Writing};

/// A ticket's way: waiting, given something and called, claimed or cancelled.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: BTreeMap<Ticket, Want>,
    given: BTreeMap<Ticket, Grant>,
    calls: VecDeque<Ticket>,
    last: u64,
}

/// What a ticket was given; its permit is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grant {
    /// An idle connection.
    Reuse(ConnectionId, Writing),
    /// The right to open this one.
    Open(ConnectionId),
}

/// What a ticket had when its waiter left.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Left {
    Place,
    Grant(Grant),
    Nothing,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn join(&mut self, want: Want) -> Ticket {
        self.last += 1;
        let ticket = Ticket(self.last);
        self.waiting.insert(ticket, want);
        ticket
    }

    /// Those who wait, in their order.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (Ticket, &Want)> {
        self.waiting.iter().map(|(&ticket, want)| (ticket, want))
    }

    pub(super) fn give(&mut self, ticket: Ticket, grant: Grant) {
        let waited = self.waiting.remove(&ticket);
        assert!(waited.is_some(), "{ticket:?} was given something without waiting");
        self.given.insert(ticket, grant);
        self.calls.push_back(ticket);
    }

    pub(super) fn call(&mut self) -> Option<Ticket> {
        self.calls.pop_front()
    }

    pub(super) fn claim(&mut self, ticket: Ticket) -> Option<Grant> {
        self.given.remove(&ticket)
    }

    pub(super) fn leave(&mut self, ticket: Ticket) -> Left {
        if self.waiting.remove(&ticket).is_some() {
            return Left::Place;
        }
        self.calls.retain(|&called| called != ticket);
        self.given.remove(&ticket).map_or(Left::Nothing, Left::Grant)
    }

    /// A held connection has ended: what its ticket was given becomes something else.
    pub(super) fn replace(&mut self, connection: ConnectionId, grant: Grant) {
        let held = self
            .given
            .values_mut()
            .find(|given| matches!(given, Grant::Reuse(id, _) if *id == connection));
        if let Some(given) = held {
            *given = grant;
        }
    }

    #[cfg(test)]
    pub(super) fn given(&self) -> usize {
        self.given.len()
    }
}
