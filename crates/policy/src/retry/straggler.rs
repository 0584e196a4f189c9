//! Stragglers: attempts that were given up because their hedge, sent later to another endpoint, answered
//! first. Their endpoint still has the request, so each counts as load of it; and that another endpoint
//! did the same work meanwhile is evidence that this one is slow.
//!
//! One straggler's connection is *followed*: kept open, unused, to see when its answer begins. That is
//! what tells an endpoint that is merely slower than the others from one that does not answer at all.

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::cluster::ConnectionId;
use crate::time::Moment;

/// The stragglers of one endpoint.
///
/// ```text
///   lost to its hedge --> outstanding --an attempt begun no earlier is answered--------> gone
///                              |      --as long as the followed one took, or 10 s------> gone
///                              '-- silent for 4 times what its hedge needed, 1 s at
///                                  least, and so is the followed one: a failure, once
/// ```
#[derive(Clone, Debug, Default)]
pub(crate) struct Stragglers {
    /// In the order in which they lost.
    list: Vec<Straggler>,
    followed: Option<Followed>,
}

#[derive(Clone, Copy, Debug)]
struct Straggler {
    begun: Moment,
    /// Until when it counts as load.
    until: Moment,
    /// From when on it is a failure, if it is still outstanding; [`Moment::NEVER`] once it was told as one.
    fails_at: Moment,
    /// From when on it makes its endpoint one to be avoided, if it is still outstanding.
    doubted_at: Moment,
}

/// A connection that is kept to see when the answer of its straggler begins.
#[derive(Clone, Copy, Debug)]
struct Followed {
    connection: ConnectionId,
    begun: Moment,
    until: Moment,
}

impl Stragglers {
    /// How many are outstanding: requests that the endpoint still has, as far as is known.
    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.list.len()).unwrap_or(u32::MAX)
    }

    /// Whether so many have been outstanding for so long that another endpoint is to be preferred.
    pub(crate) fn stalled(&self, now: Moment) -> bool {
        self.list
            .get(DOUBTED_FROM - 1)
            .is_some_and(|straggler| straggler.doubted_at <= now)
    }

    /// Whether a connection is wanted to be followed: there is none yet.
    pub(crate) fn wants_to_follow(&self) -> bool {
        self.followed.is_none()
    }

    /// An attempt that began at `begun` has lost; its connection is `followed`, or closed.
    pub(crate) fn lost(&mut self, begun: Moment, followed: Option<ConnectionId>, now: Moment) {
        let waited = now.since(begun);
        let silent = begun + (waited * FAILS_AFTER_TIMES).max(FAILS_AFTER_MIN);
        if let Some(connection) = followed {
            self.followed = Some(Followed {
                connection,
                begun,
                until: (begun + OUTSTANDING_MAX).max(silent + FAILS_AFTER_MIN),
            });
        }
        self.list.retain(|straggler| straggler.until > now);
        if self.list.len() >= STRAGGLERS_MAX {
            return;
        }
        let watched = self.followed.is_some();
        let most = if watched { OUTSTANDING_MAX } else { UNWATCHED_MAX };
        self.list.push(Straggler {
            begun,
            until: now + most,
            fails_at: silent,
            doubted_at: begun + waited * FAILS_AFTER_TIMES,
        });
    }

    /// No answer could be seen for so long.
    pub(crate) fn on_freeze(&mut self, lost: Duration) {
        for straggler in &mut self.list {
            for moment in [
                &mut straggler.until,
                &mut straggler.fails_at,
                &mut straggler.doubted_at,
            ] {
                *moment = *moment + lost;
            }
        }
        if let Some(followed) = &mut self.followed {
            followed.until = followed.until + lost;
        }
    }

    /// An attempt that began at `begun` was answered: an endpoint that answers has done what came before.
    #[inline]
    pub(crate) fn answered(&mut self, begun: Moment) {
        if !self.list.is_empty() {
            self.list.retain(|straggler| straggler.begun > begun);
        }
    }

    /// The answer of the followed straggler has begun. Returns when it began, and forgets it. Those that
    /// began later are taken to need as long.
    pub(crate) fn followed_answered(&mut self, now: Moment) -> Option<Moment> {
        let begun = self.followed.take()?.begun;
        let took = now.since(begun);
        self.answered(begun);
        for straggler in &mut self.list {
            straggler.until = straggler.until.min(straggler.begun + took);
            straggler.doubted_at = Moment::NEVER;
            straggler.fails_at = Moment::NEVER;
        }
        Some(begun)
    }

    /// The followed connection is gone without an answer: nothing tells any more what became of them.
    /// Returns when its attempt began.
    pub(crate) fn followed_gone(&mut self, now: Moment) -> Option<Moment> {
        let begun = self.followed.take()?.begun;
        for straggler in &mut self.list {
            straggler.until = straggler.until.min(now + UNWATCHED_MAX);
            straggler.fails_at = Moment::NEVER;
        }
        Some(begun)
    }

    /// The connection that is followed.
    pub(crate) fn followed(&self) -> Option<ConnectionId> {
        self.followed.map(|followed| followed.connection)
    }

    /// The followed connection, if it has been silent for so long that it is not followed any more.
    pub(crate) fn given_up(&self, now: Moment) -> Option<ConnectionId> {
        let over = self.followed.filter(|followed| followed.until <= now);
        over.map(|followed| followed.connection)
    }

    /// Those that have become failures by now, by the moments at which they began; each is told once.
    /// Without a connection that is followed and silent there are none.
    pub(crate) fn failures(&mut self, now: Moment) -> Vec<Moment> {
        let mut failed = Vec::new();
        if self.followed.is_some() {
            for straggler in &mut self.list {
                if straggler.fails_at <= now {
                    straggler.fails_at = Moment::NEVER;
                    failed.push(straggler.begun);
                }
            }
        }
        self.list.retain(|straggler| straggler.until > now);
        failed
    }

    /// When [`failures`](Self::failures) or [`given_up`](Self::given_up) next have something to say, or
    /// one is not outstanding any more.
    pub(crate) fn due(&self) -> Moment {
        let watched = self.followed.is_some();
        let one = |straggler: &Straggler| {
            let fails_at = if watched {
                straggler.fails_at
            } else {
                Moment::NEVER
            };
            straggler.until.min(fails_at)
        };
        let listed = self.list.iter().map(one).min().unwrap_or(Moment::NEVER);
        let followed = self.followed.map_or(Moment::NEVER, |followed| followed.until);
        listed.min(followed)
    }
}

/// So many stragglers are remembered for an endpoint. With that many it is chosen by nobody who has a choice.
const STRAGGLERS_MAX: usize = 256;

/// An endpoint is avoided once so many stragglers are overdue: one or two may be unlucky requests.
const DOUBTED_FROM: usize = 3;

/// A straggler that needs this many times what its hedge and the wait for it took together is not slow
/// but stalled. Endpoints of one cluster that differ by less are only slower.
const FAILS_AFTER_TIMES: u32 = 4;

/// Nothing that was waited for less long is a failure.
const FAILS_AFTER_MIN: Duration = Duration::from_secs(1);

/// A straggler counts as load no longer than this, since its endpoint may have given it up as well.
const OUTSTANDING_MAX: Duration = Duration::from_secs(10);

/// The same while no connection is followed that would tell of the endpoint's recovery.
const UNWATCHED_MAX: Duration = Duration::from_secs(1);
