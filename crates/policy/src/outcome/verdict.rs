//! What each party is told of a failure: by its row, and by what came before.

use std::borrow::Cow;
use std::time::Duration;

use super::{Cause, Failure, Flag, FlagSet, HeadLimit};
use crate::rate_limit::Quota;

/// What came before the failure, as far as the verdict depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Before {
    /// The request had been sent again.
    pub made_again: bool,
    /// It would have been once more, had that been allowed.
    pub limit_exceeded: bool,
}

/// What each party is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The status of our answer; `None` if there is nobody to answer, or an answer has begun (the
    /// connection is closed then, so that nobody takes it for complete).
    pub status: Option<u16>,
    /// The log's flags.
    pub flags: FlagSet,
    /// Envoy's response code details.
    pub details: &'static str,
    /// The answer's body, plain text; may be empty. Never a byte that an endpoint sent.
    pub body: Cow<'static, str>,
    /// `x-envoy-overloaded: true` goes with it.
    pub overloaded: bool,
    /// `Retry-After`.
    pub retry_after: Option<Duration>,
    /// `RateLimit` and `RateLimit-Policy`.
    pub quota: Option<Quota>,
}

/// The verdict on a failure.
#[must_use]
pub fn verdict(failure: &Failure, before: Before) -> Verdict {
    let cause = failure.cause();
    let row = cause.row();
    let mut verdict = Verdict {
        status: row.told.status(),
        flags: row.flag.into(),
        details: row.details,
        body: body(row.body, before),
        overloaded: false,
        retry_after: None,
        quota: None,
    };
    match failure {
        Failure::BadRequest { status, details, .. } => {
            (verdict.status, verdict.details) = (Some(*status), details);
        }
        Failure::BadRequestBody { details, .. } => verdict.details = details,
        Failure::HeadLimit(HeadLimit::Method) => verdict.details = Cause::RequestLineTooLong.row().details,
        Failure::RateLimited(quota) => {
            verdict.retry_after = Some(Duration::from_secs(quota.retry_after()));
            verdict.quota = Some(*quota);
        }
        _ => {}
    }
    if row.flag == Some(Flag::UO) {
        (verdict.overloaded, verdict.retry_after) = (true, Some(RETRY_AFTER));
    }
    if before.limit_exceeded {
        verdict.flags.insert(Flag::URX);
    }
    verdict
}

/// The body, which says of a reset attempt whether others had gone before, as Envoy's does.
fn body(body: &'static str, before: Before) -> Cow<'static, str> {
    match body.split_once(LATEST) {
        Some((front, back)) if before.made_again => {
            Cow::Owned(format!("{front}headers. retried and the latest {back}"))
        }
        _ => Cow::Borrowed(body),
    }
}

/// Where it says so.
const LATEST: &str = "headers. ";

/// After an overflow: long enough for a burst to pass, short enough for nobody to give up.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl Cause {
    /// Its flag as a set.
    #[must_use]
    pub fn flags(self) -> FlagSet {
        self.row().flag.into()
    }
}
