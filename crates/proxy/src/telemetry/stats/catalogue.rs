//! Every metric there is: what `/stats` calls it, what Prometheus calls it, what it means.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use policy::cluster::Counters;

use super::WorkerStats;
use super::histogram::Summary;
use super::meter::{ClusterSummaries, DownstreamTotals, Kind, LogCounts, Reading};
use super::tables::{self, ClusterCounter, RaceCounter};
use super::view::{ClusterView, EndpointView, ServerView, shown};
use crate::telemetry::stats::reloads::Reloads;

/// All numbers at one time.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(super) samples: Vec<Sample>,
    detail: Detail,
}

/// What a reading needs to have of each number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// All numbers, with both of their names.
    Full,
    /// No dotted names, and nothing of what never happened in a cluster: of a thousand clusters most
    /// numbers are zeros, and to name them takes most of the time.
    Happened,
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
    /// A gauge of which there is nothing to tell yet: what it measures has never happened.
    Unmoved(u64),
    /// A gauge: milliseconds in the text form, seconds for Prometheus.
    Span(Duration),
    /// A counter: the same.
    Total(Duration),
    /// A gauge: percent in the text form, a share of one for Prometheus.
    Percent(u64),
    /// In milliseconds, as Envoy's are.
    Times(Summary),
}

impl Snapshot {
    /// Reads the numbers of the process and of all workers.
    #[must_use]
    pub fn of_process(
        server: ServerView,
        reloads: &Reloads,
        workers: &[Arc<WorkerStats>],
        log: &LogCounts,
    ) -> Self {
        let mut snapshot = Self {
            samples: Vec::new(),
            detail: Detail::Full,
        };
        snapshot.server(server);
        snapshot.process();
        snapshot.log(log);
        snapshot.reloads(reloads);
        snapshot.downstream(&super::downstream(workers));
        snapshot.sorted()
    }

    /// Reads the numbers of one cluster. Clusters are read one after the other: the numbers of
    /// thousands at once take tens of megabytes.
    #[must_use]
    pub fn of_cluster(cluster: &ClusterView, workers: &[Arc<WorkerStats>], detail: Detail) -> Self {
        let mut snapshot = Self {
            samples: Vec::new(),
            detail,
        };
        snapshot.cluster(cluster);
        snapshot.times(&cluster.name, &super::cluster(workers, &cluster.name));
        snapshot.race(cluster);
        snapshot.overload(cluster);
        snapshot.sorted()
    }

    /// Those whose names sort before `name`, and the others.
    #[must_use]
    pub fn split_at(mut self, name: &str) -> [Self; 2] {
        let place = self.samples.partition_point(|sample| sample.name.as_str() < name);
        let after = self.samples.split_off(place);
        let detail = self.detail;
        let after = Self {
            samples: after,
            detail,
        };
        [self, after]
    }

    pub(super) fn sorted(mut self) -> Self {
        // Without names there is no order.
        if self.detail == Detail::Happened {
            return self;
        }
        self.samples.sort_by(|one, two| one.name.cmp(&two.name));
        self
    }

    fn downstream(&mut self, totals: &DownstreamTotals) {
        let is_of_tls = |reading: &&Reading| reading.name.starts_with("downstream_ssl_");
        for reading in totals.readings.iter().filter(is_of_tls) {
            // Envoy counts them for each listener, evenkeel for all together.
            let name = reading.name.trim_start_matches("downstream_ssl_");
            self.samples.push(Sample {
                name: format!("listener.ssl.{name}"),
                family: format!("envoy_listener_ssl_{name}").into(),
                labels: Vec::new(),
                help: reading.help,
                value: Value::Counter(reading.value),
            });
        }
        let mut tell = |name: &str, family: Cow<'static, str>, class: Option<usize>, help, value| {
            let mut labels = vec![("envoy_http_conn_manager_prefix", "ingress".to_owned())];
            labels.extend(class.map(|class| ("envoy_response_code_class", class.to_string())));
            self.samples.push(Sample {
                name: format!("http.ingress.{name}"),
                family,
                labels,
                help,
                value,
            });
        };
        for reading in totals.readings.iter().filter(|reading| !is_of_tls(reading)) {
            let value = match reading.kind {
                Kind::Counter => Value::Counter(reading.value),
                Kind::Gauge => Value::Gauge(reading.value),
            };
            // Envoy has no such counter.
            let family = match reading.name {
                "downstream_rq_rate_limited" => "evenkeel_rate_limited_total".to_owned(),
                name => format!("envoy_http_{name}"),
            };
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
        for ClusterCounter {
            name,
            family,
            help,
            read,
        } in tables::CLUSTER
        {
            let value = Value::Counter(read(&cluster.counters));
            let labels = || vec![(tables::label(family), cluster.name.clone())];
            self.tell(
                &cluster.name,
                format_args!("{name}"),
                || (*family).into(),
                labels,
                (help, value),
            );
        }
        let gauges = [
            (
                "upstream_cx_active",
                cluster.gauge(cluster.gauges.cx_active),
                "Connections open or opening.",
            ),
            (
                "upstream_rq_active",
                cluster.gauge(cluster.gauges.rq_active),
                "Requests in flight.",
            ),
            (
                "upstream_rq_pending_active",
                cluster.gauge(cluster.gauges.rq_pending_active),
                "Requests that wait for a connection.",
            ),
            (
                "upstream_rq_retry_active",
                cluster.gauge(cluster.gauges.rq_retry_active),
                "Retries in flight.",
            ),
            (
                "membership_total",
                Value::Gauge(cluster.gauges.membership_total),
                "Endpoints of the configuration.",
            ),
        ];
        for (name, value, help) in gauges {
            self.envoys(&cluster.name, name, help, value);
        }
        let mut coded =
            |name: fmt::Arguments<'_>, family: &'static str, (label, code): (_, usize), help, count| {
                let labels = || {
                    vec![
                        (label, code.to_string()),
                        ("envoy_cluster_name", cluster.name.clone()),
                    ]
                };
                self.tell(
                    &cluster.name,
                    name,
                    || family.into(),
                    labels,
                    (help, Value::Counter(count)),
                );
            };
        for (class, &count) in cluster.counters.rq_class.iter().enumerate().skip(1) {
            let label = ("envoy_response_code_class", class);
            let help = "Responses of the upstream, by class of their status.";
            coded(
                format_args!("upstream_rq_{class}xx"),
                "envoy_cluster_upstream_rq_xx",
                label,
                help,
                count,
            );
        }
        for (status, &count) in cluster.counters.rq_status.iter() {
            let label = ("envoy_response_code", usize::from(status));
            let help = "Responses of the upstream, by status.";
            coded(
                format_args!("upstream_rq_{status}"),
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
            self.envoys(cluster, name, help, Value::Times(summary.clone()));
        }
    }

    /// What no other proxy counts.
    fn race(&mut self, cluster: &ClusterView) {
        for RaceCounter {
            name,
            family,
            layer,
            help,
            read,
        } in tables::RACE
        {
            let labels = || {
                let mut labels = vec![("cluster", cluster.name.clone())];
                labels.extend(layer.map(|layer| ("layer", layer.to_owned())));
                labels
            };
            let name = format_args!("evenkeel.{name}");
            let value = Value::Counter(read(&cluster.counters));
            self.tell(&cluster.name, name, || (*family).into(), labels, (help, value));
        }
        for EndpointView { report: endpoint, .. } in &cluster.endpoints {
            let (address, limit) = (shown(&endpoint.address), endpoint.knowledge.limit.reuse);
            let name = format_args!("evenkeel.endpoint.{address}.reuse_limit_ms");
            let labels = || vec![("cluster", cluster.name.clone()), ("endpoint", address.clone())];
            let help = "Idle age from which a connection to the endpoint is not used for requests again.";
            let value = match endpoint.opened {
                0 => Value::Unmoved(limit.as_millis() as u64),
                _ => Value::Span(limit),
            };
            let family = || "evenkeel_reuse_limit_seconds".into();
            self.tell(&cluster.name, name, family, labels, (help, value));
        }
    }

    pub(super) fn plain(&mut self, root: &str, name: &str, help: &'static str, value: Value) {
        let family = format!("envoy_{root}_{name}").into();
        self.samples.push(Sample {
            name: format!("{root}.{name}"),
            family,
            labels: Vec::new(),
            help,
            value,
        });
    }

    /// A metric that Envoy has too; a dot in its name is an underscore for Prometheus.
    pub(super) fn envoys(&mut self, cluster: &str, name: &str, help: &'static str, value: Value) {
        let family = || format!("envoy_cluster_{}", name.replace('.', "_")).into();
        let labels = || vec![("envoy_cluster_name", cluster.to_owned())];
        self.tell(cluster, format_args!("{name}"), family, labels, (help, value));
    }
}

impl Snapshot {
    /// A cluster's number. What never happened is not named where nobody asks for it.
    pub(super) fn tell(
        &mut self,
        cluster: &str,
        name: fmt::Arguments<'_>,
        family: impl FnOnce() -> Cow<'static, str>,
        labels: impl FnOnce() -> Vec<(&'static str, String)>,
        (help, value): (&'static str, Value),
    ) {
        let name = match self.detail {
            Detail::Full => format!("cluster.{cluster}.{name}"),
            Detail::Happened if value.happened() => String::new(),
            Detail::Happened => return,
        };
        self.samples.push(Sample {
            name,
            family: family(),
            labels: labels(),
            help,
            value,
        });
    }
}

impl Value {
    /// Whether there is anything to tell.
    pub(super) fn happened(&self) -> bool {
        match self {
            Self::Counter(0) | Self::Unmoved(_) => false,
            Self::Times(summary) => summary.count() > 0,
            Self::Counter(_) | Self::Gauge(_) | Self::Span(_) | Self::Total(_) | Self::Percent(_) => true,
        }
    }
}

impl ClusterView {
    /// The same of a time.
    pub(super) fn span(&self, span: Duration) -> Value {
        match self.gauge(0) {
            Value::Unmoved(_) if span.is_zero() => Value::Unmoved(0),
            _ => Value::Span(span),
        }
    }

    /// A gauge of what requests do: nothing is told by it before the first one.
    pub(super) fn gauge(&self, value: u64) -> Value {
        let Counters {
            rq_total,
            cx_total,
            rq_cancelled,
            cx_connect_fail,
            cx_none_healthy,
            ..
        } = &self.counters;
        if rq_total + cx_total + rq_cancelled + cx_connect_fail + cx_none_healthy == 0 {
            Value::Unmoved(value)
        } else {
            Value::Gauge(value)
        }
    }
}
