//! What a cluster counts of exchanges that failed.

use super::Cluster;
use crate::outcome::{Before, Failure};

impl Cluster {
    /// An exchange with this cluster failed, and the client is told so. `raced`: its last attempt
    /// died on a reused connection before any response.
    pub fn on_failure(&mut self, failure: &Failure, before: Before, raced: bool) {
        let counters = &mut self.counters;
        match failure {
            Failure::RequestTimeout | Failure::LateTimeout => counters.rq_timeout += 1,
            Failure::PerTryTimeout => counters.rq_per_try_timeout += 1,
            Failure::Died(_) | Failure::Truncated(_) => counters.rq_rx_reset += 1,
            Failure::OtherProtocol { .. }
            | Failure::BadResponse { .. }
            | Failure::ResponseHeadTooLarge
            | Failure::ProtocolInBody { .. } => counters.cx_protocol_error += 1,
            Failure::DownstreamLeft
            | Failure::BodyTooLarge
            | Failure::SlowClient
            | Failure::IdleDownstream
            | Failure::IdleUpstream
            | Failure::IdleInResponse
            | Failure::BodyTimeout
            | Failure::BadRequest { .. }
            | Failure::BadRequestBody { .. }
            | Failure::HeadLimit(_) => counters.rq_tx_reset += 1,
            // Refusals and connects are counted where they are decided; the rest met no cluster.
            Failure::Refused(_)
            | Failure::RateLimited(_)
            | Failure::Unresolved
            | Failure::Connect(_)
            | Failure::ConnectTimeout
            | Failure::HeadTimeout
            | Failure::HeadShed
            | Failure::ClientOtherProtocol { .. }
            | Failure::PlainHttpOnTls
            | Failure::TlsHandshake { .. }
            | Failure::TlsHandshakeTimeout
            | Failure::TlsHandshakeShed
            | Failure::TlsHandshakeLeft
            | Failure::NoRoute
            | Failure::NoCluster
            | Failure::OptionsEndsHere
            | Failure::TraceEndsHere => {}
        }
        counters.rq_retry_limit_exceeded += u64::from(before.limit_exceeded);
        counters.race_failed += u64::from(raced);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Death;

    #[test]
    fn a_failed_race_is_counted_as_a_reset_and_as_a_race() {
        let mut cluster = Cluster::new("a".into());
        let before = Before {
            made_again: true,
            limit_exceeded: true,
        };
        cluster.on_failure(&Failure::Died(Death::Closed), before, true);
        cluster.on_failure(&Failure::PerTryTimeout, Before::default(), false);
        let counters = &cluster.counters;
        assert_eq!(
            (
                counters.rq_rx_reset,
                counters.race_failed,
                counters.rq_retry_limit_exceeded
            ),
            (1, 1, 1)
        );
        assert_eq!(counters.rq_per_try_timeout, 1);
    }
}
