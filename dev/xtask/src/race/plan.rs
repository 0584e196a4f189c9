//! What can be raced: ways in which a backend fails, methods, bodies.

use std::time::Duration;

use clap::ValueEnum;
use serde::{Serialize, Serializer};

/// How the backend, or the wire, fails the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub(crate) enum Way {
    /// close() of an idle connection
    #[value(name = "w1")]
    Close,
    /// bare RST of an idle connection
    #[value(name = "w2")]
    Reset,
    /// shutdown of the sending half of an idle connection; what comes is read and discarded
    #[value(name = "w3")]
    HalfClose,
    /// says 408 as it closes an idle connection
    #[value(name = "farewell")]
    Farewell,
    /// says 400 as it closes an idle connection
    #[value(name = "farewell-400")]
    Farewell400,
    /// says 503 as it closes an idle connection
    #[value(name = "farewell-503")]
    Farewell503,
    /// sends an answer that nobody asked for on an idle connection, and goes on serving
    #[value(name = "stale")]
    Stale,
    /// close() of an idle connection, and the wire delays the FIN by 50 ms more than anything else
    #[value(name = "late-fin")]
    LateFin,
    /// close() of an idle connection behind a TCP proxy beside evenkeel; the path is 40 ms there and back
    #[value(name = "proxied")]
    Proxied,
    /// all 20 idle connections of an endpoint are reset at once, under requests
    #[value(name = "burst-reset")]
    BurstReset,
    /// all 20 idle connections of an endpoint fall silent at once, under requests
    #[value(name = "burst-silent")]
    BurstSilent,
    /// all 8 idle connections of an endpoint fall silent; one request meets it, seven follow
    #[value(name = "forgotten")]
    Forgotten,
    /// one connection in ten is reset at an idle age of 20 to 200 ms; pauses of 10 to 250 ms
    #[value(name = "young-rst")]
    YoungReset,
    /// close() of an idle connection of a Unix socket; there is no wire that sees it
    #[value(name = "unix")]
    UnixSocket,
    /// processes the request, then FIN without an answer
    #[value(name = "a1")]
    ProcessThenFin,
    /// processes the request, then RST
    #[value(name = "a2")]
    ProcessThenReset,
    /// processes on the head alone, then RST
    #[value(name = "a3")]
    HeadThenReset,
    /// processes the request, then half a status line and FIN
    #[value(name = "a4")]
    HalfStatusLine,
    /// processes the request, then SIGKILL
    #[value(name = "a5")]
    Kill,
    /// the wire drops every packet of the connection
    #[value(name = "s1")]
    Silence,
    /// a middlebox answers the request with an RST
    #[value(name = "s2")]
    Middlebox,
    /// no race: pauses well under the backend's timeout
    #[value(name = "steady")]
    Steady,
}

impl Way {
    /// Its short name, as on the command line.
    pub(crate) fn name(self) -> String {
        value_name(self)
    }

    /// What it does, in a few words.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Close => "close()",
            Self::Reset => "bare RST",
            Self::HalfClose => "shutdown(WR), drain",
            Self::Farewell => "408, then close()",
            Self::Farewell400 => "400, then close()",
            Self::Farewell503 => "503, then close()",
            Self::Stale => "an answer that nobody asked for",
            Self::LateFin => "close(), the FIN 50 ms late",
            Self::Proxied => "close(), behind a TCP proxy",
            Self::BurstReset => "20 connections reset at once",
            Self::BurstSilent => "20 connections silent at once",
            Self::Forgotten => "8 connections silent, one met first",
            Self::YoungReset => "RSTs at young ages",
            Self::UnixSocket => "close(), on a Unix socket",
            Self::ProcessThenFin => "processed, then FIN",
            Self::ProcessThenReset => "processed, then RST",
            Self::HeadThenReset => "head processed, then RST",
            Self::HalfStatusLine => "processed, half a status line, FIN",
            Self::Kill => "processed, then SIGKILL",
            Self::Silence => "silence",
            Self::Middlebox => "RST by a middlebox",
            Self::Steady => "steady traffic",
        }
    }

    /// What a lane does.
    pub(crate) fn script(self) -> Script {
        match self {
            Self::Close
            | Self::Reset
            | Self::HalfClose
            | Self::Farewell
            | Self::Farewell400
            | Self::Farewell503
            | Self::Stale
            | Self::LateFin
            | Self::Proxied
            | Self::UnixSocket => Script::Aim,
            Self::Steady | Self::YoungReset => Script::Steady,
            Self::BurstReset => Script::Team(Ending::Reset),
            Self::BurstSilent => Script::Team(Ending::Silence),
            Self::Forgotten => Script::Team(Ending::SilenceOneFirst),
            Self::Silence => Script::Silence,
            Self::Middlebox => Script::Middlebox,
            Self::ProcessThenFin
            | Self::ProcessThenReset
            | Self::HeadThenReset
            | Self::HalfStatusLine
            | Self::Kill => Script::Act,
        }
    }

    /// The status line that the backend sends unasked when a connection has been idle for its time.
    pub(crate) fn says_unasked(self) -> Option<&'static str> {
        match self {
            Self::Farewell => Some("408 Request Timeout"),
            Self::Farewell400 => Some("400 Bad Request"),
            Self::Farewell503 => Some("503 Service Unavailable"),
            Self::Stale => Some("200 OK"),
            _ => None,
        }
    }

    /// How much later than everything else the wire delivers the backend's FINs.
    pub(crate) fn fin_delay(self) -> Duration {
        if self == Self::LateFin {
            FIN_DELAY
        } else {
            Duration::ZERO
        }
    }

    /// How many clients share an endpoint.
    pub(crate) fn team(self) -> usize {
        match self {
            Self::BurstReset | Self::BurstSilent => 20,
            Self::Forgotten => 8,
            _ => 1,
        }
    }

    /// Whether the backend listens on Unix sockets, which no wire carries.
    pub(crate) fn is_local(self) -> bool {
        self == Self::UnixSocket
    }

    /// Whether a TCP proxy stands between the proxy and the wire.
    pub(crate) fn is_relayed(self) -> bool {
        self == Self::Proxied
    }

    /// The wire's one-way delay, where a user asks for `asked`.
    pub(crate) fn delay(self, asked: Duration) -> Duration {
        if self == Self::Proxied {
            asked.max(PROXIED_DELAY)
        } else {
            asked
        }
    }

    /// The way with this short name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::from_str(name, false).ok()
    }
}

/// What a lane does again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    /// Sends each request so that it arrives about when the backend's idle timer fires.
    Aim,
    /// Sends a request that tells the backend how to fail it.
    Act,
    /// Has the wire silence the lane, then sends.
    Silence,
    /// Has the wire answer the next request with an RST.
    Middlebox,
    /// Pauses well under the idle timeout.
    Steady,
    /// Together with others, fills the pool of an endpoint whose connections then end so.
    Team(Ending),
}

/// How all connections of an endpoint end at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The backend resets them.
    Reset,
    /// The wire forgets them.
    Silence,
    /// The wire forgets them; one request meets that before the others follow.
    SilenceOneFirst,
}

/// A request method, with chunked POST as one of its own: its end is seen by nobody in advance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Method {
    /// GET
    #[value(name = "GET", alias = "get")]
    Get,
    /// POST with a Content-Length
    #[value(name = "POST", alias = "post")]
    Post,
    /// POST with a chunked body
    #[value(name = "POST-chunked", alias = "post-chunked")]
    PostChunked,
    /// PUT
    #[value(name = "PUT", alias = "put")]
    Put,
    /// DELETE
    #[value(name = "DELETE", alias = "delete")]
    Delete,
}

impl Method {
    /// The word on the request line.
    pub(crate) fn token(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post | Self::PostChunked => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }

    /// Whether doing it twice is as good as doing it once (RFC 9110 section 9.2.2).
    pub(crate) fn is_idempotent(self) -> bool {
        !matches!(self, Self::Post | Self::PostChunked)
    }

    /// The bodies it is raced with: bytes and weight. The largest is rare, so that the wire's own
    /// queues do not blur the aim of the others.
    pub(crate) fn bodies(self) -> &'static [(usize, u32)] {
        match self {
            Self::Get | Self::Delete => &[(0, 1)],
            Self::PostChunked => &[(100, 70), (40_000, 28), (1_000_000, 2)],
            Self::Post | Self::Put => &[(0, 35), (100, 35), (40_000, 28), (1_000_000, 2)],
        }
    }

    /// Its name in tables and on the command line.
    pub(crate) fn name(self) -> String {
        value_name(self)
    }
}

impl Serialize for Method {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name())
    }
}

impl Serialize for Way {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name())
    }
}

const FIN_DELAY: Duration = Duration::from_millis(50);
/// Behind a TCP proxy the backend is far away, as seen from the proxy's own side.
const PROXIED_DELAY: Duration = Duration::from_millis(20);

fn value_name<T: ValueEnum>(value: T) -> String {
    value
        .to_possible_value()
        .map_or_else(String::new, |value| value.get_name().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_and_method_is_found_by_its_own_name() {
        for way in Way::value_variants() {
            assert_eq!(Way::from_name(&way.name()), Some(*way));
        }
        for method in Method::value_variants() {
            assert_eq!(Method::from_str(&method.name(), false), Ok(*method));
        }
    }
}
