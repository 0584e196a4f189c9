//! The counters of a cluster: names, meanings, and where they are counted.

use policy::cluster::Counters;

/// A counter that Envoy has too.
pub(super) struct ClusterCounter {
    /// Envoy's name.
    pub(super) name: &'static str,
    /// The Prometheus family.
    pub(super) family: &'static str,
    pub(super) help: &'static str,
    pub(super) read: fn(&Counters) -> u64,
}

/// Envoy's family, or ours where Envoy has none.
const fn family(envoys: &'static str, ours: &[&'static str]) -> &'static str {
    match ours {
        [ours] => ours,
        _ => envoys,
    }
}

/// The label that holds the cluster's name.
pub(super) fn label(family: &str) -> &'static str {
    if family.starts_with("envoy_") {
        "envoy_cluster_name"
    } else {
        "cluster"
    }
}

macro_rules! cluster_counters {
    ($($field:ident $help:literal $($ours:literal)?)*) => {
        /// Those of Envoy, and those that stand among them in the text form by names of ours.
        pub(super) const CLUSTER: &[ClusterCounter] = &[$(ClusterCounter {
            name: concat!("upstream_", stringify!($field)),
            family: family(concat!("envoy_cluster_upstream_", stringify!($field)), &[$($ours)?]),
            help: $help,
            read: |counters| counters.$field,
        },)*];
    };
}

cluster_counters! {
    cx_total "Connections opened."
    cx_connect_fail "Connections that could not be opened."
    cx_connect_timeout "Connects that took longer than the connect timeout."
    cx_idle_timeout "Connections closed after the idle timeout."
    cx_max_duration_reached "Connections closed for their age."
    cx_max_requests "Connections closed after their last allowed request."
    cx_overflow "Times that a connection limit was met."
    cx_none_healthy "Requests refused for want of an endpoint."
    cx_protocol_error "Connections closed for a malformed response."
    cx_destroy "Connections closed."
    cx_destroy_local "Connections closed by us."
    cx_destroy_remote "Connections closed by the upstream."
    cx_destroy_with_active_rq "Connections closed with a request in flight."
    cx_destroy_local_with_active_rq "Connections closed by us with a request in flight."
    cx_destroy_remote_with_active_rq "Connections closed by the upstream with a request in flight."
    cx_rx_bytes_total "Bytes received from the upstream."
    cx_tx_bytes_total "Bytes sent to the upstream."
    rq_total "Requests sent, every attempt counted."
    rq_completed "Responses received to their end."
    rq_cancelled "Requests that ended before they had a connection."
    rq_pending_total "Requests that waited for a connection."
    rq_pending_overflow "Requests refused because a limit was met."
    rq_pending_failure_eject "Waiting requests failed by a failed connect."
    rq_timeout "Requests ended by their whole-request timeout."
    rq_per_try_timeout "Attempts ended by the per-try timeout."
    rq_rx_reset "Attempts that the upstream reset."
    rq_tx_reset "Attempts that we reset."
    rq_retry "Attempts made again, proven replays not counted."
    rq_retry_success "Attempts made again that were answered."
    rq_retry_overflow "Retries not made because a limit was met."
    rq_retry_limit_exceeded "Requests that failed with their retries used up."
    rq_mended "Malformed responses that were mended."
    rq_hedge "Hedges made: second attempts beside one that takes longer than most." "evenkeel_hedges_total"
    rq_hedge_won "Hedges that answered first." "evenkeel_hedges_won_total"
    rq_mirror "Copies of requests sent for a RequestMirror." "evenkeel_mirrors_total"
    rq_mirror_failed "Copies that got no response." "evenkeel_mirrors_failed_total"
    rq_mirror_too_large "Requests not mirrored because their body is larger than the replay copy." "evenkeel_mirrors_too_large_total"
}

/// A counter that no other proxy has.
pub(super) struct RaceCounter {
    /// The name in the text form.
    pub(super) name: &'static str,
    /// The Prometheus family.
    pub(super) family: &'static str,
    /// The layer that absorbed the race, where the family is told apart by it.
    pub(super) layer: Option<&'static str>,
    pub(super) help: &'static str,
    pub(super) read: fn(&Counters) -> u64,
}

macro_rules! race_counters {
    ($($field:ident $family:literal $layer:expr, $help:literal)*) => {
        /// Those of ours.
        pub(super) const RACE: &[RaceCounter] = &[$(RaceCounter {
            name: stringify!($field),
            family: $family,
            layer: $layer,
            help: $help,
            read: |counters| counters.$field,
        },)*];
    };
}

race_counters! {
    race_met "evenkeel_race_met_total" None,
        "Requests that met a connection which the upstream was closing."
    race_checked "evenkeel_race_absorbed_total" Some("checkout"),
        "Races that no client saw, by the layer that absorbed them."
    race_replayed "evenkeel_race_absorbed_total" Some("replay"),
        "Races that no client saw, by the layer that absorbed them."
    race_failed "evenkeel_race_failed_total" None,
        "Races that a client saw."
    race_avoided "evenkeel_race_avoided_total" None,
        "Requests kept away from a connection that was past the reuse limit."
    race_priced "evenkeel_race_priced_total" None,
        "Requests given a safer connection because they could not be sent twice."
    idle_closed_by_peer "evenkeel_idle_closed_by_peer_total" None,
        "Idle connections that the upstream closed while nobody used them."
    taken_over "evenkeel_taken_over_total" None,
        "Idle connections that one worker took over from another."
}
