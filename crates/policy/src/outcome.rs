//! Why an exchange ended, and what each party is told: status, flag, details and body are chosen
//! here and nowhere else. Flags, details and bodies are Envoy's, so that dashboards carry over.

mod sentence;

use std::borrow::Cow;
use std::time::Duration;

pub use sentence::{Story, Then, advice, sentence};

use crate::cluster::Refusal;
use crate::rate_limit::Quota;

/// Envoy's short response flags, the ones that evenkeel can raise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flag {
    /// NoRouteFound.
    NR,
    /// NoClusterFound: the route names a backend that does not exist.
    NC,
    /// NoHealthyUpstream.
    UH,
    /// UpstreamConnectionFailure.
    UF,
    /// UpstreamOverflow.
    UO,
    /// UpstreamRequestTimeout.
    UT,
    /// UpstreamConnectionTermination: the connection ended before the response did, by FIN or RST.
    UC,
    /// UpstreamRemoteReset: an HTTP/2 stream was reset by the endpoint.
    UR,
    /// UpstreamRetryLimitExceeded.
    URX,
    /// UpstreamProtocolError.
    UPE,
    /// DownstreamConnectionTermination.
    DC,
    /// DownstreamProtocolError.
    DPE,
    /// StreamIdleTimeout.
    SI,
    /// LocalReset.
    LR,
    /// DnsResolutionFailed.
    DF,
    /// RateLimited.
    RL,
}

impl Flag {
    /// Every flag, in the order in which several are written.
    pub const ALL: [Self; 16] = [
        Self::NR,
        Self::NC,
        Self::UH,
        Self::UF,
        Self::UO,
        Self::UT,
        Self::UC,
        Self::UR,
        Self::URX,
        Self::UPE,
        Self::DC,
        Self::DPE,
        Self::SI,
        Self::LR,
        Self::DF,
        Self::RL,
    ];

    /// Its short form, as logs have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NR => "NR",
            Self::NC => "NC",
            Self::UH => "UH",
            Self::UF => "UF",
            Self::UO => "UO",
            Self::UT => "UT",
            Self::UC => "UC",
            Self::UR => "UR",
            Self::URX => "URX",
            Self::UPE => "UPE",
            Self::DC => "DC",
            Self::DPE => "DPE",
            Self::SI => "SI",
            Self::LR => "LR",
            Self::DF => "DF",
            Self::RL => "RL",
        }
    }
}

/// Some flags; displayed as `UC,URX`, or `-` for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FlagSet(u16);

impl FlagSet {
    /// None.
    pub const NONE: Self = Self(0);

    /// This set and one more flag.
    #[must_use]
    pub const fn with(self, flag: Flag) -> Self {
        Self(self.0 | 1 << flag as u16)
    }

    /// Whether the flag is in it.
    #[must_use]
    pub const fn has(self, flag: Flag) -> bool {
        self.0 & 1 << flag as u16 != 0
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Adds a flag.
    pub const fn insert(&mut self, flag: Flag) {
        *self = self.with(flag);
    }

    /// Its flags, in their order.
    pub fn iter(self) -> impl Iterator<Item = Flag> {
        Flag::ALL.into_iter().filter(move |&flag| self.has(flag))
    }
}

impl std::ops::BitOrAssign for FlagSet {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl std::fmt::Display for FlagSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 == 0 {
            return f.write_str("-");
        }
        for (at, flag) in self.iter().enumerate() {
            f.write_str(if at > 0 { "," } else { "" })?;
            f.write_str(flag.as_str())?;
        }
        Ok(())
    }
}

/// Why an exchange ended without a complete response of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The client's head is not one that we forward. The parser knows which status it calls for,
    /// and Envoy's name for the reason (`http1.codec_error` …).
    BadRequest {
        /// 400, 413, 414, 417, 431, 501 or 505.
        status: u16,
        /// The response code details.
        details: &'static str,
    },
    /// The client's head did not come in time.
    HeadTimeout,
    /// The client's body did not come on.
    BodyTimeout,
    /// The client left.
    DownstreamLeft,
    /// No route matches.
    NoRoute,
    /// The route leads nowhere: it has no backend, or one that does not exist.
    NoCluster,
    /// An `OPTIONS` request with `Max-Forwards: 0` (RFC 9110, section 7.6.2): we are its last
    /// recipient.
    OptionsEndsHere,
    /// A `TRACE` request with `Max-Forwards: 0`. What it would reflect may be another's secret.
    TraceEndsHere,
    /// An upgrade that we do not take part in.
    UpgradeRefused,
    /// The client has used up what the route's rate limit lets it have.
    RateLimited(Quota),
    /// The checkout was refused.
    Refused(Refusal),
    /// The endpoint's name has no address.
    Unresolved,
    /// The connection could not be opened.
    Connect {
        /// The system's words, as `Connection refused`.
        reason: Cow<'static, str>,
    },
    /// The connection was not opened in time.
    ConnectTimeout,
    /// The connection ended before the response head was complete.
    Died {
        /// What the socket said, where it said more than that the peer closed.
        reason: Option<Cow<'static, str>>,
    },
    /// The path to the endpoint is silent: nothing that was sent is acknowledged.
    Silent,
    /// The connection ended after the response head had been sent on.
    Truncated,
    /// The endpoint's response is not HTTP as we know it.
    Protocol {
        /// What it is instead, in a few words (`the endpoint speaks uwsgi`).
        reason: Cow<'static, str>,
    },
    /// … after the response head had been sent on.
    ProtocolInBody,
    /// The attempt took longer than the per-try timeout.
    PerTryTimeout,
    /// The exchange took longer than the request timeout.
    RequestTimeout,
    /// No byte went either way for too long, and it was the client's turn.
    IdleDownstream,
    /// No byte went either way for too long, and it was the endpoint's turn.
    IdleUpstream,
    /// A limit ran out after the response head had been sent on.
    LateTimeout,
}

/// What came before the failure, as far as the verdict depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Before {
    /// The request had been sent again.
    pub made_again: bool,
    /// It would have been once more, had that been allowed.
    pub limit_exceeded: bool,
}

/// What each party is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The status of our answer; `None` if there is nobody to answer, or an answer has begun (the
    /// connection is closed then, so that nobody takes it for complete).
    pub status: Option<u16>,
    /// The log's flags.
    pub flags: FlagSet,
    /// Envoy's response code details.
    pub details: Cow<'static, str>,
    /// The answer's body, plain text; may be empty.
    pub body: Cow<'static, str>,
    /// `x-envoy-overloaded: true` goes with it.
    pub overloaded: bool,
    /// `Retry-After`.
    pub retry_after: Option<Duration>,
    /// `RateLimit` and `RateLimit-Policy`.
    pub quota: Option<Quota>,
}

/// The verdict on a failure.
#[must_use]
pub fn verdict(failure: &Failure, before: Before) -> Verdict {
    let mut verdict = match failure {
        Failure::BadRequest { status, details } => {
            plain(Some(*status), Some(Flag::DPE), details, reason(*status))
        }
        Failure::HeadTimeout => plain(
            Some(408),
            Some(Flag::DPE),
            "request_header_timeout",
            "request header timeout",
        ),
        Failure::BodyTimeout => plain(Some(408), Some(Flag::SI), "stream_idle_timeout", "stream timeout"),
        Failure::DownstreamLeft => plain(None, Some(Flag::DC), "downstream_remote_disconnect", ""),
        Failure::NoRoute => plain(Some(404), Some(Flag::NR), "route_not_found", ""),
        // The Gateway API asks for 500 where Envoy's own default is 503.
        Failure::NoCluster => plain(Some(500), Some(Flag::NC), "cluster_not_found", ""),
        Failure::OptionsEndsHere => plain(Some(200), None, "direct_response", ""),
        Failure::TraceEndsHere => plain(Some(405), None, "direct_response", ""),
        Failure::UpgradeRefused => plain(Some(403), None, "upgrade_failed", ""),
        Failure::RateLimited(quota) => Verdict {
            retry_after: Some(Duration::from_secs(quota.retry_after())),
            quota: Some(*quota),
            ..plain(Some(429), Some(Flag::RL), RATE_LIMITED, RATE_LIMITED)
        },
        Failure::Refused(Refusal::NoEndpoint) => plain(
            Some(503),
            Some(Flag::UH),
            "no_healthy_upstream",
            "no healthy upstream",
        ),
        Failure::Refused(Refusal::Overflow | Refusal::Shed) => Verdict {
            overloaded: true,
            retry_after: Some(RETRY_AFTER),
            ..reset(503, Flag::UO, "overflow", None, before)
        },
        Failure::Unresolved => plain(
            Some(503),
            Some(Flag::DF),
            "dns_resolution_failure",
            "DNS resolution failure",
        ),
        Failure::Connect { reason } => {
            reset(503, Flag::UF, "remote connection failure", Some(reason), before)
        }
        Failure::ConnectTimeout => reset(503, Flag::UF, "connection timeout", None, before),
        Failure::Died { reason } => reset(503, Flag::UC, "connection termination", reason.as_deref(), before),
        Failure::Silent => reset(503, Flag::UC, "connection termination", Some(SILENCE), before),
        Failure::Protocol { reason } => reset(502, Flag::UPE, "protocol error", Some(reason), before),
        Failure::Truncated => plain(
            None,
            Some(Flag::UC),
            "upstream_reset_after_response_started{connection_termination}",
            "",
        ),
        Failure::ProtocolInBody => plain(
            None,
            Some(Flag::UPE),
            "upstream_reset_after_response_started{protocol_error}",
            "",
        ),
        Failure::PerTryTimeout => plain(Some(504), Some(Flag::UT), "upstream_per_try_timeout", TIMEOUT),
        Failure::RequestTimeout => plain(Some(504), Some(Flag::UT), "response_timeout", TIMEOUT),
        Failure::IdleDownstream => plain(Some(408), Some(Flag::SI), "stream_idle_timeout", "stream timeout"),
        Failure::IdleUpstream => plain(Some(504), Some(Flag::SI), "stream_idle_timeout", "stream timeout"),
        Failure::LateTimeout => plain(None, Some(Flag::UT), "response_timeout", ""),
    };
    if before.limit_exceeded {
        verdict.flags = verdict.flags.with(Flag::URX);
    }
    verdict
}

fn plain(status: Option<u16>, flag: Option<Flag>, details: &'static str, body: &'static str) -> Verdict {
    Verdict {
        status,
        flags: flag.map_or(FlagSet::NONE, |flag| FlagSet::NONE.with(flag)),
        details: Cow::Borrowed(details),
        body: Cow::Borrowed(body),
        overloaded: false,
        retry_after: None,
        quota: None,
    }
}

/// The verdict on an attempt that was reset before its response: Envoy's body names the reason,
/// its details have the same with underscores.
fn reset(status: u16, flag: Flag, why: &'static str, transport: Option<&str>, before: Before) -> Verdict {
    let latest = if before.made_again {
        "retried and the latest "
    } else {
        ""
    };
    let mut body =
        format!("upstream connect error or disconnect/reset before headers. {latest}reset reason: {why}");
    let mut details = format!("upstream_reset_before_response_started{{{why}");
    if let Some(transport) = transport {
        body.push_str(", transport failure reason: ");
        body.push_str(transport);
        details.push('|');
        details.push_str(transport);
    }
    details.push('}');
    Verdict {
        details: Cow::Owned(details.replace(char::is_whitespace, "_")),
        body: Cow::Owned(body),
        ..plain(Some(status), Some(flag), "", "")
    }
}

/// The body that goes with a refused head.
const fn reason(status: u16) -> &'static str {
    match status {
        413 => "Payload Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        505 => "HTTP Version Not Supported",
        _ => "Bad Request",
    }
}

const RATE_LIMITED: &str = "local_rate_limited";

const TIMEOUT: &str = "upstream request timeout";

const SILENCE: &str = "nothing that was sent is acknowledged";

/// After an overflow: long enough for a burst to pass, short enough for nobody to give up.
const RETRY_AFTER: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
