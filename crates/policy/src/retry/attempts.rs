//! One exchange's attempts so far, and what to do next: replay, retry, or answer.
//!
//! A *replay* follows proof that the request was not applied; it is free, at once, and on a fresh
//! connection. A *retry* takes the chance that it was, and is made only for requests that bear it
//! or whose owner asked for it.

use std::time::Duration;

use crate::cluster::{EndpointId, ReplaySafety, Reuse};
use crate::deadline::Arrival;
use crate::evidence::{End, Grade};
use crate::outcome::{Rule, Stop};
use crate::plan::{OwnerRetry, RetryPlan, UnsafeMethods};
use crate::time::{Dice, Moment};

/// What the request itself says about being sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryTraits {
    /// Its method is GET, HEAD, PUT, DELETE, OPTIONS or TRACE (RFC 9110, section 9.2.2).
    pub idempotent: bool,
    /// It carries an `Idempotency-Key`.
    pub keyed: bool,
    /// Its body fits the replay copy, so that it can be sent again even after it was received.
    pub fits_copy: bool,
}

/// An attempt's result, as far as the next one depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Where it went; `None` if no endpoint was chosen.
    pub endpoint: Option<EndpointId>,
    /// The connection had been used before.
    pub reused: bool,
    /// It died as idle connections do: its close may have been on its way when the request was
    /// written ([`evidence::raced`](crate::evidence::raced)).
    pub raced: bool,
    /// Whether all of the request's bytes so far are still at hand.
    pub copy_whole: bool,
    /// Whether the head of a final response has gone to the client.
    pub answered: bool,
    /// How much of the request had come from the client.
    pub arrival: Arrival,
    /// How it ended.
    pub result: Outcome,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A complete response head with this status.
    Status(u16),
    /// It died.
    Died {
        /// The first sign.
        end: End,
        /// What the facts prove.
        grade: Grade,
    },
    /// The connection could not be opened in time. One that was refused or unreachable is
    /// [`Outcome::Died`] with [`End::ConnectFailed`].
    ConnectTimedOut,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextStep {
    /// Try again.
    Again {
        /// Whether an idle connection will do.
        reuse: Reuse,
        /// Not before this moment.
        at: Moment,
        /// On what ground.
        why: RetryReason,
    },
    /// Answer with what there is: the response, or the failure's verdict.
    Answer,
}

/// On what ground a request is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryReason {
    /// It is proven that it was not applied.
    Replay(Grade),
    /// It may have been applied, and bears it; or the owner asked for it.
    Retry,
    /// The same, and the connection died as idle ones do. That says nothing of the endpoint's load, so it
    /// draws on no budget. It can not multiply: each needs a connection that had answered before,
    /// and uses it up; so an endpoint that dies gets no more of them than it had connections.
    Race,
}

impl RetryReason {
    /// Whether it draws on the retry budget.
    #[must_use]
    pub fn needs_budget(self) -> bool {
        self == Self::Retry
    }
}

/// The attempts of one exchange.
///
/// ```text
///   attempt --proven--------> replay (REPLAYS_MAX), fresh connection, at once --> attempt
///     |     --unknown-------> one retry, if idempotent or keyed; off the budget
///     |                       if the connection died as idle ones do ----------> attempt
///     |     --owner's case--> up to the owner's number, after a pause ---------> attempt
///     '-----anything else---> answer
/// ```
#[derive(Clone, Debug)]
pub struct Attempts<'a> {
    plan: &'a RetryPlan,
    traits: RetryTraits,
    replays: u32,
    connect_timeouts: u32,
    retries: u32,
    exceeded: bool,
    saved_by: Option<Grade>,
    stop: Option<Stop>,
    avoid: [EndpointId; AVOID_MAX],
    avoided: usize,
}

impl<'a> Attempts<'a> {
    /// No attempt yet, under the route's or the cluster's plan.
    #[must_use]
    pub fn new(plan: &'a RetryPlan, traits: RetryTraits) -> Self {
        Self {
            plan,
            traits,
            replays: 0,
            connect_timeouts: 0,
            retries: 0,
            exceeded: false,
            saved_by: None,
            stop: None,
            avoid: [EndpointId(0); AVOID_MAX],
            avoided: 0,
        }
    }

    /// The risk that the next attempt may take: whether it could be made again at grade `unknown`.
    #[must_use]
    pub fn replay_safety(&self) -> ReplaySafety {
        let safe = self.traits.fits_copy
            && match self.plan {
                RetryPlan::Transparent => self.bears_retry() && self.retries == 0,
                RetryPlan::Owner(owner) => {
                    owner.on.reset && self.retries < owner.attempts && !self.needs_proof(owner)
                }
            };
        if safe {
            ReplaySafety::Safe
        } else {
            ReplaySafety::NeedsProof
        }
    }

    /// Endpoints that failed this exchange, for the checkout to avoid.
    #[must_use]
    pub fn avoid(&self) -> &[EndpointId] {
        &self.avoid[..self.avoided]
    }

    /// Attempts that were made again so far; `%UPSTREAM_REQUEST_ATTEMPT_COUNT%` is one more.
    #[must_use]
    pub fn made_again(&self) -> u32 {
        self.replays + self.connect_timeouts + self.retries
    }

    /// Retries among them; replays with proof are none.
    #[must_use]
    pub fn retries(&self) -> u32 {
        self.retries
    }

    /// The grade of the last death after which the request was sent again: what a later answer
    /// was saved by.
    #[must_use]
    pub fn saved_by(&self) -> Option<Grade> {
        self.saved_by
    }

    /// Whether an attempt was not made because there had been as many as are allowed (`URX`).
    #[must_use]
    pub fn limit_exceeded(&self) -> bool {
        self.exceeded
    }

    /// What follows from an attempt's result.
    pub fn on_result(&mut self, summary: &Summary, now: Moment, dice: &mut Dice) -> NextStep {
        let begun = matches!(
            summary.result,
            Outcome::Died {
                grade: Grade::Begun,
                ..
            }
        );
        if summary.answered || begun {
            return self.ends(Stop::Begun);
        }
        if !summary.copy_whole {
            return self.ends(Stop::NotKept);
        }
        let proven = summary.result.grade().is_some_and(Grade::proves_unapplied);
        if summary.arrival == Arrival::Stalled && !proven {
            // Another endpoint would grow tired of this client just the same.
            return self.ends(Stop::ClientStalled);
        }
        let after = match self.plan {
            RetryPlan::Transparent => self.transparent(summary, now),
            // As if nobody had asked for retries: without a word of the owner, what is not idempotent
            // goes again with proof only.
            RetryPlan::Owner(owner) if self.needs_proof(owner) && owner.attempts > 0 => {
                self.transparent(summary, now)
            }
            RetryPlan::Owner(owner) => self.owners(owner, summary, now, dice),
        };
        if let NextStep::Again { .. } = after {
            self.saved_by = summary.result.grade();
        }
        after
    }

    /// Why there is no other attempt, once an attempt that failed was the last.
    #[must_use]
    pub fn stop(&self) -> Option<Stop> {
        self.stop
    }

    fn ends(&mut self, stop: Stop) -> NextStep {
        self.stop = Some(stop);
        NextStep::Answer
    }

    fn transparent(&mut self, summary: &Summary, now: Moment) -> NextStep {
        let (spent, most, why) = match summary.result {
            Outcome::Status(_) => return NextStep::Answer,
            Outcome::ConnectTimedOut => (
                &mut self.connect_timeouts,
                CONNECT_TIMEOUTS_MAX,
                RetryReason::Replay(Grade::Unsent),
            ),
            // A time limit of ours that ran out has cost the client as much as one that ran out
            // while connecting.
            Outcome::Died {
                end: End::TimedOut,
                grade,
            } if grade.proves_unapplied() => (
                &mut self.connect_timeouts,
                CONNECT_TIMEOUTS_MAX,
                RetryReason::Replay(grade),
            ),
            Outcome::Died { grade, .. } if grade.proves_unapplied() => {
                (&mut self.replays, REPLAYS_MAX, RetryReason::Replay(grade))
            }
            Outcome::Died { end, .. } => {
                let reset = matches!(
                    end,
                    End::Reset
                        | End::Eof
                        | End::BrokenPipe
                        | End::Farewell
                        | End::Stale
                        | End::Silent
                        | End::Other
                );
                if !reset {
                    return self.ends(Stop::NotRepeated);
                }
                if !self.bears_retry() {
                    return self.ends(Stop::NotIdempotent);
                }
                (&mut self.retries, TRANSPARENT_RETRIES_MAX, again(summary))
            }
        };
        if *spent >= most {
            // Envoy's flag speaks of configured retries; a spent safety budget counts likewise.
            self.exceeded = true;
            return self.ends(Stop::UsedUp);
        }
        *spent += 1;
        self.blame(summary);
        NextStep::Again {
            reuse: Reuse::Forbid,
            at: now,
            why,
        }
    }

    fn owners(&mut self, owner: &OwnerRetry, summary: &Summary, now: Moment, dice: &mut Dice) -> NextStep {
        let on = &owner.on;
        let wanted = match summary.result {
            Outcome::Status(status) => on.statuses.binary_search(&status).is_ok(),
            Outcome::ConnectTimedOut
            | Outcome::Died {
                end: End::ConnectFailed,
                ..
            } => on.connect_failure || on.reset_before_request,
            Outcome::Died {
                end: End::TimedOut,
                grade,
            } => on.timeout || on.reset_before_request && grade.proves_unapplied(),
            Outcome::Died { grade, .. } => on.reset || on.reset_before_request && grade.proves_unapplied(),
        };
        if !wanted {
            return match summary.result {
                // Nothing is wrong with it.
                Outcome::Status(_) => NextStep::Answer,
                _ if owner.attempts == 0 => self.ends(Stop::OwnersNone),
                _ => self.ends(Stop::OwnersOther),
            };
        }
        if owner.attempts == 0 {
            return self.ends(Stop::OwnersNone);
        }
        if self.retries >= owner.attempts {
            self.exceeded = true;
            return self.ends(Stop::OwnersUsedUp);
        }
        self.retries += 1;
        self.blame(summary);
        let reuse = match summary.result {
            Outcome::Status(_) => Reuse::Allow,
            Outcome::Died { .. } | Outcome::ConnectTimedOut => Reuse::Forbid,
        };
        NextStep::Again {
            reuse,
            at: now + pause(owner, self.retries, dice),
            why: again(summary),
        }
    }

    /// By which rule a request is sent again on this ground.
    #[must_use]
    pub fn rule(&self, why: RetryReason) -> Rule {
        match (why, self.plan) {
            (RetryReason::Replay(grade), _) => Rule::Replay(grade),
            (RetryReason::Retry | RetryReason::Race, RetryPlan::Transparent) => Rule::DefaultRetry,
            (RetryReason::Retry | RetryReason::Race, RetryPlan::Owner(_)) => Rule::OwnersRetry,
        }
    }

    /// Whether the owner's retries leave this request out unless it is proven unapplied.
    fn needs_proof(&self, owner: &OwnerRetry) -> bool {
        owner.unsafe_methods == UnsafeMethods::ProvenOnly && !self.bears_retry()
    }

    fn bears_retry(&self) -> bool {
        self.traits.idempotent || self.traits.keyed
    }

    /// Another endpoint is tried first, unless all that happened was that an idle connection had
    /// been closed: that is no fault of the endpoint.
    fn blame(&mut self, summary: &Summary) {
        let reused = summary.reused && matches!(summary.result, Outcome::Died { .. });
        let Some(endpoint) = summary.endpoint.filter(|_| !reused) else {
            return;
        };
        if self.avoided < AVOID_MAX && !self.avoid().contains(&endpoint) {
            self.avoid[self.avoided] = endpoint;
            self.avoided += 1;
        }
    }
}

impl Outcome {
    fn grade(self) -> Option<Grade> {
        match self {
            Self::Status(_) => None,
            Self::Died { grade, .. } => Some(grade),
            Self::ConnectTimedOut => Some(Grade::Unsent),
        }
    }
}

fn again(summary: &Summary) -> RetryReason {
    let died = matches!(summary.result, Outcome::Died { .. });
    if summary.raced && died {
        RetryReason::Race
    } else {
        RetryReason::Retry
    }
}

/// The pause before the owner's `nth` retry: never less than the owner's back-off, which is a minimum (Gateway API,
/// `HTTPRouteRetry.backoff`), doubled each time up to the owner's longest, and up to half as much again by chance, so
/// that clients that failed together do not return together.
fn pause(owner: &OwnerRetry, nth: u32, dice: &mut Dice) -> Duration {
    let Some(first) = owner.backoff else {
        return Duration::ZERO;
    };
    let most = owner.backoff_max.unwrap_or(first * BACKOFF_GROWTH).max(first);
    // At the longest pause chance still has a third of it to choose from, where the owner left that much room.
    let doubled = first.saturating_mul(2_u32.saturating_pow(nth - 1));
    let least = doubled.min(most - most / 3).max(first);
    least + dice.up_to((least / 2).min(most - least))
}

/// Replays of one exchange. Each is on a fresh connection, so a second one is rare already; past
/// this something is wrong that replaying does not cure.
const REPLAYS_MAX: u32 = 3;

/// A connect timeout has cost the client its full length; so it may once more, no oftener.
const CONNECT_TIMEOUTS_MAX: u32 = 1;

/// Without the owner's word, a request that may have been applied is sent once more at most.
const TRANSPARENT_RETRIES_MAX: u32 = 1;

/// Failed endpoints that are remembered; there are rarely more attempts.
const AVOID_MAX: usize = 4;

/// The longest pause is this many times the first, unless the owner says otherwise.
const BACKOFF_GROWTH: u32 = 10;

#[cfg(test)]
mod tests;
