//! What is told of the process itself: its state, its access log, its configurations.

use std::sync::atomic::Ordering::Relaxed;

use super::catalogue::{Sample, Snapshot, Value};
use super::meter::LogCounts;
use super::view::{Liveness, ServerView};
use crate::telemetry::stats::reloads::{Reloads, unix_seconds};

impl Snapshot {
    pub(super) fn server(&mut self, server: ServerView) {
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

    pub(super) fn log(&mut self, counts: &LogCounts) {
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
            let value = Value::Counter(count.load(Relaxed));
            if root != "access_log" {
                self.plain(root, name, help, value);
                continue;
            }
            // Envoy counts the lines of its gRPC sinks only.
            self.samples.push(Sample {
                name: format!("{root}.{name}"),
                family: format!("evenkeel_access_log_{name}_total").into(),
                labels: Vec::new(),
                help,
                value,
            });
        }
    }

    /// Configurations given: counters by Envoy's names for its listener updates, and the two gauges by
    /// which Prometheus itself tells of its reloads.
    pub(super) fn reloads(&mut self, reloads: &Reloads) {
        let counters = [
            (
                "update_attempt",
                reloads.applied + reloads.rejected,
                "Configurations given, the one at the start included.",
            ),
            ("update_success", reloads.applied, "Configurations put in force."),
            (
                "update_rejected",
                reloads.rejected,
                "Configurations rejected; the one in force stayed.",
            ),
        ];
        for (name, value, help) in counters {
            self.samples.push(Sample {
                name: format!("listener_manager.lds.{name}"),
                family: format!("envoy_listener_manager_lds_{name}").into(),
                labels: Vec::new(),
                help,
                value: Value::Counter(value),
            });
        }
        let gauges = [
            (
                "last_reload_successful",
                u64::from(reloads.last_ok()),
                "1 if the last configuration given is in force, 0 if it was rejected.",
            ),
            (
                "last_reload_success_timestamp_seconds",
                unix_seconds(reloads.applied_at),
                "When the configuration in force was applied, in seconds since 1970.",
            ),
        ];
        for (name, value, help) in gauges {
            self.samples.push(Sample {
                name: format!("evenkeel.config.{name}"),
                family: format!("evenkeel_config_{name}").into(),
                labels: Vec::new(),
                help,
                value: Value::Gauge(value),
            });
        }
    }
}
