//! Every metric there is: what `/stats` calls it, what Prometheus calls it, what it means.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use policy::cluster::{Address, Cluster, Counters, EndpointReport, Gauges};
use policy::plan::Limits;
use policy::time::Moment;

use super::WorkerStats;
use super::histogram::Summary;
use super::meter::{ClusterSummaries, DownstreamTotals, Kind, LogCounts};

/// A cluster as the admin shows it.
#[derive(Clone, Debug)]
pub struct ClusterView {
    /// Its name.
    pub name: String,
    /// Its limits.
    pub limits: Limits,
    /// What it has counted.
    pub counters: Counters,
    /// What it holds.
    pub gauges: Gauges,
    /// Its endpoints, and what was learned of them.
    pub endpoints: Vec<EndpointReport>,
}

impl ClusterView {
    /// Copies what is shown, so that no lock is held while it is written.
    #[must_use]
    pub fn of(name: &str, cluster: &Cluster, limits: &Limits, now: Moment) -> Self {
        Self {
            name: name.to_owned(),
            limits: limits.clone(),
            counters: cluster.counters.clone(),
            gauges: cluster.gauges(),
            endpoints: cluster.describe(now),
        }
    }
}

/// An address in one line, whatever a socket's path is made of.
pub(crate) fn shown(address: &Address) -> String {
    match address {
        Address::Ip(address) => address.to_string(),
        Address::Unix(path) => path.to_string_lossy().replace(char::is_control, "?"),
    }
}

/// How far the process is in its life, in Envoy's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// It does not listen yet.
    PreInitializing,
    /// It serves.
    Live,
    /// It ends, or was told to look as if it did.
    Draining,
}

impl Liveness {
    /// The word that `/ready` answers.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::PreInitializing => "PRE_INITIALIZING",
            Self::Live => "LIVE",
            Self::Draining => "DRAINING",
        }
    }

    /// Envoy's number for it (`server.state`).
    const fn number(self) -> u64 {
        match self {
            Self::Live => 0,
            Self::Draining => 1,
            Self::PreInitializing => 2,
        }
    }
}

/// The process as the admin shows it.
#[derive(Clone, Copy, Debug)]
pub struct ServerView {
    /// How far it is.
    pub state: Liveness,
    /// Since it started.
    pub uptime: Duration,
    /// Worker threads.
    pub workers: usize,
}

/// All numbers at one time.
#[derive(Clone, Debug)]
pub struct Snapshot {
    samples: Vec<Sample>,
}

/// One number, by both of its names.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// Envoy's dotted name.
    pub(super) name: String,
    /// The Prometheus family.
    pub(super) family: Cow<'static, str>,
    /// Prometheus labels; the values are escaped when they are written.
    pub(super) labels: Vec<(&'static str, String)>,
    pub(super) help: &'static str,
    pub(super) value: Value,
}

/// A sample's value.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Counter(u64),
    Gauge(u64),
    /// Milliseconds in the text form, seconds for Prometheus.
    Span(Duration),
    /// In milliseconds, as Envoy's are.
    Times(Summary),
}

impl Snapshot {
    /// Reads every number: of the process, of all workers, and of the clusters given.
    #[must_use]
    pub fn read(
        server: ServerView,
        clusters: &[ClusterView],
        workers: &[Arc<WorkerStats>],
        log: &LogCounts,
    ) -> Self {
        let mut snapshot = Self { samples: Vec::new() };
        snapshot.server(server);
        snapshot.log(log);
        snapshot.downstream(&super::downstream(workers));
        for cluster in clusters {
            snapshot.cluster(cluster);
            snapshot.times(&cluster.name, &super::cluster(workers, &cluster.name));
            snapshot.race(cluster);
        }
        snapshot.samples.sort_by(|one, two| one.name.cmp(&two.name));
        snapshot
    }

    pub(super) fn samples(&self) -> &[Sample] {
        &self.samples
    }

    fn server(&mut self, server: ServerView) {
        let gauges = [
            (
                "live",
                u64::from(server.state == Liveness::Live),
                "1 while new requests are welcome.",
            ),
            (
                "state",
                server.state.number(),
                "0 live, 1 draining, 2 not listening yet.",
            ),
            (
                "uptime",
                server.uptime.as_secs(),
                "Seconds since the process started.",
            ),
            ("concurrency", server.workers as u64, "Worker threads."),
        ];
        for (name, value, help) in gauges {
            self.plain("server", name, help, Value::Gauge(value));
        }
    }

    fn log(&mut self, counts: &LogCounts) {
        let dropped = "Access log lines lost: the queue was full, or a write failed.";
        let counters = [
            (
                "access_log",
                "written",
                &counts.written,
                "Access log lines written.",
            ),
            ("access_log", "dropped", &counts.dropped, dropped),
            (
                "filesystem",
                "write_failed",
                &counts.write_failed,
                "Writes of the access log that failed.",
            ),
            (
                "filesystem",
                "reopen_failed",
                &counts.reopen_failed,
                "Reopenings of the access log that failed.",
            ),
        ];
        for (root, name, count, help) in counters {
            self.plain(root, name, help, Value::Counter(count.load(Relaxed)));
        }
    }

    fn downstream(&mut self, totals: &DownstreamTotals) {
        let mut tell = |name: &str, family: Cow<'static, str>, class: Option<usize>, help, value| {
            let mut labels = vec![("envoy_http_conn_manager_prefix", "ingress".to_owned())];
            labels.extend(class.map(|class| ("envoy_response_code_class", class.to_string())));
            let name = format!("http.ingress.{name}");
            self.samples.push(Sample {
                name,
                family,
                labels,
                help,
                value,
            });
        };
        for reading in &totals.readings {
            let value = match reading.kind {
                Kind::Counter => Value::Counter(reading.value),
                Kind::Gauge => Value::Gauge(reading.value),
            };
            let family = format!("envoy_http_{}", reading.name);
            tell(reading.name, family.into(), None, reading.help, value);
        }
        for (class, &count) in totals.rq_class.iter().enumerate().skip(1) {
            let name = format!("downstream_rq_{class}xx");
            let help = "Responses sent, by class of their status.";
            tell(
                &name,
                "envoy_http_downstream_rq_xx".into(),
                Some(class),
                help,
                Value::Counter(count),
            );
        }
        let times = [
            (
                "downstream_rq_time",
                &totals.rq_time,
                "From a request's first byte to its end, in ms.",
            ),
            (
                "downstream_cx_length_ms",
                &totals.cx_length_ms,
                "From a connection's accept to its end, in ms.",
            ),
        ];
        for (name, summary, help) in times {
            tell(
                name,
                format!("envoy_http_{name}").into(),
                None,
                help,
                Value::Times(summary.clone()),
            );
        }
    }

    fn cluster(&mut self, cluster: &ClusterView) {
        for (name, help, read) in CLUSTER_COUNTERS {
            self.of_cluster(&cluster.name, name, help, Value::Counter(read(&cluster.counters)));
        }
        let gauges = [
            (
                "upstream_cx_active",
                cluster.gauges.cx_active,
                "Connections open or opening.",
            ),
            (
                "upstream_rq_active",
                cluster.gauges.rq_active,
                "Requests in flight.",
            ),
            (
                "upstream_rq_pending_active",
                cluster.gauges.rq_pending_active,
                "Requests that wait for a connection.",
            ),
            (
                "upstream_rq_retry_active",
                cluster.gauges.rq_retry_active,
                "Retries in flight.",
            ),
            (
                "membership_total",
                cluster.gauges.membership_total,
                "Endpoints of the configuration.",
            ),
        ];
        for (name, value, help) in gauges {
            self.of_cluster(&cluster.name, name, help, Value::Gauge(value));
        }
        let mut coded = |name: String, family: &'static str, label: (&'static str, String), help, count| {
            let name = format!("cluster.{}.{name}", cluster.name);
            let labels = vec![label, ("envoy_cluster_name", cluster.name.clone())];
            self.samples.push(Sample {
                name,
                family: family.into(),
                labels,
                help,
                value: Value::Counter(count),
            });
        };
        for (class, &count) in cluster.counters.rq_class.iter().enumerate().skip(1) {
            let label = ("envoy_response_code_class", class.to_string());
            let help = "Responses of the upstream, by class of their status.";
            coded(
                format!("upstream_rq_{class}xx"),
                "envoy_cluster_upstream_rq_xx",
                label,
                help,
                count,
            );
        }
        for (status, &count) in &cluster.counters.rq_status {
            let label = ("envoy_response_code", status.to_string());
            let help = "Responses of the upstream, by status.";
            coded(
                format!("upstream_rq_{status}"),
                "envoy_cluster_upstream_rq",
                label,
                help,
                count,
            );
        }
    }

    fn times(&mut self, cluster: &str, summaries: &ClusterSummaries) {
        let rq = "From a request's first byte upstream to its response's last, in ms.";
        let times = [
            ("upstream_rq_time", &summaries.rq_time, rq),
            (
                "upstream_cx_connect_ms",
                &summaries.cx_connect_ms,
                "From a connect's begin to its success, in ms.",
            ),
            (
                "upstream_cx_length_ms",
                &summaries.cx_length_ms,
                "From a connection's opening to its end, in ms.",
            ),
        ];
        for (name, summary, help) in times {
            self.of_cluster(cluster, name, help, Value::Times(summary.clone()));
        }
    }

    /// What no other proxy counts.
    fn race(&mut self, cluster: &ClusterView) {
        for (name, family, layer, help, read) in RACE_COUNTERS {
            let mut labels = vec![("cluster", cluster.name.clone())];
            labels.extend(layer.map(|layer| ("layer", layer.to_owned())));
            let name = format!("cluster.{}.evenkeel.{name}", cluster.name);
            let value = Value::Counter(read(&cluster.counters));
            self.samples.push(Sample {
                name,
                family: (*family).into(),
                labels,
                help,
                value,
            });
        }
        for endpoint in &cluster.endpoints {
            let address = shown(&endpoint.address);
            self.samples.push(Sample {
                name: format!(
                    "cluster.{}.evenkeel.endpoint.{address}.reuse_limit_ms",
                    cluster.name
                ),
                family: "evenkeel_reuse_limit_seconds".into(),
                labels: vec![("cluster", cluster.name.clone()), ("endpoint", address)],
                help: "Idle age from which a connection to the endpoint is not used for requests again.",
                value: Value::Span(endpoint.knowledge.limit.reuse),
            });
        }
    }

    fn plain(&mut self, root: &str, name: &str, help: &'static str, value: Value) {
        let family = format!("envoy_{root}_{name}").into();
        self.samples.push(Sample {
            name: format!("{root}.{name}"),
            family,
            labels: Vec::new(),
            help,
            value,
        });
    }

    fn of_cluster(&mut self, cluster: &str, name: &str, help: &'static str, value: Value) {
        self.samples.push(Sample {
            name: format!("cluster.{cluster}.{name}"),
            family: format!("envoy_cluster_{name}").into(),
            labels: vec![("envoy_cluster_name", cluster.to_owned())],
            help,
            value,
        });
    }
}

/// Name, meaning, and where it is counted.
type ClusterCounter = (&'static str, &'static str, fn(&Counters) -> u64);

const CLUSTER_COUNTERS: &[ClusterCounter] = &[
    ("upstream_cx_total", "Connections opened.", |c| c.cx_total),
    (
        "upstream_cx_connect_fail",
        "Connections that could not be opened.",
        |c| c.cx_connect_fail,
    ),
    (
        "upstream_cx_connect_timeout",
        "Connects that took longer than the connect timeout.",
        |c| c.cx_connect_timeout,
    ),
    (
        "upstream_cx_idle_timeout",
        "Connections closed after the idle timeout.",
        |c| c.cx_idle_timeout,
    ),
    (
        "upstream_cx_max_duration_reached",
        "Connections closed for their age.",
        |c| c.cx_max_duration_reached,
    ),
    (
        "upstream_cx_max_requests",
        "Connections closed after their last allowed request.",
        |c| c.cx_max_requests,
    ),
    (
        "upstream_cx_overflow",
        "Times that a connection limit was met.",
        |c| c.cx_overflow,
    ),
    (
        "upstream_cx_none_healthy",
        "Requests refused for want of an endpoint.",
        |c| c.cx_none_healthy,
    ),
    (
        "upstream_cx_protocol_error",
        "Connections closed for a malformed response.",
        |c| c.cx_protocol_error,
    ),
    ("upstream_cx_destroy", "Connections closed.", |c| c.cx_destroy),
    ("upstream_cx_destroy_local", "Connections closed by us.", |c| {
        c.cx_destroy_local
    }),
    (
        "upstream_cx_destroy_remote",
        "Connections closed by the upstream.",
        |c| c.cx_destroy_remote,
    ),
    (
        "upstream_cx_destroy_with_active_rq",
        "Connections closed with a request in flight.",
        |c| c.cx_destroy_with_active_rq,
    ),
    (
        "upstream_cx_destroy_local_with_active_rq",
        "Connections closed by us with a request in flight.",
        |c| c.cx_destroy_local_with_active_rq,
    ),
    (
        "upstream_cx_destroy_remote_with_active_rq",
        "Connections closed by the upstream with a request in flight.",
        |c| c.cx_destroy_remote_with_active_rq,
    ),
    (
        "upstream_cx_rx_bytes_total",
        "Bytes received from the upstream.",
        |c| c.cx_rx_bytes_total,
    ),
    ("upstream_cx_tx_bytes_total", "Bytes sent to the upstream.", |c| {
        c.cx_tx_bytes_total
    }),
    (
        "upstream_rq_total",
        "Requests sent, every attempt counted.",
        |c| c.rq_total,
    ),
    ("upstream_rq_completed", "Responses received to their end.", |c| {
        c.rq_completed
    }),
    (
        "upstream_rq_cancelled",
        "Requests that ended before they had a connection.",
        |c| c.rq_cancelled,
    ),
    (
        "upstream_rq_pending_total",
        "Requests that waited for a connection.",
        |c| c.rq_pending_total,
    ),
    (
        "upstream_rq_pending_overflow",
        "Requests refused because a limit was met.",
        |c| c.rq_pending_overflow,
    ),
    (
        "upstream_rq_pending_failure_eject",
        "Waiting requests failed by a failed connect.",
        |c| c.rq_pending_failure_eject,
    ),
    (
        "upstream_rq_timeout",
        "Requests ended by their whole-request timeout.",
        |c| c.rq_timeout,
    ),
    (
        "upstream_rq_per_try_timeout",
        "Attempts ended by the per-try timeout.",
        |c| c.rq_per_try_timeout,
    ),
    ("upstream_rq_rx_reset", "Attempts that the upstream reset.", |c| {
        c.rq_rx_reset
    }),
    ("upstream_rq_tx_reset", "Attempts that we reset.", |c| {
        c.rq_tx_reset
    }),
    (
        "upstream_rq_retry",
        "Attempts made again, proven replays not counted.",
        |c| c.rq_retry,
    ),
    (
        "upstream_rq_retry_success",
        "Attempts made again that were answered.",
        |c| c.rq_retry_success,
    ),
    (
        "upstream_rq_retry_overflow",
        "Retries not made because a limit was met.",
        |c| c.rq_retry_overflow,
    ),
    (
        "upstream_rq_retry_limit_exceeded",
        "Requests that failed with their retries used up.",
        |c| c.rq_retry_limit_exceeded,
    ),
];

/// Name, family, layer, meaning, and where it is counted.
type RaceCounter = (
    &'static str,
    &'static str,
    Option<&'static str>,
    &'static str,
    fn(&Counters) -> u64,
);

const ABSORBED: &str = "Races that no client saw, by the layer that absorbed them.";

const RACE_COUNTERS: &[RaceCounter] = &[
    (
        "race_met",
        "evenkeel_race_met_total",
        None,
        "Requests that met a connection which the upstream was closing.",
        |c| c.race_met,
    ),
    (
        "race_checked",
        "evenkeel_race_absorbed_total",
        Some("checkout"),
        ABSORBED,
        |c| c.race_checked,
    ),
    (
        "race_replayed",
        "evenkeel_race_absorbed_total",
        Some("replay"),
        ABSORBED,
        |c| c.race_replayed,
    ),
    (
        "race_failed",
        "evenkeel_race_failed_total",
        None,
        "Races that a client saw.",
        |c| c.race_failed,
    ),
    (
        "race_avoided",
        "evenkeel_race_avoided_total",
        None,
        "Requests kept away from a connection that was past the reuse limit.",
        |c| c.race_avoided,
    ),
    (
        "race_priced",
        "evenkeel_race_priced_total",
        None,
        "Requests given a safer connection because they could not be sent twice.",
        |c| c.race_priced,
    ),
    (
        "idle_closed_by_peer",
        "evenkeel_idle_closed_by_peer_total",
        None,
        "Idle connections that the upstream closed while nobody used them.",
        |c| c.idle_closed_by_peer,
    ),
    (
        "taken_over",
        "evenkeel_taken_over_total",
        None,
        "Idle connections that one worker took over from another.",
        |c| c.taken_over,
    ),
];
