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
    /// Choices among all endpoints because too few were in service.
    pub lb_healthy_panic: u64,
    /// Endpoints that came or went.
    pub membership_change: u64,
    pub rq_total: u64,
    pub rq_completed: u64,
    pub rq_cancelled: u64,
    pub rq_pending_total: u64,
    pub rq_pending_overflow: u64,
    /// … of these, refused after waiting as long as they may.
    pub rq_pending_shed: u64,
    pub rq_pending_failure_eject: u64,
    pub rq_timeout: u64,
    pub rq_per_try_timeout: u64,
    pub rq_rx_reset: u64,
    pub rq_tx_reset: u64,
    pub rq_retry: u64,
    pub rq_retry_success: u64,
    pub rq_retry_overflow: u64,
    pub rq_retry_limit_exceeded: u64,
    /// Malformed responses that were mended.
    pub rq_mended: u64,
    /// Hedges: second attempts beside one that takes longer than most.
    pub rq_hedge: u64,
    /// … that answered first.
    pub rq_hedge_won: u64,
    /// Copies of requests sent for a `RequestMirror`.
    pub rq_mirror: u64,
    /// … that got no answer.
    pub rq_mirror_failed: u64,
    /// Requests of which no copy was sent, because they are larger than what is kept of one.
    pub rq_mirror_too_large: u64,
    /// Responses by class: index 1 is 1xx … 5 is 5xx; 0 is unused.
    pub rq_class: [u64; 6],
    /// Responses by exact status, filled as they are seen.
    pub rq_status: Statuses,
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

/// Responses by exact status, 100 to 999. A class takes memory once it is seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statuses([Option<Box<[u64; 100]>>; 9]);

impl Statuses {
    /// One more; a number that is no status is not counted.
    pub fn count(&mut self, status: u16) {
        self.add(status, 1);
    }

    /// How many had this status.
    #[must_use]
    pub fn get(&self, status: u16) -> u64 {
        let class = usize::from(status / 100).checked_sub(1);
        let page = class.and_then(|class| self.0.get(class)?.as_deref());
        page.map_or(0, |page| page[usize::from(status % 100)])
    }

    /// Each status that was seen, in their order, and how often.
    pub fn iter(&self) -> impl Iterator<Item = (u16, &u64)> {
        let pages = (1_u16..).zip(&self.0);
        let pages = pages.filter_map(|(class, page)| Some((class, page.as_deref()?)));
        pages.flat_map(|(class, page)| {
            let counts = (class * 100..).zip(page);
            counts.filter(|&(_, &count)| count > 0)
        })
    }

    fn add(&mut self, status: u16, count: u64) {
        let class = usize::from(status / 100).checked_sub(1);
        if let Some(page) = class.and_then(|class| self.0.get_mut(class)) {
            page.get_or_insert_with(|| Box::new([0; 100]))[usize::from(status % 100)] += count;
        }
    }
}

impl<const N: usize> From<[(u16, u64); N]> for Statuses {
    fn from(counts: [(u16, u64); N]) -> Self {
        let mut statuses = Self::default();
        counts
            .iter()
            .for_each(|&(status, count)| statuses.add(status, count));
        statuses
    }
}
