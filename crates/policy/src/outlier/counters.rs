//! Why endpoints are ejected, and how often: Envoy's names, so that dashboards carry over.

use super::Outcome;

/// What an ejection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// 5xx answers in a row.
    Consecutive5xx,
    /// 502, 503 and 504 answers in a row.
    ConsecutiveGatewayFailure,
    /// Connects, resets and timeouts in a row, where they are split.
    ConsecutiveLocalOriginFailure,
    /// It answers well less often than the others.
    SuccessRate,
    /// It answers at all less often than the others, where local failures are split.
    LocalOriginSuccessRate,
    /// Too large a share of its answers are failures.
    FailurePercentage,
    /// Too large a share of its attempts are not answered, where local failures are split.
    FailurePercentageLocalOrigin,
}

impl Cause {
    /// Each of them, in the order of [`OutlierCounters`].
    pub const ALL: [Self; 7] = [
        Self::Consecutive5xx,
        Self::ConsecutiveGatewayFailure,
        Self::ConsecutiveLocalOriginFailure,
        Self::SuccessRate,
        Self::LocalOriginSuccessRate,
        Self::FailurePercentage,
        Self::FailurePercentageLocalOrigin,
    ];

    /// What follows `ejections_enforced_` and `ejections_detected_` in Envoy's counters.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Consecutive5xx => "consecutive_5xx",
            Self::ConsecutiveGatewayFailure => "consecutive_gateway_failure",
            Self::ConsecutiveLocalOriginFailure => "consecutive_local_origin_failure",
            Self::SuccessRate => "success_rate",
            Self::LocalOriginSuccessRate => "local_origin_success_rate",
            Self::FailurePercentage => "failure_percentage",
            Self::FailurePercentageLocalOrigin => "failure_percentage_local_origin",
        }
    }

    /// Whether an outcome shows that what the endpoint was ejected for is over.
    pub(super) fn is_disproved_by(self, outcome: Outcome) -> bool {
        match (self, outcome) {
            (_, Outcome::Local) => false,
            // It was not reached, and now it was, whatever it says.
            (
                Self::ConsecutiveLocalOriginFailure
                | Self::LocalOriginSuccessRate
                | Self::FailurePercentageLocalOrigin,
                Outcome::Status(_),
            ) => true,
            (
                Self::Consecutive5xx
                | Self::ConsecutiveGatewayFailure
                | Self::SuccessRate
                | Self::FailurePercentage,
                Outcome::Status(status),
            ) => status < 500,
        }
    }
}

/// Counters under `outlier_detection.`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutlierCounters {
    /// Ejections.
    pub ejections_enforced_total: u64,
    /// Ejections that did not happen because too many were out, or there was no other endpoint.
    pub ejections_overflow: u64,
    /// `ejections_detected_*`: reasons to eject, whether it happened or not. Index: a [`Cause`].
    pub detected: [u64; Cause::ALL.len()],
    /// `ejections_enforced_*`: ejections. Index: a [`Cause`].
    pub enforced: [u64; Cause::ALL.len()],
}
