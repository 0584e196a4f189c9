//! The waiters for a connection, and what the next of them was given.
//!
//! Those of one configuration snapshot wait in one line: they want connections to the same
//! endpoints under the same limits, so where the first of a line finds nothing nobody in it does.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::discipline::{Discipline, Order};
use super::{
    Ask, ConnectionId, EndpointId, Members, Refusal, ReplaySafety, Reuse, Ticket, WorkerId, Writing,
};
use crate::plan::{ClusterPlan, QueuePlan};
use crate::slab::Slab;
use crate::time::Moment;

/// After a freeze whatever gathered is seen within this.
const SEEN_WITHIN: Duration = Duration::from_millis(100);

/// All who wait, in lines.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) discipline: Discipline,
    tickets: Slab<Ticket, Waiter>,
    lines: Vec<Line>,
    waiting: usize,
    /// Who has to be told next that the wait is over, with or without a connection.
    until: BTreeSet<(Moment, Ticket)>,
    calls: VecDeque<Ticket>,
}

/// A ticket's way.
///
/// ```text
///   join --> Waiting --give--> Given --claim--> gone
///                '---refuse--> Refused --claim-^
/// ```
#[derive(Debug)]
enum Waiter {
    Waiting(Place),
    Given(Grant),
    Refused(Refusal),
}

/// One place in a line.
#[derive(Debug)]
struct Place {
    worker: WorkerId,
    replay_safety: ReplaySafety,
    reuse: Reuse,
    avoid: Box<[EndpointId]>,
    hash: Option<u64>,
    since: Moment,
    until: Moment,
    line: usize,
    older: Option<Ticket>,
    newer: Option<Ticket>,
}

/// Those of one snapshot, linked by age.
#[derive(Debug, Default)]
struct Line {
    of: Option<(Members, Arc<ClusterPlan>)>,
    oldest: Option<Ticket>,
    newest: Option<Ticket>,
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

/// What a claimed ticket brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Claimed {
    Grant(Grant),
    Refusal(Refusal),
}

impl Queue {
    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting
    }

    /// Since when the one has waited who has waited longest.
    pub(super) fn oldest(&self) -> Option<Moment> {
        let oldest = self.lines.iter().filter_map(|line| line.oldest).min()?;
        Some(self.place(oldest).since)
    }

    /// The end of the line for what `ask` wants.
    pub(super) fn join(&mut self, ask: &Ask<'_>, now: Moment) -> Ticket {
        let at = self.line_of(ask);
        let line = &mut self.lines[at];
        let until = (now + ask.plan.queue.patience).min(ask.deadline);
        let ticket = self.tickets.insert(Waiter::Waiting(Place {
            worker: ask.worker,
            replay_safety: ask.replay_safety,
            reuse: ask.reuse,
            avoid: ask.avoid.into(),
            hash: ask.hash,
            since: now,
            until,
            line: at,
            older: line.newest,
            newer: None,
        }));
        let before = line.newest.replace(ticket);
        line.oldest = line.oldest.or(Some(ticket));
        if let Some(before) = before {
            self.place_mut(before).newer = Some(ticket);
        }
        self.until.insert((until, ticket));
        self.waiting += 1;
        if self.waiting == 1 {
            self.discipline.joined(&ask.plan.queue, now);
        }
        ticket
    }

    /// The next in turn; `after` is one who was looked at before and could not be served, so
    /// nobody of the same line can.
    pub(super) fn next(&self, order: Order, after: Option<Ticket>) -> Option<Ticket> {
        let heads = self.lines.iter().filter_map(|line| match order {
            Order::OldestFirst => line.oldest,
            Order::NewestFirst => line.newest,
        });
        match order {
            Order::OldestFirst => heads.filter(|&head| after.is_none_or(|after| head > after)).min(),
            Order::NewestFirst => heads.filter(|&head| after.is_none_or(|after| head < after)).max(),
        }
    }

    /// What a waiter wants.
    pub(super) fn ask(&self, ticket: Ticket) -> Ask<'_> {
        let place = self.place(ticket);
        let Some((members, plan)) = &self.lines[place.line].of else {
            panic!("{ticket:?} waits in no line")
        };
        Ask {
            members,
            plan,
            worker: place.worker,
            replay_safety: place.replay_safety,
            reuse: place.reuse,
            avoid: &place.avoid,
            deadline: place.until,
            hash: place.hash,
            asked_before: true,
        }
    }

    /// It is a waiter's turn.
    pub(super) fn give(&mut self, ticket: Ticket, grant: Grant, plan: &QueuePlan, now: Moment) {
        self.discipline.turned(plan, now);
        self.step_out(ticket, Waiter::Given(grant), plan, now);
        self.calls.push_back(ticket);
    }

    /// Ends the wait of those who have waited long enough; returns how many.
    pub(super) fn shed(&mut self, plan: &QueuePlan, now: Moment) -> u64 {
        let mut count = 0;
        while let Some(&(until, ticket)) = self.until.first() {
            if until > now {
                break;
            }
            self.refuse(ticket, Refusal::Shed, plan, now);
            count += 1;
        }
        count
    }

    /// Ends a wait that leads to nothing.
    pub(super) fn refuse(&mut self, ticket: Ticket, why: Refusal, plan: &QueuePlan, now: Moment) {
        self.step_out(ticket, Waiter::Refused(why), plan, now);
        self.calls.push_back(ticket);
    }

    /// Nobody could be served for so long, until now: no wait ends sooner for it, nor before what gathered
    /// meanwhile can have been seen. A thread that slept knows only when it was to wake, not when it stopped.
    pub(super) fn on_freeze(&mut self, lost: Duration, ended: Moment) {
        for (until, ticket) in std::mem::take(&mut self.until) {
            let later = (until + lost).max(ended + SEEN_WITHIN);
            let place = self.place_mut(ticket);
            place.since = place.since + later.since(until);
            place.until = later;
            self.until.insert((later, ticket));
        }
    }

    /// When a ticket's wait ends at the latest; at once if it is over.
    pub(super) fn until(&self, ticket: Ticket) -> Moment {
        match self.tickets.get(ticket) {
            Some(Waiter::Waiting(place)) => place.until,
            _ => Moment::default(),
        }
    }

    /// When [`Queue::shed`] next has something to do.
    pub(super) fn sheds_at(&self) -> Moment {
        self.until.first().map_or(Moment::NEVER, |&(until, _)| until)
    }

    /// Whether somebody is to be called.
    pub(super) fn has_calls(&self) -> bool {
        !self.calls.is_empty()
    }

    /// The next ticket whose wait is over, if it was not cancelled meanwhile.
    pub(super) fn call(&mut self) -> Option<Ticket> {
        while let Some(ticket) = self.calls.pop_front() {
            if self.tickets.get(ticket).is_some() {
                return Some(ticket);
            }
        }
        None
    }

    pub(super) fn claim(&mut self, ticket: Ticket) -> Option<Claimed> {
        let claimed = match self.tickets.get(ticket)? {
            Waiter::Waiting(_) => return None,
            Waiter::Given(grant) => Claimed::Grant(*grant),
            Waiter::Refused(why) => Claimed::Refusal(*why),
        };
        self.tickets.remove(ticket);
        Some(claimed)
    }

    pub(super) fn leave(&mut self, ticket: Ticket, plan: &QueuePlan, now: Moment) -> Left {
        let left = match self.tickets.get(ticket) {
            None | Some(Waiter::Refused(_)) => Left::Nothing,
            Some(Waiter::Given(grant)) => Left::Grant(*grant),
            Some(Waiter::Waiting(_)) => {
                self.step_out(ticket, Waiter::Refused(Refusal::Shed), plan, now);
                Left::Place
            }
        };
        self.tickets.remove(ticket);
        left
    }

    /// A held connection has ended: what its ticket was given becomes something else.
    pub(super) fn replace(&mut self, ticket: Ticket, grant: Grant) {
        match self.tickets.get_mut(ticket) {
            Some(Waiter::Given(given)) => *given = grant,
            _ => panic!("{ticket:?} was given nothing"),
        }
    }

    /// Takes a waiter out of its line, which takes the snapshot out of the queue with the last.
    fn step_out(&mut self, ticket: Ticket, becomes: Waiter, plan: &QueuePlan, now: Moment) {
        let Some(Waiter::Waiting(place)) = self
            .tickets
            .get_mut(ticket)
            .map(|waiter| std::mem::replace(waiter, becomes))
        else {
            panic!("{ticket:?} does not wait")
        };
        match place.older {
            Some(older) => self.place_mut(older).newer = place.newer,
            None => self.lines[place.line].oldest = place.newer,
        }
        match place.newer {
            Some(newer) => self.place_mut(newer).older = place.older,
            None => self.lines[place.line].newest = place.older,
        }
        if self.lines[place.line].oldest.is_none() {
            self.lines[place.line].of = None;
        }
        self.until.remove(&(place.until, ticket));
        self.waiting -= 1;
        if self.waiting == 0 {
            self.discipline.emptied(plan, now);
        }
    }

    fn line_of(&mut self, ask: &Ask<'_>) -> usize {
        let same = |line: &Line| {
            line.of
                .as_ref()
                .is_some_and(|(members, plan)| members.same(ask.members) && Arc::ptr_eq(plan, ask.plan))
        };
        if let Some(at) = self.lines.iter().position(same) {
            return at;
        }
        let empty = self.lines.iter().position(|line| line.of.is_none());
        let at = empty.unwrap_or_else(|| {
            self.lines.push(Line::default());
            self.lines.len() - 1
        });
        self.lines[at].of = Some((ask.members.clone(), ask.plan.clone()));
        at
    }

    fn place(&self, ticket: Ticket) -> &Place {
        match self.tickets.get(ticket) {
            Some(Waiter::Waiting(place)) => place,
            _ => panic!("{ticket:?} does not wait"),
        }
    }

    fn place_mut(&mut self, ticket: Ticket) -> &mut Place {
        match self.tickets.get_mut(ticket) {
            Some(Waiter::Waiting(place)) => place,
            _ => panic!("{ticket:?} does not wait"),
        }
    }

    /// Tickets that were given something and not claimed, and such that were refused.
    #[cfg(test)]
    pub(super) fn unclaimed(&self) -> (usize, usize) {
        let count = |which: fn(&Waiter) -> bool| self.tickets.iter().filter(|(_, one)| which(one)).count();
        (
            count(|one| matches!(one, Waiter::Given(_))),
            count(|one| matches!(one, Waiter::Refused(_))),
        )
    }
}
