//! What keeps a slow or failing endpoint from taking others down: the queue, retry budgets,
//! hedging, ejection, health checks, adaptive limits, rate limits. Defaults are the documented ones.

use std::num::NonZeroU32;
use std::time::Duration;

/// How requests wait for a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuePlan {
    /// A queue that has not been empty for this long is overloaded. Default 100 ms.
    pub interval: Duration,
    /// A request that has waited this long is refused. Default 1 s; never past its own timeouts.
    pub patience: Duration,
}

impl Default for QueuePlan {
    fn default() -> Self {
        Self {
            interval: Duration::from_millis(100),
            patience: Duration::from_secs(1),
        }
    }
}

/// How much of a cluster's traffic may be retries and hedges. Replays with proof are neither.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RetryBudgetPlan {
    /// A share of the requests begun within the last `interval`, and at least `floor` in it.
    /// (Gateway API `retryConstraint`.) The default: 20 % of one second, at least 10, and a burst of 50.
    Rate {
        /// 0 to 1.
        share: f64,
        /// What `share` is taken of.
        interval: Duration,
        /// As many are always allowed within an interval.
        floor: u32,
        /// So many may come together where there were fewer before: they regain at the floor's rate,
        /// and each retry takes one, so that a steady outage has none of them. It is what a retry that
        /// an owner configured needs where a few clients meet a few failures. 0 is none.
        burst: u32,
    },
    /// A share of the requests in flight, and at least `floor` at once. (Envoy `retryBudget`.)
    Parallel {
        /// 0 to 1.
        share: f64,
        /// As many are always allowed at once.
        floor: u32,
    },
}

impl Default for RetryBudgetPlan {
    fn default() -> Self {
        Self::Rate {
            share: 0.2,
            interval: Duration::from_secs(1),
            floor: 10,
            burst: 50,
        }
    }
}

/// Hedging: an idempotent request that takes longer than most is sent a second time, to another
/// endpoint; whoever answers first is heard.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HedgePlan {
    /// The share of requests that are faster than the wait before a hedge, 0.5 to 0.999.
    /// Default 0.95.
    pub quantile: f64,
    /// The wait is never shorter. Default 5 ms.
    pub least: Duration,
}

impl Default for HedgePlan {
    fn default() -> Self {
        Self {
            quantile: 0.95,
            least: Duration::from_millis(5),
        }
    }
}

/// The request timeout follows what is usual: p99 times `factor`, within bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AutoTimeout {
    /// Times the p99 of complete responses. Default 5.
    pub factor: f64,
    /// Never shorter. Default 1 s.
    pub least: Duration,
    /// Never longer, and what holds until enough is known. Default 60 s.
    pub most: Duration,
}

impl Default for AutoTimeout {
    fn default() -> Self {
        Self {
            factor: 5.0,
            least: Duration::from_secs(1),
            most: Duration::from_secs(60),
        }
    }
}

/// Outlier ejection, by Envoy Gateway's `healthCheck.passive`. A keep-alive race never counts.
#[derive(Clone, Debug, PartialEq)]
pub struct OutlierPlan {
    /// How often rates are looked at and ejections end. Default 3 s.
    pub interval: Duration,
    /// 5xx answers in a row, local failures included unless they are split; 0 is off. Default 0: a bug
    /// that answers 500 is rarely cured by asking another endpoint.
    pub consecutive_5xx: u32,
    /// 502, 503 and 504 answers in a row; 0 is off. Default 5.
    pub consecutive_gateway: u32,
    /// Connects, resets and timeouts in a row; 0 is off. Default 5.
    pub consecutive_local: u32,
    /// Local failures count apart from answers. Default true.
    pub split_local: bool,
    /// An endpoint whose success rate is this many standard deviations (in thousandths) below the
    /// mean is ejected; 0 is off. Default 0 (Envoy's usual 1900).
    pub success_rate_factor: u32,
    /// An endpoint that fails this share of its requests is ejected, in percent; 0 is off. Default 0.
    pub failure_percentage: u32,
    /// Requests within an interval below which rates are not looked at. Default 50.
    pub rate_requests_min: u32,
    /// The first ejection's length; the `n`th in a row lasts `n` times as long. Default 10 s.
    pub base_ejection: Duration,
    /// The longest. Default 300 s.
    pub max_ejection: Duration,
    /// At most this share of the endpoints sits out at once, in percent. Default 50.
    pub max_ejection_percent: u32,
}

impl Default for OutlierPlan {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(3),
            consecutive_5xx: 0,
            consecutive_gateway: 5,
            consecutive_local: 5,
            split_local: true,
            success_rate_factor: 0,
            failure_percentage: 0,
            rate_requests_min: 50,
            base_ejection: Duration::from_secs(10),
            max_ejection: Duration::from_secs(300),
            max_ejection_percent: 50,
        }
    }
}

/// Active health checks, by Envoy Gateway's `healthCheck.active`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthPlan {
    /// A check takes no longer. Default 1 s.
    pub timeout: Duration,
    /// Between checks of an endpoint. Default 3 s.
    pub interval: Duration,
    /// The first check comes within this, by chance. Default: `interval`.
    pub initial_jitter: Duration,
    /// Failed checks in a row that take an endpoint out. Default 3.
    pub unhealthy_threshold: NonZeroU32,
    /// Good checks in a row that take it in again. Default 1.
    pub healthy_threshold: NonZeroU32,
    /// The port to check, if it is not the endpoint's.
    pub port: Option<u16>,
    /// What is checked.
    pub probe: HealthProbe,
}

/// What a health check does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthProbe {
    /// A connection opens; if `send` is not empty it is sent, and the answer must contain `receive`.
    Tcp {
        /// Bytes to send.
        send: Vec<u8>,
        /// Bytes that must be in the answer, in one piece.
        receive: Vec<u8>,
    },
    /// A request is answered.
    Http {
        /// Host field; `None` is the endpoint's address.
        host: Option<String>,
        /// Path.
        path: String,
        /// Method. Default GET.
        method: String,
        /// Statuses that are good. Default 200.
        statuses: Vec<u16>,
        /// Statuses that count as failed only when the threshold is reached.
        retriable: Vec<u16>,
        /// Bytes that must be in the body, in one piece; empty is any body.
        receive: Vec<u8>,
    },
}

/// An adaptive limit of requests in flight to an endpoint, from the gradient of its latency.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdaptivePlan {
    /// Never fewer. Default 4.
    pub least: u32,
    /// Never more. Default 1024.
    pub most: u32,
    /// How much slower than at rest is borne, as a factor. Default 1.5.
    pub tolerance: f64,
}

impl Default for AdaptivePlan {
    fn default() -> Self {
        Self {
            least: 4,
            most: 1024,
            tolerance: 1.5,
        }
    }
}

/// A local rate limit: every rule that matches a request bounds it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateLimitPlan {
    /// In their order.
    pub rules: Vec<RateRule>,
}

/// One rule of a rate limit. All its conditions must hold; none is every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateRule {
    /// Fields that must match; names in lower case.
    pub headers: Vec<(String, FieldTest)>,
    /// Networks the client's address must be in, as address and prefix length; empty is any.
    pub sources: Vec<(std::net::IpAddr, u8)>,
    /// Each value of these has a bucket of its own.
    pub distinct: Distinct,
    /// Where each client has a bucket of its own: how much of its address that goes by.
    pub client: ClientPrefix,
    /// Requests a bucket holds and regains within `per`.
    pub requests: NonZeroU32,
    /// Default 1 s.
    pub per: Duration,
}

/// How many bits of a client's address tell it from others. Default: all 32 of IPv4; 64 of IPv6, since
/// a network of that size is what one household or machine is given (RFC 6177), and who could change
/// address within it would have a full bucket each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientPrefix {
    /// Of an IPv4 address, 0 to 32.
    pub v4: u8,
    /// Of an IPv6 address, 0 to 128.
    pub v6: u8,
}

impl Default for ClientPrefix {
    fn default() -> Self {
        Self { v4: 32, v6: 64 }
    }
}

/// What a field must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldTest {
    /// There, with any value.
    Present,
    /// This value.
    Exact(String),
}

/// What has a bucket of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Distinct {
    /// All requests share one.
    #[default]
    Shared,
    /// Each client, by the part of its address that [`RateRule::client`] says.
    Client,
    /// Each value of this field (lower case); requests without it share one.
    Header(String),
}
