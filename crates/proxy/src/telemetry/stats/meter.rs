//! Numbers that one thread writes and any thread reads, and what is made of them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::histogram::{Histogram, Summary};

/// A number that only grows. One thread writes it, so adding is a load and a store instead of a
/// locked instruction.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds `amount`.
    pub fn add(&self, amount: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(amount), Relaxed);
    }

    /// What it is now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number that goes up and down. One thread writes it.
#[derive(Debug, Default)]
pub struct Gauge(Counter);

impl Gauge {
    /// One more.
    pub fn up(&self) {
        self.0.inc();
    }

    /// One less; it does not go below zero.
    pub fn down(&self) {
        self.0.0.store(self.get().saturating_sub(1), Relaxed);
    }

    /// What it is now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

/// What kind of number a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// One number and what it means.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Envoy's name, without its prefix.
    pub name: &'static str,
    /// Whether it can fall.
    pub kind: Kind,
    /// One sentence.
    pub help: &'static str,
    /// What it was when it was read.
    pub value: u64,
}

macro_rules! downstream {
    ($($kind:ident $name:ident $help:literal)*) => {
        /// What one worker counts of its clients, by Envoy's names (`http.ingress.downstream_<name>`).
        #[derive(Debug, Default)]
        pub struct Downstream {
            $(#[doc = $help] pub $name: $kind,)*
            rq_class: [Counter; 6],
            /// From a request's first byte to its end.
            pub rq_time: Histogram,
            /// From a connection's accept to its end.
            pub cx_length_ms: Histogram,
        }

        impl Downstream {
            fn readings(&self) -> Vec<Reading> {
                vec![$(Reading {
                    name: concat!("downstream_", stringify!($name)),
                    kind: Kind::$kind,
                    help: $help,
                    value: self.$name.get(),
                },)*]
            }
        }
    };
}

downstream! {
    Counter cx_total "Connections accepted."
    Gauge cx_active "Connections open."
    Counter cx_destroy "Connections closed."
    Counter cx_destroy_local "Connections closed by us."
    Counter cx_destroy_remote "Connections closed by the client."
    Counter cx_destroy_active_rq "Connections closed with a request in flight."
    Counter cx_destroy_local_active_rq "Connections closed by us with a request in flight."
    Counter cx_destroy_remote_active_rq "Connections closed by the client with a request in flight."
    Counter cx_idle_timeout "Connections closed because no request came for the idle timeout."
    Counter cx_drain_close "Connections closed by a drain."
    Counter cx_overflow "Connections refused because too many were open."
    Counter cx_head_overflow "Connections closed because unfinished heads took too much memory, and theirs was the oldest."
    Counter cx_tls_overflow "Connections closed because too many TLS handshakes were under way, and theirs was the oldest."
    Counter cx_transport_socket_connect_timeout "Connections whose TLS handshake was not done in time."
    Counter ssl_handshake "TLS handshakes done."
    Counter ssl_connection_error "TLS connections ended by an error of the handshake."
    Counter cx_protocol_error "Connections closed because what the client sent was not HTTP that we accept."
    Counter cx_rx_bytes_total "Bytes received from clients."
    Counter cx_tx_bytes_total "Bytes sent to clients."
    Counter cx_upgrades_total "Connections that became tunnels."
    Gauge cx_upgrades_active "Tunnels open."
    Counter rq_total "Requests begun: at least one byte of a head was read."
    Gauge rq_active "Requests in flight."
    Counter rq_completed "Requests that were answered."
    Counter rq_rejected "Requests refused for what they are: bad head, ambiguous framing, over a limit."
    Counter rq_rate_limited "Requests refused by a rate limit."
    Counter rq_rx_reset "Requests whose client left before the end."
    Counter rq_header_timeout "Requests whose head did not come in time."
    Counter rq_idle_timeout "Requests ended because no byte moved either way for the stream idle timeout."
    Counter rq_timeout "Requests ended by their whole-request timeout."
}

impl Downstream {
    /// A connection was accepted.
    pub fn cx_opened(&self) {
        self.cx_total.inc();
        self.cx_active.up();
    }

    /// A connection ended.
    pub fn cx_closed(&self) {
        self.cx_destroy.inc();
        self.cx_active.down();
    }

    /// A connection was refused because too many were open.
    pub fn cx_overflow(&self) {
        self.cx_overflow.inc();
    }

    /// The counter of a status' class (`downstream_rq_5xx` of 503).
    #[must_use]
    pub fn rq_class(&self, status: u16) -> &Counter {
        &self.rq_class[usize::from(status / 100).min(5)]
    }
}

/// What all workers counted of their clients.
#[derive(Clone, Debug, Default)]
pub struct DownstreamTotals {
    /// Counters and gauges.
    pub readings: Vec<Reading>,
    /// Responses by class: index 1 is 1xx … 5 is 5xx; 0 is unused.
    pub rq_class: [u64; 6],
    /// From a request's first byte to its end.
    pub rq_time: Summary,
    /// From a connection's accept to its end.
    pub cx_length_ms: Summary,
}

impl DownstreamTotals {
    pub(super) fn add(&mut self, worker: &Downstream) {
        let readings = worker.readings();
        if self.readings.is_empty() {
            self.readings = readings;
        } else {
            for (total, reading) in self.readings.iter_mut().zip(readings) {
                total.value += reading.value;
            }
        }
        for (total, class) in self.rq_class.iter_mut().zip(&worker.rq_class) {
            *total += class.get();
        }
        worker.rq_time.add_to(&mut self.rq_time);
        worker.cx_length_ms.add_to(&mut self.cx_length_ms);
    }

    /// A counter or gauge by its name (`downstream_cx_active`); 0 if there is none of that name.
    #[must_use]
    pub fn value(&self, name: &str) -> u64 {
        self.readings
            .iter()
            .find(|reading| reading.name == name)
            .map_or(0, |reading| reading.value)
    }
}

/// What one worker measures of one cluster.
#[derive(Debug, Default)]
pub struct ClusterTimes {
    /// From a request's first byte upstream to its response's last.
    pub rq_time: Histogram,
    /// From a connect's begin to its success.
    pub cx_connect_ms: Histogram,
    /// From a connection's opening to its end.
    pub cx_length_ms: Histogram,
}

/// What all workers measured of one cluster.
#[derive(Clone, Debug, Default)]
pub struct ClusterSummaries {
    /// From a request's first byte upstream to its response's last.
    pub rq_time: Summary,
    /// From a connect's begin to its success.
    pub cx_connect_ms: Summary,
    /// From a connection's opening to its end.
    pub cx_length_ms: Summary,
}

impl ClusterSummaries {
    pub(super) fn add(&mut self, worker: &ClusterTimes) {
        worker.rq_time.add_to(&mut self.rq_time);
        worker.cx_connect_ms.add_to(&mut self.cx_connect_ms);
        worker.cx_length_ms.add_to(&mut self.cx_length_ms);
    }
}

/// What became of access log lines.
#[derive(Debug, Default)]
pub struct LogCounts {
    /// Lines written.
    pub written: AtomicU64,
    /// Lines lost: the queue was full, or a write failed.
    pub dropped: AtomicU64,
    /// Writes that failed.
    pub write_failed: AtomicU64,
    /// Reopenings that failed.
    pub reopen_failed: AtomicU64,
}
