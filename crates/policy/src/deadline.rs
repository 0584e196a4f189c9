//! Every time limit of a wait, folded into one next [`Moment`].

use std::time::Duration;

use crate::time::Moment;

/// Which time limit has passed. Of several the first in this order counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Which {
    /// The whole exchange takes too long.
    Request,
    /// The attempt takes too long.
    PerTry,
    /// It is time to ask whether anything that was sent has been acknowledged.
    Silence,
    /// It was the client's turn, and no byte came or went for too long.
    Client,
    /// The client ended its sending side a while ago, and no byte came or went since.
    Left,
    /// No byte went either way for too long.
    Idle,
}

/// A client that ends its sending side behind its request may still want the answer, as scripts do that
/// feed a socket; nearly always it has given up. It is waited for this long without a byte, so that
/// whoever gave up holds no place of others when an endpoint that had stalled comes back.
pub const LEAVING_TAKES: Duration = Duration::from_millis(500);

/// What bounds a wait: moments that stay, and spans without a sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// When the whole exchange is too late.
    pub request: Moment,
    /// When the attempt is.
    pub per_try: Moment,
    /// After this long without an answer, the acknowledgements are asked for; `None` for never.
    pub silence: Option<Duration>,
    /// The longest time without a byte while it is the client's turn.
    pub client: Duration,
    /// The longest time without a byte either way; `None` for any.
    pub idle: Option<Duration>,
}

/// The time limits of one wait.
///
/// ```text
///           begin                 passed(now, beats): a beat moves Client and Idle on
///   Request ################################################|
///   PerTry  ################################|
///   Silence ############|  (once; silenced by `heard`)
///   Client  ######|-beat-######|-beat-######|   only while it is the client's turn
///   Left            ####|                       only once the client has ended its sending side
///   Idle    ##########|-beat-##########|-beat-##########|
/// ```
/// Signs of life are counted, not timed: counting costs nothing where bytes move. So a span ends
/// between one and two times its length after the last of them.
#[derive(Clone, Debug)]
pub struct Deadlines {
    bounds: Bounds,
    silence: Moment,
    client: Span,
    left: Span,
    idle: Span,
}

/// A span without a beat: when it ends, and how many beats there were when it began.
#[derive(Clone, Copy, Debug)]
struct Span {
    until: Moment,
    beats: u64,
}

impl Deadlines {
    /// A wait begins.
    #[must_use]
    pub fn begin(bounds: Bounds, now: Moment) -> Self {
        let after = |span: Option<Duration>| span.map_or(Moment::NEVER, |span| now + span);
        Self {
            bounds,
            silence: after(bounds.silence),
            client: Span {
                until: now + bounds.client,
                beats: 0,
            },
            left: Span {
                until: Moment::NEVER,
                beats: 0,
            },
            idle: Span {
                until: after(bounds.idle),
                beats: 0,
            },
        }
    }

    /// The client ended its sending side, after `beats` signs of life in all.
    pub fn client_ended(&mut self, beats: u64, now: Moment) {
        self.left = Span {
            until: now + LEAVING_TAKES,
            beats,
        };
    }

    /// When to look next.
    #[must_use]
    pub fn next(&self) -> Moment {
        let fixed = self.bounds.request.min(self.bounds.per_try).min(self.silence);
        fixed
            .min(self.client.until)
            .min(self.left.until)
            .min(self.idle.until)
    }

    /// Which limit has passed by now, after `beats` signs of life in all; `client_turn` says whether
    /// the wait is for the client. [`Which::Silence`] is said once.
    pub fn passed(&mut self, beats: u64, client_turn: bool, now: Moment) -> Option<Which> {
        if self.bounds.request <= now {
            return Some(Which::Request);
        }
        if self.bounds.per_try <= now {
            return Some(Which::PerTry);
        }
        if self.silence <= now {
            self.silence = Moment::NEVER;
            return Some(Which::Silence);
        }
        let stuck = self.client.ends(beats, Some(self.bounds.client), now);
        if stuck && client_turn {
            return Some(Which::Client);
        }
        if self.left.ends(beats, Some(LEAVING_TAKES), now) {
            return Some(Which::Left);
        }
        self.idle
            .ends(beats, self.bounds.idle, now)
            .then_some(Which::Idle)
    }
}

impl Span {
    /// Whether it has ended without a beat; if it has ended, the next one begins.
    fn ends(&mut self, beats: u64, length: Option<Duration>, now: Moment) -> bool {
        if self.until > now {
            return false;
        }
        let quiet = self.beats == beats;
        *self = Self {
            until: length.map_or(Moment::NEVER, |length| now + length),
            beats,
        };
        quiet
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOUNDS: Bounds = Bounds {
        request: Moment::from_millis(10_000),
        per_try: Moment::from_millis(5_000),
        silence: Some(Duration::from_millis(2_000)),
        client: Duration::from_millis(600),
        idle: Some(Duration::from_millis(1_000)),
    };

    fn at(ms: u64) -> Moment {
        Moment::from_millis(ms)
    }

    #[test]
    fn a_wait_without_a_sign_of_life_is_idle_after_its_span() {
        let mut deadlines = Deadlines::begin(BOUNDS, at(0));
        assert_eq!(deadlines.next(), at(600));
        assert_eq!(
            deadlines.passed(0, false, at(600)),
            None,
            "it is not the client's turn"
        );
        assert_eq!(deadlines.passed(0, false, at(1_000)), Some(Which::Idle));
    }

    #[test]
    fn a_stuck_client_is_told_from_a_slow_endpoint() {
        let mut deadlines = Deadlines::begin(BOUNDS, at(0));
        assert_eq!(deadlines.passed(0, true, at(600)), Some(Which::Client));
    }

    #[test]
    fn a_beat_moves_the_spans_on_but_not_the_moments() {
        let mut deadlines = Deadlines::begin(BOUNDS, at(0));
        let mut passed = Vec::new();
        for (beats, ms) in (0..10_500).step_by(500).enumerate() {
            passed.extend(
                deadlines
                    .passed(beats as u64, true, at(ms))
                    .map(|which| (which, ms)),
            );
        }
        assert_eq!(passed[0], (Which::Silence, 2_000));
        assert_eq!(passed[1], (Which::PerTry, 5_000));
        assert_eq!(passed.last(), Some(&(Which::Request, 10_000)));
    }

    #[test]
    fn a_client_that_ended_its_side_has_left_once_nothing_moves() {
        let mut deadlines = Deadlines::begin(BOUNDS, at(0));
        deadlines.client_ended(3, at(50));
        assert_eq!(deadlines.next(), at(550));
        assert_eq!(deadlines.passed(4, false, at(550)), None, "it takes its answer");
        assert_eq!(deadlines.next(), at(600), "the client's turn is looked at");
        assert_eq!(deadlines.passed(4, false, at(1_050)), Some(Which::Left));
    }

    #[test]
    fn what_is_unlimited_never_passes() {
        let bounds = Bounds {
            request: Moment::NEVER,
            per_try: Moment::NEVER,
            silence: None,
            client: Duration::MAX,
            idle: None,
        };
        let mut deadlines = Deadlines::begin(bounds, at(0));
        assert_eq!(deadlines.next(), Moment::NEVER);
        assert_eq!(deadlines.passed(0, true, at(1_000_000_000)), None);
    }

    proptest! {
        #[test]
        fn nothing_passes_before_the_next_look(beats in 0_u64..3, turn: bool, ms in 0_u64..12_000) {
            let mut deadlines = Deadlines::begin(BOUNDS, at(0));
            if at(ms) < deadlines.next() {
                prop_assert_eq!(deadlines.passed(beats, turn, at(ms)), None);
            }
        }

        #[test]
        fn a_wait_that_is_looked_at_when_due_always_ends(beat_every in 1_u64..4) {
            let mut deadlines = Deadlines::begin(BOUNDS, at(0));
            let (mut looks, mut now) = (0, at(0));
            loop {
                now = now.max(deadlines.next());
                looks += 1;
                prop_assert!(looks < 100, "never ended");
                match deadlines.passed(looks / beat_every, false, now) {
                    Some(Which::Silence) | None => {}
                    Some(_) => break,
                }
            }
            prop_assert!(now <= BOUNDS.request);
        }
    }
}
