//! What the operator decided for a cluster, as values that cannot be wrong: limits, timeouts,
//! retries, keep-alive. Made by `config`, read by every machine of this crate. Units are in the
//! types; the defaults here are the documented ones.

use std::num::NonZeroU32;
use std::time::Duration;

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Opening a connection; also how long a sent request may stay unacknowledged. Default 5 s.
    pub connect: Duration,
    /// One attempt, from checkout to the response head's end (Gateway API `backendRequest`).
    pub per_try: Option<Duration>,
    /// The whole exchange, all attempts (Gateway API `request`).
    pub request: Option<Duration>,
    /// No byte in either direction for this long ends the exchange. Default 5 min.
    pub stream_idle: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            per_try: None,
            request: None,
            stream_idle: Some(Duration::from_secs(300)),
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// The one with fewer requests in flight of two drawn by chance.
    #[default]
    LeastRequest,
    /// Each in turn.
    RoundRobin,
    /// By chance.
    Random,
}
