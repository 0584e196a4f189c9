//! What is told of overload: how near a cluster is to its limits, who waits, who sits out.

use std::borrow::Cow;

use policy::outlier::Cause;

use super::catalogue::{Snapshot, Value};
use super::view::ClusterView;
use crate::telemetry::stats::view::NameView;

impl Snapshot {
    pub(super) fn overload(&mut self, cluster: &ClusterView) {
        self.membership(cluster);
        self.names(cluster);
        self.breakers(cluster);
        self.outliers(cluster);
        self.checks(cluster);
        self.queue(cluster);
        self.usual(cluster);
    }

    fn membership(&mut self, cluster: &ClusterView) {
        let (counters, vitals) = (&cluster.counters, &cluster.vitals);
        let degraded = cluster.count(|one| one.service.leaving);
        let numbers = [
            (
                "membership_healthy",
                Value::Gauge(vitals.membership_healthy),
                "Endpoints in service.",
            ),
            (
                "membership_degraded",
                cluster.gauge(degraded),
                "Endpoints that seem to leave: others are preferred.",
            ),
            (
                "membership_excluded",
                Value::Unmoved(0),
                "Always 0: an endpoint that was not checked yet is used.",
            ),
            (
                "membership_change",
                Value::Counter(counters.membership_change),
                "Endpoints that came or went.",
            ),
            (
                "lb_healthy_panic",
                Value::Counter(counters.lb_healthy_panic),
                "Choices among all endpoints because too few were in service.",
            ),
        ];
        for (name, value, help) in numbers {
            self.envoys(&cluster.name, name, help, value);
        }
    }

    /// How often its names were asked for, by Envoy's names for clusters of DNS.
    fn names(&mut self, cluster: &ClusterView) {
        if cluster.names.is_empty() {
            return;
        }
        let sum = |of: fn(&NameView) -> u64| cluster.names.iter().map(of).sum::<u64>();
        let failed = sum(|name| name.failures);
        let counters = [
            (
                "update_attempt",
                sum(|name| name.attempts),
                "Times that its names were asked for.",
            ),
            (
                "update_success",
                sum(|name| name.attempts) - failed,
                "Times that the resolver gave addresses.",
            ),
            (
                "update_failure",
                failed,
                "Times that the resolver gave none; those known before stay in use.",
            ),
        ];
        for (name, value, help) in counters {
            self.envoys(&cluster.name, name, help, Value::Counter(value));
        }
        let unresolved = cluster.names.iter().filter(|name| name.error.is_some());
        self.ours(
            cluster,
            "names_unresolved",
            "evenkeel_names_unresolved",
            "Names that cannot be resolved now.",
            Value::Gauge(unresolved.count() as u64),
        );
    }

    fn breakers(&mut self, cluster: &ClusterView) {
        let vitals = &cluster.vitals;
        let gauges = [
            (
                "cx_open",
                u64::from(vitals.cx_open()),
                "1 while no more connections may be opened.",
            ),
            (
                "rq_pending_open",
                u64::from(vitals.rq_pending_open()),
                "1 while no more requests may wait.",
            ),
            (
                "rq_open",
                u64::from(vitals.rq_open()),
                "1 while no more requests may be in flight.",
            ),
            (
                "rq_retry_open",
                u64::from(vitals.rq_retry_open()),
                "1 while no retry would be admitted, by limit or budget.",
            ),
            (
                "remaining_cx",
                vitals.remaining_cx,
                "Connections that may still be opened.",
            ),
            (
                "remaining_pending",
                vitals.remaining_pending,
                "Requests that may still wait.",
            ),
            (
                "remaining_rq",
                vitals.remaining_rq,
                "Requests that may still be in flight.",
            ),
            (
                "remaining_retries",
                vitals.remaining_retries,
                "Retries that would be admitted, by limit and budget.",
            ),
        ];
        for (name, value, help) in gauges {
            let name = format!("circuit_breakers.default.{name}");
            self.envoys(&cluster.name, &name, help, cluster.gauge(value));
        }
    }

    fn outliers(&mut self, cluster: &ClusterView) {
        let counters = &cluster.outliers;
        let mut tell = |name: &str, help, value| {
            let name = format!("outlier_detection.{name}");
            self.envoys(&cluster.name, &name, help, value);
        };
        let active = cluster.gauge(cluster.vitals.ejections_active);
        tell("ejections_active", "Endpoints that are ejected.", active);
        let total = Value::Counter(counters.ejections_enforced_total);
        tell("ejections_enforced_total", "Ejections.", total);
        let overflow = "Ejections that did not happen: too many were out, or there was no other endpoint.";
        tell(
            "ejections_overflow",
            overflow,
            Value::Counter(counters.ejections_overflow),
        );
        for cause in Cause::ALL {
            let (name, place) = (cause.name(), cause as usize);
            let detected = Value::Counter(counters.detected[place]);
            let help = "Reasons to eject of this kind, whether it happened or not.";
            tell(&format!("ejections_detected_{name}"), help, detected);
            let enforced = Value::Counter(counters.enforced[place]);
            let help = "Ejections for a reason of this kind.";
            tell(&format!("ejections_enforced_{name}"), help, enforced);
        }
    }

    fn checks(&mut self, cluster: &ClusterView) {
        let Some(checks) = cluster.checks else { return };
        let healthy = cluster.count(|one| !one.service.failed_active_check);
        let numbers = [
            ("attempt", Value::Counter(checks.attempt), "Checks that ended."),
            ("success", Value::Counter(checks.success), "Good checks."),
            (
                "failure",
                Value::Counter(checks.failure),
                "Checks that were not good.",
            ),
            (
                "network_failure",
                Value::Counter(checks.network_failure),
                "Checks without a connection, or without an answer in time.",
            ),
            (
                "healthy",
                Value::Gauge(healthy),
                "Endpoints that are healthy by their checks.",
            ),
        ];
        for (name, value, help) in numbers {
            self.envoys(&cluster.name, &format!("health_check.{name}"), help, value);
        }
    }

    fn queue(&mut self, cluster: &ClusterView) {
        let vitals = &cluster.vitals;
        self.ours(
            cluster,
            "pool_used_percent",
            "evenkeel_pool_used_ratio",
            "Connections in use, as a share of those allowed.",
            match cluster.gauge(u64::from(vitals.pool_used_percent)) {
                Value::Gauge(percent) => Value::Percent(percent),
                unmoved => unmoved,
            },
        );
        self.ours(
            cluster,
            "queue_overloaded",
            "evenkeel_queue_overloaded",
            "1 while the queue does not empty: the newest are served first, and few may join.",
            cluster.gauge(u64::from(vitals.queue.overloaded)),
        );
        self.ours(
            cluster,
            "queue_oldest_wait_ms",
            "evenkeel_queue_oldest_wait_seconds",
            "How long the one has waited who has waited longest.",
            cluster.span(vitals.queue.oldest_wait),
        );
        self.ours(
            cluster,
            "queue_shed",
            "evenkeel_queue_shed_total",
            "Requests refused after waiting as long as they may.",
            Value::Counter(vitals.queue.shed),
        );
        self.ours(
            cluster,
            "membership_failing",
            "evenkeel_membership_failing",
            "Endpoints in service whose latest attempts failed: they are not ejected yet, or may not be.",
            cluster.gauge(vitals.membership_failing),
        );
        self.ours(
            cluster,
            "panic",
            "evenkeel_panic",
            "1 while all endpoints are used because too few are in service.",
            cluster.gauge(u64::from(vitals.panics)),
        );
    }

    /// What follows from how long answers usually take.
    fn usual(&mut self, cluster: &ClusterView) {
        if let Some(answer) = &cluster.auto_timeout {
            self.ours(
                cluster,
                "auto_timeout_ms",
                "evenkeel_auto_timeout_seconds",
                "The request timeout, where it follows what is usual.",
                Value::Span(answer.timeout),
            );
        }
        if let Some(wait) = cluster.hedge_wait {
            self.ours(
                cluster,
                "hedge_wait_ms",
                "evenkeel_hedge_wait_seconds",
                "How long an answer is waited for before a hedge.",
                Value::Span(wait),
            );
        }
    }

    fn ours(
        &mut self,
        cluster: &ClusterView,
        name: &str,
        family: &'static str,
        help: &'static str,
        value: Value,
    ) {
        let labels = || vec![("cluster", cluster.name.clone())];
        let name = format_args!("evenkeel.{name}");
        self.tell(
            &cluster.name,
            name,
            || Cow::Borrowed(family),
            labels,
            (help, value),
        );
    }
}
