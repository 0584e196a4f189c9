//! Flows that were forgotten: a middlebox drops the state of an idle connection, or a host dies. Nothing
//! comes back of what is sent then, not even an acknowledgement, and no look shows it before.

use std::time::Duration;

use crate::keepalive::Silent;
use crate::time::Moment;

/// Up to which idle age connections to an endpoint are still remembered on their way.
///
/// ```text
///   None --silent death at age a--> Wary of a for 10 a --silent again at such an age--> for twice as long
///    ^                                 |
///    '--- a request survives age a ----'   (past the time, when one is let through to see)
/// ```
/// A close can be watched for on a spare connection, silence can not: so now and then a request that
/// bears it has to see.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Silence {
    heard: Option<Heard>,
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    age: Duration,
    until: Moment,
    span: Duration,
}

impl Silence {
    /// A request on a connection of this idle age got no acknowledgement at all.
    pub(crate) fn on_silent(&mut self, age: Duration, now: Moment) {
        let alike = |heard: &Heard| heard.age <= age * 2 && age <= heard.age * 2;
        let (youngest, span) = match self.heard.filter(alike) {
            Some(heard) => (heard.age.min(age), heard.span * 2),
            None => (age, age * SPAN_AGES),
        };
        let span = span.clamp(SPAN_MIN, SPAN_MAX);
        self.heard = Some(Heard {
            age: youngest,
            until: now + span,
            span,
        });
    }

    /// A request was answered on a connection of this idle age.
    pub(crate) fn on_survived(&mut self, age: Duration) {
        self.heard = self.heard.filter(|heard| age < heard.age);
    }

    /// What of it outlives the process.
    pub(crate) fn learned(&self, now: Moment) -> Option<Silent> {
        self.heard.map(|heard| Silent {
            age: heard.age,
            left: heard.until.since(now),
            span: heard.span,
        })
    }

    /// Starts from what an earlier process met.
    pub(crate) fn recall(&mut self, silent: Silent, now: Moment) {
        let span = silent.span.clamp(SPAN_MIN, SPAN_MAX);
        self.heard = Some(Heard {
            age: silent.age,
            until: now + silent.left.min(span),
            span,
        });
    }

    /// Whether silence was met, and nothing since speaks against it.
    pub(crate) fn was_met(&self) -> bool {
        self.heard.is_some()
    }

    /// Past this age no connection is used now: a little below where silence was met.
    pub(crate) fn limit(&self, now: Moment) -> Option<Duration> {
        let heard = self.heard.filter(|heard| now < heard.until)?;
        Some(heard.age - heard.age / 10)
    }
}

/// How long the first silence is believed, in multiples of the idle age at which it was met: one
/// connection in ten may find out, at the earliest.
const SPAN_AGES: u32 = 10;

/// … and at least, at most.
const SPAN_MIN: Duration = Duration::from_secs(1);
const SPAN_MAX: Duration = Duration::from_secs(86_400);

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;
    const AT: fn(u64) -> Moment = |seconds| Moment::from_millis(seconds * 1000);

    #[test]
    fn a_forgotten_flow_moves_the_limit_at_once_and_is_tried_again_ever_more_rarely() {
        let mut silence = Silence::default();
        assert_eq!(silence.limit(AT(0)), None);
        silence.on_silent(S(350), AT(1000));
        assert_eq!(silence.limit(AT(1000)), Some(S(315)));
        assert_eq!(silence.limit(AT(4500)), None, "one is let through to see");
        silence.on_silent(S(340), AT(4500));
        assert_eq!(silence.limit(AT(11_000)), Some(S(306)), "for twice as long");
        silence.on_survived(S(300));
        assert!(silence.limit(AT(11_000)).is_some(), "a younger one says nothing");
        silence.on_survived(S(340));
        assert_eq!(silence.limit(AT(11_000)), None);
    }

    #[test]
    fn a_host_that_died_is_forgiven_soon() {
        let mut silence = Silence::default();
        silence.on_silent(Duration::from_millis(40), AT(0));
        silence.on_silent(Duration::from_millis(900), AT(0));
        assert!(silence.limit(AT(8)).is_some());
        assert_eq!(silence.limit(AT(9)), None);
    }
}
