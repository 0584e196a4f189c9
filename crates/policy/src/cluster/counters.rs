//! What a cluster counts, for `/stats`.

/// Counters of a cluster, by Envoy's names (`cluster.<name>.upstream_<name>`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "the names are Envoy's and documented in docs/metrics.md"
)]
pub struct Counters {
    pub cx_total: u64,
    pub cx_connect_fail: u64,
    pub cx_connect_timeout: u64,
    pub cx_idle_timeout: u64,
    pub cx_max_duration_reached: u64,
    pub cx_max_requests: u64,
    pub cx_overflow: u64,
    pub cx_none_healthy: u64,
    pub cx_protocol_error: u64,
    pub cx_destroy: u64,
    pub cx_destroy_local: u64,
    pub cx_destroy_remote: u64,
    pub cx_destroy_with_active_rq: u64,
    pub cx_destroy_local_with_active_rq: u64,
    pub cx_destroy_remote_with_active_rq: u64,
    pub cx_rx_bytes_total: u64,
    pub cx_tx_bytes_total: u64,
    pub rq_total: u64,
    pub rq_completed: u64,
    pub rq_cancelled: u64,
    pub rq_pending_total: u64,
    pub rq_pending_overflow: u64,
    pub rq_pending_failure_eject: u64,
    pub rq_timeout: u64,
    pub rq_per_try_timeout: u64,
    pub rq_rx_reset: u64,
    pub rq_tx_reset: u64,
    pub rq_retry: u64,
    pub rq_retry_success: u64,
    pub rq_retry_overflow: u64,
    pub rq_retry_limit_exceeded: u64,
    /// Responses by class: index 1 is 1xx … 5 is 5xx; 0 is unused.
    pub rq_class: [u64; 6],
    /// Responses by exact status, filled as they are seen.
    pub rq_status: std::collections::BTreeMap<u16, u64>,
    /// Milliseconds from an attempt's begin to its response head, summed over `rq_completed`.
    pub rq_time_ms_total: u64,
    // What no other proxy counts: the race.
    /// Requests that met a closing connection (found dead at checkout, or died on it).
    pub race_met: u64,
    /// … of these, avoided by looking at checkout (layer 2).
    pub race_checked: u64,
    /// … replayed with proof (layer 4), or by idempotence.
    pub race_replayed: u64,
    /// … that the client saw.
    pub race_failed: u64,
    /// Requests that the reuse limit kept away from a connection past it (layer 1).
    pub race_avoided: u64,
    /// Requests that were given a fresh connection or a two-step write for their risk (layer 3).
    pub race_priced: u64,
    /// Idle connections closed by the peer while nobody used them.
    pub idle_closed_by_peer: u64,
    /// Idle connections that were taken over from another worker.
    pub taken_over: u64,
}
