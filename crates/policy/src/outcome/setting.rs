//! Settings by their names, with the values that they have now.

use std::fmt;
use std::time::Duration;

use crate::plan::{ClusterPlan, RetryPlan, Timeouts};
use crate::route::{Limit, Route};

/// A setting and its value, as `HTTPRoute timeouts.request = 300ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Kind and path.
    pub name: &'static str,
    /// Its value.
    pub value: Value,
    /// Whether that is what it is where nobody sets it.
    pub default: bool,
}

/// A value as it is written in a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// A span of time.
    Span(Duration),
    /// A number.
    Count(u64),
    /// A number of bytes.
    Bytes(u64),
}

impl Setting {
    /// A span of time, beside its default.
    #[must_use]
    pub fn span(name: &'static str, value: Duration, default: Duration) -> Self {
        Self {
            name,
            value: Value::Span(value),
            default: value == default,
        }
    }

    /// A number, beside its default.
    #[must_use]
    pub fn count(name: &'static str, value: u32, default: u32) -> Self {
        Self {
            name,
            value: Value::Count(value.into()),
            default: value == default,
        }
    }

    /// A number of bytes, beside its default.
    #[must_use]
    pub fn bytes(name: &'static str, value: usize, default: usize) -> Self {
        Self {
            name,
            value: Value::Bytes(value as u64),
            default: value == default,
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let default = if self.default { " (the default)" } else { "" };
        write!(f, "{} = {}{default}", self.name, self.value)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Span(span) => write_span(span, f),
            Self::Count(count) => write!(f, "{count}"),
            Self::Bytes(bytes) if bytes > 0 && bytes.is_multiple_of(1 << 20) => {
                write!(f, "{}Mi", bytes >> 20)
            }
            Self::Bytes(bytes) if bytes > 0 && bytes.is_multiple_of(1 << 10) => {
                write!(f, "{}Ki", bytes >> 10)
            }
            Self::Bytes(bytes) => write!(f, "{bytes}"),
        }
    }
}

fn write_span(span: Duration, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let millis = span.as_millis();
    let units = [(3_600_000, "h"), (60_000, "m"), (1000, "s")];
    let whole = units
        .into_iter()
        .find(|(unit, _)| millis > 0 && millis.is_multiple_of(*unit));
    match whole {
        Some((unit, name)) => write!(f, "{}{name}", millis / unit),
        None => write!(f, "{millis}ms"),
    }
}

/// How the clients of a listener are treated, as far as failures tell of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientSettings {
    /// From a head's first byte to its last.
    pub head_timeout: Setting,
    /// Between two bytes of a body, either way.
    pub body_timeout: Setting,
    /// Bytes of a head.
    pub head_bytes: Setting,
    /// Fields of a head.
    pub fields: Setting,
    /// Bytes of a request line.
    pub request_line: Setting,
    /// Bytes of a trailer section, which nobody can set.
    pub trailer_bytes: u64,
}

/// The settings that one exchange ran under.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// Of the listener.
    pub client: ClientSettings,
    /// The route, once it was found.
    pub route: Option<&'a Route>,
    /// Its cluster's plan.
    pub plan: Option<&'a ClusterPlan>,
    /// The request timeout in force; where neither route nor plan set it, `autoTimeout` did.
    pub auto_timeout: Option<Duration>,
}

impl Settings<'_> {
    /// The limit on the whole request.
    pub(super) fn request_timeout(&self) -> Option<Setting> {
        if let Some(limit) = self.route?.request_timeout {
            return of_route("HTTPRoute timeouts.request", limit);
        }
        let configured = self.plan?.timeouts.request;
        configured
            .map(|span| set("BackendTrafficPolicy timeout.http.requestTimeout", span))
            .or_else(|| {
                let auto = self.auto_timeout?;
                Some(set("BackendTrafficPolicy timeout.http.autoTimeout, now", auto))
            })
    }

    /// The limit on one attempt.
    pub(super) fn per_try_timeout(&self) -> Option<Setting> {
        if let Some(limit) = self.route?.per_try_timeout {
            return of_route("HTTPRoute timeouts.backendRequest", limit);
        }
        let span = self.plan?.timeouts.per_try?;
        Some(set("BackendTrafficPolicy timeout.http.perTryTimeout", span))
    }

    /// The limit on a connection's opening.
    pub(super) fn connect_timeout(&self) -> Option<Setting> {
        let (span, usual) = (self.plan?.timeouts.connect, Timeouts::default().connect);
        let name = "BackendTrafficPolicy timeout.tcp.connectTimeout";
        Some(Setting::span(name, span, usual))
    }

    /// The limit on a stream without a byte.
    pub(super) fn stream_idle(&self) -> Option<Setting> {
        let span = self.plan?.timeouts.stream_idle?;
        let usual = Timeouts::default().stream_idle.unwrap_or_default();
        let name = "BackendTrafficPolicy timeout.http.streamIdleTimeout";
        Some(Setting::span(name, span, usual))
    }

    /// The limit on a request's body.
    pub(super) fn request_body(&self) -> Option<Setting> {
        Some(Setting {
            name: "BackendTrafficPolicy maxRequestBodyBytes",
            value: Value::Bytes(self.plan?.request_body_max?),
            default: false,
        })
    }

    /// How much of a request is kept for a replay.
    pub(super) fn replay_buffer(&self) -> Option<Setting> {
        let plan = self.plan?;
        let usual = ClusterPlan::default().keep_alive.replay_bytes;
        let name = "BackendTrafficPolicy keepAlive.replayBuffer";
        Some(Setting::bytes(name, plan.keep_alive.replay_bytes, usual))
    }

    /// The owner's word on retries, and how many it allows.
    pub(super) fn retry(&self) -> Option<Setting> {
        let (name, plan) = match self.route?.retry.as_ref() {
            Some(plan) => ("HTTPRoute retry.attempts", plan),
            None => ("BackendTrafficPolicy retry.numRetries", &self.plan?.retry),
        };
        match plan {
            RetryPlan::Transparent => None,
            RetryPlan::Owner(owner) => Some(Setting {
                name,
                value: Value::Count(owner.attempts.into()),
                default: false,
            }),
        }
    }
}

fn set(name: &'static str, span: Duration) -> Setting {
    Setting {
        name,
        value: Value::Span(span),
        default: false,
    }
}

fn of_route(name: &'static str, limit: Limit) -> Option<Setting> {
    match limit {
        Limit::Unlimited => None,
        Limit::After(span) => Some(set(name, span)),
    }
}
