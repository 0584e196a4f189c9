//! Every time limit of a wait, folded into one next [`Moment`].

use std::time::Duration;

use crate::freeze::Freeze;
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
    /// It was the client's turn, and no byte came or went for as long as clients may take.
    Client,
    /// The same, for as long as the policy of the cluster lets nothing move.
    ClientIdle,
    /// The client ended its sending side a while ago, and no byte came or went since.
    Left,
    /// No byte went either way for too long, and it was the endpoint's turn.
    Idle,
}

/// A client that ends its sending side behind its request may still want the answer, as scripts do that
/// feed a socket; nearly always it has given up. It is waited for this long without a byte, so that
/// whoever gave up holds no place of others when an endpoint that had stalled comes back.
pub const LEAVING_TAKES: Duration = Duration::from_millis(500);

/// An endpoint that closes its connection after it has waited this long for the client's next byte has
/// grown tired of the client: that is no fault of the endpoint. Servers wait for a body's next byte for a
/// second at the least, commonly for 30 to 60.
pub const STALLED_AFTER: Duration = Duration::from_secs(1);

/// What bounds a wait. All spans: where they begin depends on the client (see [`Deadlines`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// When the attempt asked for a connection.
    pub asked: Moment,
    /// The longest that the exchange may take from the request's end on; `None` for any.
    pub request: Option<Duration>,
    /// The longest that the attempt may take; `None` for any.
    pub per_try: Option<Duration>,
    /// After this long without an answer, the acknowledgements are asked for; `None` for never.
    pub silence: Option<Duration>,
    /// The longest time without a byte while it is the client's turn.
    pub client: Duration,
    /// The longest time without a byte either way; `None` for any.
    pub idle: Option<Duration>,
}

/// Who is waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Turn {
    /// The client: more of its request is to come, or it is to take more of its answer.
    Client,
    /// The endpoint.
    #[default]
    Endpoint,
}

/// What has been seen so far of what is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signs {
    /// When the last byte came or went, or the wait began.
    pub moved: Moment,
    /// Who is waited for now.
    pub turn: Turn,
    /// When the last byte of the request had come; `None` while more is to come.
    pub whole: Option<Moment>,
}

/// How much of a request had come from its client when an attempt ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arrival {
    /// All of it: what the attempt took says how quick the endpoint is.
    #[default]
    Whole,
    /// A part: how long it took says something of the client, too.
    Coming,
    /// A part, and the next byte had been waited for for [`STALLED_AFTER`]: an end says nothing of the
    /// endpoint.
    Stalled,
}

impl Bounds {
    /// The acknowledgements are asked for after this long, if that is sooner.
    pub fn heard_within(&mut self, span: Option<Duration>) {
        self.silence = [self.silence, span].into_iter().flatten().min();
    }
}

/// The time limits of one wait.
///
/// ```text
///            client sends its body          it has come whole            answered
///   Request  . . . . . . . . . . . . . . . .########################|
///   PerTry   . . . . . . . . . . . . . . . .###############|
///   Silence  ############|  (once)
///   Client   ####|--byte--####|             (only while it is the client's turn)
///   Left                                    ####|  (once the client has ended its sending side)
///   Idle     ########|--byte--########|     (whoever's turn it is)
/// ```
/// `Request` and `PerTry` limit endpoints, so they do not run while a client is waited for: as in Envoy they
/// begin once the request has come whole, which the Gateway API allows. Before that they limit how long an
/// endpoint may take no byte of what has come.
#[derive(Clone, Debug)]
pub struct Deadlines {
    bounds: Bounds,
    silence: Moment,
    /// When the client ended its sending side; [`Moment::NEVER`] while it has not.
    ended: Moment,
    /// The last freeze of our own since it began.
    freeze: Freeze,
}

impl Deadlines {
    /// A wait begins.
    #[must_use]
    pub fn begin(bounds: Bounds, now: Moment) -> Self {
        Self {
            bounds,
            silence: after(now, bounds.silence),
            ended: Moment::NEVER,
            freeze: Freeze {
                began: now,
                ended: now,
            },
        }
    }

    /// The client ended its sending side.
    pub fn client_ended(&mut self, now: Moment) {
        self.ended = now;
    }

    /// This thread was frozen last then: what could not be heard meanwhile is waited for that much longer, but
    /// for no more than twice as long as otherwise.
    pub fn excuse(&mut self, freeze: Freeze) {
        if freeze.ended > self.freeze.ended {
            self.silence = self.silence + freeze.ended.since(freeze.began.max(self.freeze.ended));
            self.freeze = freeze;
        }
    }

    /// When to look next, if nothing else is seen until then.
    #[must_use]
    pub fn next(&self, signs: &Signs) -> Moment {
        self.limits(signs)
            .into_iter()
            .map(|(_, at)| at)
            .min()
            .unwrap_or(Moment::NEVER)
    }

    /// Which limit has passed by now. [`Which::Silence`] is said once.
    pub fn passed(&mut self, signs: &Signs, now: Moment) -> Option<Which> {
        let limits = self.limits(signs);
        let (which, _) = limits.into_iter().find(|&(_, at)| at <= now)?;
        if which == Which::Silence {
            self.silence = Moment::NEVER;
        }
        Some(which)
    }

    /// The end of a span, which a freeze within it does not shorten.
    fn after(&self, begin: Moment, span: Option<Duration>) -> Moment {
        let Some(span) = span else {
            return Moment::NEVER;
        };
        let frozen = self.freeze.ended.since(self.freeze.began.max(begin));
        begin + span + frozen.min(span)
    }

    /// Every limit with its moment, the one that counts first first.
    fn limits(&self, signs: &Signs) -> [(Which, Moment); 5] {
        let Bounds {
            asked,
            request,
            per_try,
            client,
            idle,
            ..
        } = self.bounds;
        // A wait for a client is none for the endpoint.
        let awaited = match (signs.whole, signs.turn) {
            (Some(whole), _) => whole,
            (None, Turn::Endpoint) => signs.moved,
            (None, Turn::Client) => Moment::NEVER,
        };
        let quiet = match (signs.turn, idle) {
            (Turn::Client, Some(idle)) if idle < client => (Which::ClientIdle, Some(idle)),
            (Turn::Client, _) => (Which::Client, Some(client)),
            (Turn::Endpoint, _) => (Which::Idle, idle),
        };
        let left = self.ended.max(signs.moved);
        [
            (Which::Request, self.after(awaited, request)),
            (Which::PerTry, self.after(awaited.max(asked), per_try)),
            (Which::Silence, self.silence),
            (quiet.0, self.after(signs.moved, quiet.1)),
            (Which::Left, self.after(left, Some(LEAVING_TAKES))),
        ]
    }
}

impl Signs {
    /// How much of the request had come, for an attempt that ends now.
    #[must_use]
    pub fn arrival(&self, now: Moment) -> Arrival {
        match (self.whole, self.turn) {
            (Some(_), _) => Arrival::Whole,
            (None, Turn::Client) if now.since(self.moved) >= STALLED_AFTER => Arrival::Stalled,
            (None, _) => Arrival::Coming,
        }
    }
}

fn after(begin: Moment, span: Option<Duration>) -> Moment {
    span.map_or(Moment::NEVER, |span| begin + span)
}

#[cfg(test)]
mod tests;
