//! Every time limit of an exchange, folded into one next [`Moment`].

use std::time::Duration;

use crate::plan::Timeouts;
use crate::time::Moment;

/// Which time limit ends a wait. Of two that fall on one moment, the first in this order counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Which {
    /// The whole exchange took too long.
    Request,
    /// The attempt took too long.
    PerTry,
    /// The connection was not opened in time.
    Connect,
    /// What was sent was not acknowledged in time: the path is silent.
    Silence,
    /// No byte went either way for too long.
    StreamIdle,
}

/// The time limits of one exchange.
///
/// ```text
///   begin --> attempt --> connected --> sent --> acknowledged --> head --> end
///   Request   ######################################################################
///   PerTry        #####################################################
///   Connect       ##########
///   Silence                             ########
///   StreamIdle    ########### (each byte moves it on) ##############################
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    at: [Moment; 5],
    per_try: Option<Duration>,
    connect: Duration,
    idle: Option<Duration>,
}

impl Deadlines {
    /// An exchange begins.
    #[must_use]
    pub fn begin(timeouts: &Timeouts, now: Moment) -> Self {
        let mut deadlines = Self {
            at: [Moment::NEVER; 5],
            per_try: timeouts.per_try,
            connect: timeouts.connect,
            idle: timeouts.stream_idle,
        };
        deadlines.set(Which::Request, timeouts.request, now);
        deadlines.on_progress(now);
        deadlines
    }

    /// An attempt begins: it asks for a connection.
    pub fn on_attempt(&mut self, now: Moment) {
        self.set(Which::PerTry, self.per_try, now);
        self.clear(Which::Connect);
        self.clear(Which::Silence);
        self.on_progress(now);
    }

    /// A connection is being opened.
    pub fn on_connect(&mut self, now: Moment) {
        self.set(Which::Connect, Some(self.connect), now);
    }

    /// There is a connection, opened or reused.
    pub fn on_connected(&mut self) {
        self.clear(Which::Connect);
    }

    /// Bytes of the request were handed to the kernel; the peer is to acknowledge some within the
    /// connect timeout. Counts from the first call since the last acknowledgement.
    pub fn on_sent(&mut self, now: Moment) {
        if self.at[Which::Silence as usize] == Moment::NEVER {
            self.set(Which::Silence, Some(self.connect), now);
        }
        self.on_progress(now);
    }

    /// The peer has acknowledged bytes of the request, or answered.
    pub fn on_acknowledged(&mut self) {
        self.clear(Which::Silence);
    }

    /// The response head is complete: what is left is its body.
    pub fn on_response_head(&mut self, now: Moment) {
        self.clear(Which::PerTry);
        self.clear(Which::Silence);
        self.on_progress(now);
    }

    /// A byte went one way or the other.
    pub fn on_progress(&mut self, now: Moment) {
        self.set(Which::StreamIdle, self.idle, now);
    }

    /// The exchange has become a tunnel: only silence in both directions ends it.
    pub fn on_tunnel(&mut self, now: Moment) {
        for which in [Which::Request, Which::PerTry, Which::Connect, Which::Silence] {
            self.clear(which);
        }
        self.on_progress(now);
    }

    /// The next limit, and when it is reached.
    #[must_use]
    pub fn next(&self) -> (Moment, Which) {
        ALL.map(|which| (self.at[which as usize], which))
            .into_iter()
            .min()
            .unwrap_or((Moment::NEVER, Which::StreamIdle))
    }

    /// The limit that has been reached by now, the earliest of them.
    #[must_use]
    pub fn reached(&self, now: Moment) -> Option<Which> {
        let (at, which) = self.next();
        (at <= now && at != Moment::NEVER).then_some(which)
    }

    fn set(&mut self, which: Which, span: Option<Duration>, now: Moment) {
        self.at[which as usize] = span.map_or(Moment::NEVER, |span| now + span);
    }

    fn clear(&mut self, which: Which) {
        self.at[which as usize] = Moment::NEVER;
    }
}

const ALL: [Which; 5] = [
    Which::Request,
    Which::PerTry,
    Which::Connect,
    Which::Silence,
    Which::StreamIdle,
];

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Moment = Moment::from_millis;

    fn timeouts() -> Timeouts {
        Timeouts {
            connect: Duration::from_millis(50),
            per_try: Some(Duration::from_millis(200)),
            request: Some(Duration::from_millis(450)),
            stream_idle: Some(Duration::from_millis(300)),
        }
    }

    #[test]
    fn the_nearest_limit_of_each_phase_is_next() {
        let mut limits = Deadlines::begin(&timeouts(), MS(0));
        assert_eq!(limits.next(), (MS(300), Which::StreamIdle));
        limits.on_attempt(MS(10));
        assert_eq!(limits.next(), (MS(210), Which::PerTry));
        limits.on_connect(MS(20));
        assert_eq!(limits.next(), (MS(70), Which::Connect));
        limits.on_connected();
        limits.on_sent(MS(30));
        limits.on_sent(MS(60));
        assert_eq!(
            limits.next(),
            (MS(80), Which::Silence),
            "the first unacknowledged byte counts"
        );
        limits.on_acknowledged();
        assert_eq!(limits.next(), (MS(210), Which::PerTry));
        limits.on_response_head(MS(100));
        assert_eq!(limits.next(), (MS(400), Which::StreamIdle));
        limits.on_progress(MS(200));
        assert_eq!(limits.next(), (MS(450), Which::Request));
        assert_eq!(limits.reached(MS(449)), None);
        assert_eq!(limits.reached(MS(450)), Some(Which::Request));
    }

    #[test]
    fn a_new_attempt_starts_its_own_limits_and_leaves_the_requests_alone() {
        let mut limits = Deadlines::begin(&timeouts(), MS(0));
        limits.on_attempt(MS(0));
        limits.on_sent(MS(0));
        limits.on_attempt(MS(190));
        assert_eq!(limits.next(), (MS(390), Which::PerTry));
        limits.on_attempt(MS(300));
        assert_eq!(limits.next(), (MS(450), Which::Request));
    }

    #[test]
    fn a_tunnel_ends_by_silence_alone() {
        let mut limits = Deadlines::begin(&timeouts(), MS(0));
        limits.on_attempt(MS(0));
        limits.on_tunnel(MS(100));
        assert_eq!(limits.next(), (MS(400), Which::StreamIdle));
    }

    #[test]
    fn without_limits_nothing_is_ever_reached() {
        let none = Timeouts {
            per_try: None,
            request: None,
            stream_idle: None,
            ..Timeouts::default()
        };
        let limits = Deadlines::begin(&none, MS(0));
        assert_eq!(limits.next().0, Moment::NEVER);
        assert_eq!(limits.reached(Moment::NEVER), None);
    }
}
