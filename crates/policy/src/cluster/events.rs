//! What happens to a cluster's endpoints that an operator wants to read in the log: ejections,
//! returns, and failures that eject nobody.

use std::time::Duration;

use super::{Address, Cluster, EndpointId};
use crate::endpoint::service::Attempted;
use crate::outlier::{Cause, Ejection};
use crate::time::Moment;

/// One event of one endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Which endpoint.
    pub address: Address,
    /// What happened.
    pub kind: EventKind,
    /// The endpoint's last failure in words; `None` if it has none.
    pub last_error: Option<String>,
    /// Endpoints in service now, this one included or not.
    pub healthy: u64,
    /// Endpoints of the configuration.
    pub total: u64,
}

/// What happened to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// It gets no requests for this long.
    Ejected {
        /// What for.
        cause: Cause,
        /// For how long.
        term: Duration,
        /// Which ejection in a row; the term is so many times the base.
        times: u32,
    },
    /// Its failures would eject it, but it stays in use. Told at most once in
    /// [`KEPT_AGAIN`] for each endpoint.
    Kept {
        /// What it would be ejected for.
        cause: Cause,
        /// It is the cluster's only endpoint; otherwise too many are out already.
        only: bool,
    },
    /// Its term has ended: it gets requests again, and one failure ejects it again.
    Returned,
    /// It answered an attempt before its term's end, and is in service again.
    TakenBack,
    /// It answers again after it was [`EventKind::Kept`]; so many attempts in a row had failed.
    Recovered {
        /// Attempts that failed in a row.
        failures: u32,
    },
    /// Its health check gave no result in time, and it is out of service for it.
    CheckLate,
    /// Its first bytes say that it speaks another protocol.
    OtherProtocol {
        /// Its name, as `TLS`.
        name: &'static str,
    },
    /// A response of it was malformed and was mended. Told at most once in [`MENDED_AGAIN`] for each
    /// endpoint.
    Mended {
        /// What was wrong, in words.
        what: &'static str,
    },
}

/// An endpoint that fails but may not be ejected is told of once in this time.
pub const KEPT_AGAIN: Duration = Duration::from_secs(10);

/// An endpoint whose responses are mended is told of once in this time.
pub(super) const MENDED_AGAIN: Duration = Duration::from_secs(60);

/// Events kept until the shell takes them. It does so after each visit, so more means that one call
/// changed more endpoints than anybody reads of; the rest is left out.
const EVENTS_MAX: usize = 64;

impl Cluster {
    /// The next event, in the order in which they happened.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// A response of an endpoint was malformed and was mended.
    pub fn on_mended(&mut self, id: EndpointId, what: &'static str, now: Moment) {
        self.counters.rq_mended += 1;
        let told = &mut self.endpoint(id).service.trouble.told_mended;
        if told.is_none_or(|told| now.since(told) >= MENDED_AGAIN) {
            *told = Some(now);
            self.push_event(id, EventKind::Mended { what }, now);
        }
    }

    /// Notes how an attempt ended, after the outliers were told: `overflow` if its endpoint would have
    /// been ejected and was not.
    pub(super) fn note_attempt(&mut self, id: EndpointId, attempted: Attempted, overflow: bool, now: Moment) {
        let only = self.held <= 1;
        let cause = self.kept_cause(attempted);
        let trouble = &mut self.endpoint(id).service.trouble;
        let failures = trouble.on_attempt(attempted, now);
        if overflow && trouble.told_kept.is_none_or(|told| now.since(told) >= KEPT_AGAIN) {
            trouble.told_kept = Some(now);
            trouble.kept = true;
            self.push_event(id, EventKind::Kept { cause, only }, now);
        } else if failures > 0 && std::mem::take(&mut trouble.kept) {
            self.push_event(id, EventKind::Recovered { failures }, now);
        }
        self.note_standing(id, now);
    }

    /// Compares an endpoint's standing with what was told of it, and tells the difference.
    pub(super) fn note_standing(&mut self, id: EndpointId, now: Moment) {
        let service = &mut self.endpoint(id).service;
        let standing = service.standing.as_ref();
        let ejection = standing.and_then(|standing| standing.ejection(now));
        let before = std::mem::replace(&mut service.told_ejection, ejection);
        let kind = match (before, ejection) {
            (before, Some(after)) if before != Some(after) => {
                let Ejection { cause, until, times } = after;
                EventKind::Ejected {
                    cause,
                    term: until.since(now),
                    times,
                }
            }
            (Some(before), None) if before.until <= now => EventKind::Returned,
            (Some(_), None) => EventKind::TakenBack,
            (None | Some(_), _) => return,
        };
        self.push_event(id, kind, now);
    }

    pub(super) fn push_event(&mut self, id: EndpointId, kind: EventKind, now: Moment) {
        if self.events.len() >= EVENTS_MAX {
            return;
        }
        let serving = self.endpoints.iter();
        let serving = serving.filter(|(_, one)| one.held_by > 0 && one.service.serves(now));
        let (healthy, total) = (serving.count() as u64, self.held as u64);
        let endpoint = self.endpoint(id);
        let event = Event {
            address: endpoint.address.clone(),
            kind,
            last_error: endpoint.service.trouble.words(),
            healthy,
            total,
        };
        self.events.push(event);
    }

    /// What an endpoint that failed so would be ejected for.
    fn kept_cause(&self, attempted: Attempted) -> Cause {
        let gateway = |status| matches!(status, 502..=504);
        match attempted {
            Attempted::Answered(status) if !gateway(status) => Cause::Consecutive5xx,
            Attempted::Answered(_) => Cause::ConsecutiveGatewayFailure,
            _ if self.plan.outlier.split_local => Cause::ConsecutiveLocalOriginFailure,
            _ => Cause::ConsecutiveGatewayFailure,
        }
    }
}
