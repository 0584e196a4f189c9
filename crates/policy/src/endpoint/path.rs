//! How long the path to an endpoint is, and who acknowledges what is sent along it.

use std::time::Duration;

use crate::cluster::{Address, Hold};
use crate::time::Moment;

/// What is known of the way to one endpoint.
///
/// ```text
///   evenkeel ---- connect: one round trip ----> whoever accepts -------------> endpoint
///            <----------------- fastest answer: the whole path, there and back ------'
/// ```
/// TCP measures the way to whoever accepts the connection. If that is a TCP proxy (stunnel, a
/// sidecar, a port that is forwarded), a close of the endpoint behind it takes longer to be here, and
/// acknowledgements say nothing of the endpoint. The fastest answer is an upper bound of the whole
/// path. A slow endpoint can not be told from a long path by it, so it is treated alike: that
/// costs some reuse and a little patience.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path {
    /// As opening connections took, smoothed downwards only: a rise counts at once.
    pub(crate) round_trip: Option<Duration>,
    fastest: Fastest,
    local: bool,
}

/// The shortest time from a request to its answer, of the last [`GENERATION`] and the one before.
#[derive(Clone, Copy, Debug)]
struct Fastest {
    began: Moment,
    now: Duration,
    before: Duration,
}

impl Path {
    pub(crate) fn to(address: &Address) -> Self {
        Self {
            round_trip: None,
            fastest: Fastest {
                began: Moment::default(),
                now: Duration::MAX,
                before: Duration::MAX,
            },
            local: matches!(address, Address::Unix(_)),
        }
    }

    pub(crate) fn on_round_trip(&mut self, new: Duration) {
        let old = self.round_trip.unwrap_or(new);
        self.round_trip = Some(new.max(old - old / 8 + new / 8));
    }

    /// An answer took so long. Returns whether the path is shorter, or may be longer, than was known.
    pub(crate) fn on_answer(&mut self, took: Duration, now: Moment) -> bool {
        let fastest = &mut self.fastest;
        let turns = now.since(fastest.began) >= GENERATION;
        if turns {
            (fastest.began, fastest.before, fastest.now) = (now, fastest.now, Duration::MAX);
        }
        let shorter = took < fastest.now;
        fastest.now = fastest.now.min(took);
        turns || shorter
    }

    /// From a request's first byte to the earliest moment at which the endpoint's word on it could
    /// be here.
    pub(crate) fn length(&self) -> Duration {
        let connect = self.round_trip.unwrap_or_default();
        self.answered()
            .map_or(connect, |fastest| connect.max(fastest.min(LENGTH_MAX)))
    }

    /// Whether a two-step write can prove anything. On a Unix socket a close is seen the moment it
    /// comes, so a look before the write shows all that a pause could.
    pub(crate) fn bears_two_steps(&self) -> bool {
        !self.local
    }

    /// How long a two-step write holds the head's end back.
    pub(crate) fn hold(&self) -> Hold {
        let connect = self.round_trip.unwrap_or_default();
        let direct = self
            .answered()
            .is_some_and(|fastest| fastest <= connect * 2 + PROCESSING);
        let length = if direct { connect } else { self.length() };
        Hold {
            patience: length + length / 4 + Duration::from_millis(1),
            round_trip: connect,
            endpoint_acknowledges: direct,
            awaits_acknowledgement: false,
        }
    }

    fn answered(&self) -> Option<Duration> {
        let fastest = self.fastest.now.min(self.fastest.before);
        (fastest != Duration::MAX).then_some(fastest)
    }
}

/// How long an answer may count for the length of the path.
const GENERATION: Duration = Duration::from_secs(600);

/// No path is longer; an endpoint that never answers faster is slow.
const LENGTH_MAX: Duration = Duration::from_millis(500);

/// An endpoint needs so long to answer something simple.
const PROCESSING: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn path() -> Path {
        Path::to(&Address::Ip(([127, 0, 0, 1], 80).into()))
    }

    #[test]
    fn an_endpoint_that_answers_as_fast_as_it_connects_acknowledges_for_itself() {
        let mut path = path();
        path.on_round_trip(MS(20));
        assert!(!path.hold().endpoint_acknowledges, "nothing was answered yet");
        path.on_answer(MS(70), Moment::default());
        path.on_answer(MS(22), Moment::default());
        assert_eq!(path.length(), MS(22));
        assert!(path.hold().endpoint_acknowledges);
        assert_eq!(path.hold().patience, MS(26));
    }

    #[test]
    fn a_proxy_between_is_seen_by_answers_that_take_longer_than_connecting() {
        let mut path = path();
        path.on_round_trip(Duration::from_micros(50));
        path.on_answer(MS(41), Moment::default());
        assert_eq!(path.length(), MS(41));
        assert!(!path.hold().endpoint_acknowledges);
        assert!(path.hold().patience > MS(50), "{:?}", path.hold());
    }

    #[test]
    fn a_slow_endpoint_is_taken_for_a_long_path_up_to_a_point() {
        let mut path = path();
        path.on_round_trip(MS(1));
        path.on_answer(MS(3000), Moment::default());
        assert_eq!(path.length(), MS(500));
    }

    #[test]
    fn a_path_that_has_become_longer_is_known_after_two_generations() {
        let mut path = path();
        path.on_round_trip(MS(1));
        path.on_answer(MS(2), Moment::from_millis(0));
        path.on_answer(MS(40), Moment::from_millis(601_000));
        assert_eq!(path.length(), MS(2));
        path.on_answer(MS(41), Moment::from_millis(1_202_000));
        assert_eq!(path.length(), MS(40));
    }

    #[test]
    fn a_unix_socket_bears_no_two_steps() {
        assert!(path().bears_two_steps());
        let unix = Address::Unix(std::path::Path::new("/run/app.sock").into());
        assert!(!Path::to(&unix).bears_two_steps());
    }
}
