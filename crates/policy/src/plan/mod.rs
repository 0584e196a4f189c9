//! What the operator decided for a cluster, as values that cannot be wrong: limits, timeouts,
//! retries, keep-alive. Made by `config`, read by every machine of this crate. Units are in the
//! types; the defaults here are the documented ones.

mod overload;

use std::num::NonZeroU32;
use std::time::Duration;

pub use overload::*;

/// Everything about how a cluster is treated. One immutable value, shared by a snapshot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClusterPlan {
    /// Connection and request limits.
    pub limits: Limits,
    /// Idle connections: how long, and what is learned.
    pub keep_alive: KeepAlivePlan,
    /// Time limits of attempts and requests. A route's `timeouts` override them.
    pub timeouts: Timeouts,
    /// When a failed attempt is made again. A route's `retry` replaces it whole.
    pub retry: RetryPlan,
    /// TCP keep-alive probes on upstream connections; `None` switches them off.
    pub tcp_keepalive: Option<TcpKeepalive>,
    /// Which endpoint is next.
    pub balance: Balance,
    /// A new or returned endpoint gets its full share only after this long; `None` is at once.
    pub slow_start: Option<Duration>,
    /// Below this share of endpoints in service (in percent), all are used. Default 50.
    pub panic_threshold: Percent,
    /// How requests wait for a connection.
    pub queue: QueuePlan,
    /// How much may be retries and hedges.
    pub retry_budget: RetryBudgetPlan,
    /// Hedging; `None` is none.
    pub hedge: Option<HedgePlan>,
    /// Which endpoints sit out.
    pub outlier: OutlierPlan,
    /// Active health checks; `None` is none.
    pub health: Option<HealthPlan>,
    /// A limit of requests in flight per endpoint that follows its latency; `None` is none.
    pub adaptive: Option<AdaptivePlan>,
    /// Whether requests in flight to an endpoint that is saturated are bounded, where `adaptive` is `None`.
    pub saturation_guard: SaturationGuard,
    /// What becomes of malformed responses that can be mended.
    pub malformed_responses: MalformedResponses,
    /// Most bytes of a request's body; `None` is no limit.
    pub request_body_max: Option<u64>,
}

/// Whether a saturated endpoint is noticed and what is in flight to it bounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SaturationGuard {
    /// It is.
    On,
    /// It is not.
    #[default]
    Off,
}

/// What becomes of a response that is not as RFC 9112 has it, but that nobody can read in two ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MalformedResponses {
    /// It is mended, and its connection not used again.
    #[default]
    Mend,
    /// The client is answered with 502.
    Refuse,
}

/// A share in percent, 0 to 100. Default 50.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percent(pub u32);

impl Default for Percent {
    fn default() -> Self {
        Self(50)
    }
}

/// Limits, each exact over all workers. Names and defaults are Envoy Gateway's `circuitBreaker`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most connections open or opening to the cluster.
    pub max_connections: u32,
    /// Most requests waiting for a connection.
    pub max_pending_requests: u32,
    /// Most requests in flight.
    pub max_parallel_requests: u32,
    /// Most retries in flight.
    pub max_parallel_retries: u32,
    /// A connection is closed after this many requests; `None` is no limit.
    pub max_requests_per_connection: Option<NonZeroU32>,
    /// Most connections to one endpoint; `None` is no limit of its own.
    pub max_connections_per_endpoint: Option<u32>,
    /// A connection this old is closed instead of being reused; `None` is no limit.
    pub max_connection_duration: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            max_pending_requests: 1024,
            max_parallel_requests: 1024,
            max_parallel_retries: 1024,
            max_requests_per_connection: None,
            max_connections_per_endpoint: None,
            max_connection_duration: None,
        }
    }
}

/// What is done with idle connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeepAlivePlan {
    /// An idle connection is closed after this long. Default 60 s.
    pub idle_timeout: Duration,
    /// Whether close times and hints shape the reuse limit.
    pub learning: Learning,
    /// Safety added to one round trip before a learned close time. Default 20 ms.
    pub margin: Duration,
    /// Bytes of a request kept for replay. Default 64 KiB; 0 replays bodiless requests only.
    pub replay_bytes: usize,
}

impl Default for KeepAlivePlan {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(60),
            learning: Learning::On,
            margin: Duration::from_millis(20),
            replay_bytes: 64 * 1024,
        }
    }
}

/// Whether the pool learns when an endpoint closes idle connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Learning {
    /// Hints and observed closes set the reuse limit.
    #[default]
    On,
    /// Only the configured idle timeout does.
    Off,
}

/// Time limits; `None` is no limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeouts {
    /// Opening a connection; also how long a sent request may stay unacknowledged. Default 5 s.
    pub connect: Duration,
    /// One attempt, from checkout, or the request's last byte if that comes later, to the response head's
    /// end (Gateway API `backendRequest`).
    pub per_try: Option<Duration>,
    /// The whole exchange with all attempts, from the request's last byte on (Gateway API `request`).
    pub request: Option<Duration>,
    /// No byte in either direction for this long ends the exchange. Default 5 min.
    pub stream_idle: Option<Duration>,
    /// The request timeout follows what is usual, where `request` is `None`.
    pub auto: Option<AutoTimeout>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            per_try: None,
            request: None,
            stream_idle: Some(Duration::from_secs(300)),
            auto: None,
        }
    }
}

/// TCP keep-alive probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpKeepalive {
    /// Silence before the first probe. Default 30 s.
    pub idle: Duration,
    /// Between probes. Default 10 s.
    pub interval: Duration,
    /// Unanswered probes before the connection is dead. Default 3.
    pub probes: u32,
}

impl Default for TcpKeepalive {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(30),
            interval: Duration::from_secs(10),
            probes: 3,
        }
    }
}

/// When a failed attempt is made again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RetryPlan {
    /// Nothing was configured: replay of any method when proven unapplied, and one transparent
    /// retry of idempotent or keyed requests on a reset.
    #[default]
    Transparent,
    /// The owner's `retry`, which replaces all of the above.
    Owner(OwnerRetry),
}

/// A `retry` block of HTTPRoute or BackendTrafficPolicy. `attempts: 0` is none at all, proven
/// replays included; otherwise every method is retried, as the owner asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerRetry {
    /// Most attempts after the first.
    pub attempts: u32,
    /// Pause before a retry (full jitter on top of half of it); `None` retries at once.
    pub backoff: Option<Duration>,
    /// Longest pause; `None` is ten times `backoff`.
    pub backoff_max: Option<Duration>,
    /// Conditions that make an attempt a failure worth retrying.
    pub on: RetryOn,
    /// What becomes of requests that are neither idempotent nor keyed. Default: they are retried, too.
    pub unsafe_methods: UnsafeMethods,
}

/// What an owner's retries do with requests that are neither idempotent (RFC 9110, 9.2.2) nor carry an
/// `Idempotency-Key`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnsafeMethods {
    /// They are retried like others, so one may be applied more than once.
    #[default]
    Retry,
    /// They are only sent again where it is proven that they were not applied.
    ProvenOnly,
}

/// Retry conditions, by Envoy's names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetryOn {
    /// `reset`: the connection died before the response head.
    pub reset: bool,
    /// `connect-failure`.
    pub connect_failure: bool,
    /// `reset-before-request`: died and proven unapplied.
    pub reset_before_request: bool,
    /// Per-try timeout (part of Envoy's `5xx` and `gateway-error`).
    pub timeout: bool,
    /// Response statuses, sorted.
    pub statuses: Vec<u16>,
}

/// Which endpoint is next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// The one with fewer requests in flight of two drawn by chance.
    #[default]
    LeastRequest,
    /// The one with the lower product of latency and requests in flight of two drawn by chance.
    PeakEwma,
    /// Each in turn.
    RoundRobin,
    /// By chance.
    Random,
    /// The same one for the same key, as far as it is in service.
    ConsistentHash(HashPlan),
}

/// Consistent hashing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashPlan {
    /// What is hashed. A request without it goes by chance.
    pub on: HashOn,
    /// How keys are spread.
    pub table: HashTable,
}

/// What a request is hashed by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashOn {
    /// The client's address.
    Source,
    /// The values of these fields, names in lower case.
    Headers(Vec<String>),
    /// A cookie's value. With a lifetime the cookie is made where it is missing.
    Cookie {
        /// Its name.
        name: String,
        /// How long a cookie that we make lives; `None` makes none.
        ttl: Option<Duration>,
    },
}

/// How keys are spread over endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashTable {
    /// Maglev's lookup table, of this prime size. Default 65,537.
    Maglev(u32),
    /// A ring, with at least this many points.
    Ring(u32),
}
