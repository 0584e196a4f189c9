//! What must not cross a proxy, in either direction (RFC 9110, 7.6).
//!
//! Never forwarded: `Connection` and the fields it names, `Keep-Alive`, `Proxy-Connection`, `TE` (but
//! for `trailers`), `Transfer-Encoding`, `Upgrade` (unless upgrading), `HTTP2-Settings`. Also
//! `Proxy-Authorization`, which holds credentials for a proxy that the client chose, and
//! `Proxy-Authenticate`, which asks for them: we are no such proxy, and an endpoint that got the one
//! could steal it. `Trailer` is kept, since trailers are.

use crate::bytes::{is_token, is_word};
use crate::field::{Fields, Known, KnownSet};
use crate::h1::head::{Method, RequestHead, Version};
use crate::shown_by_its_sentence;

/// The fields that end at this hop whatever `Connection` says.
pub(crate) const HOP_BY_HOP: KnownSet = KnownSet::of(&[
    Known::Connection,
    Known::KeepAlive,
    Known::ProxyConnection,
    Known::ProxyAuthenticate,
    Known::ProxyAuthorization,
    Known::Te,
    Known::TransferEncoding,
    Known::Upgrade,
    Known::Http2Settings,
]);

/// Why a message was refused for what it asks of this hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HopError {
    /// `Connection` names a field that it may not remove; see [`check_connection`].
    ProtectedField,
    /// An option of `Connection` is no token, so recipients differ in whether they see the others.
    BadOption,
    /// `Connection` has more than 32 options.
    TooManyOptions,
    /// `Expect` asks for something other than `100-continue` (RFC 9110, 10.1.1).
    UnknownExpectation,
    /// `Max-Forwards` of a TRACE or OPTIONS is not one number.
    BadMaxForwards,
}

impl HopError {
    /// Envoy's response code details.
    #[must_use]
    pub const fn details(self) -> &'static str {
        match self {
            Self::ProtectedField | Self::BadOption | Self::TooManyOptions => {
                "http1.connection_header_rejected"
            }
            Self::UnknownExpectation | Self::BadMaxForwards => "http1.codec_error",
        }
    }

    /// What a client that sent it is answered. (An endpoint's is a 502 to the client, always.)
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::UnknownExpectation => 417,
            Self::ProtectedField | Self::BadOption | Self::TooManyOptions | Self::BadMaxForwards => 400,
        }
    }

    /// What a person is told.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::ProtectedField => "Connection names a field that it may not remove.",
            Self::BadOption => "An option of Connection has a character that options may not have.",
            Self::TooManyOptions => "Connection has more than 32 options.",
            Self::UnknownExpectation => "Expect asks for something other than 100-continue.",
            Self::BadMaxForwards => "Max-Forwards is not one number.",
        }
    }
}

shown_by_its_sentence!(HopError);

/// Checks what `Connection` names, before anything is forwarded, in both directions.
///
/// It may remove any field but those that framing, routing and identity rest on: `Content-Length`,
/// `Transfer-Encoding`, `Host`, `Via`, `Max-Forwards`, `X-Forwarded-*`, `X-Request-Id`,
/// `Idempotency-Key`. Removing one of these lets the parties before and behind us see different
/// messages, and no honest sender asks for it (RFC 9110, 7.6.1 forbids naming fields that are meant
/// for all recipients); so the message is refused rather than the option ignored.
///
/// # Errors
/// [`HopError::ProtectedField`]; [`HopError::BadOption`]; [`HopError::TooManyOptions`], because each option is compared with
/// each field.
pub fn check_connection(fields: &Fields) -> Result<(), HopError> {
    if names_nothing(fields) {
        return Ok(());
    }
    for (before, option) in fields.tokens(Known::Connection).enumerate() {
        if before == OPTIONS_MAX {
            return Err(HopError::TooManyOptions);
        }
        if !is_token(option) {
            return Err(HopError::BadOption);
        }
        if PROTECTED.contains(Known::of(option)) {
            return Err(HopError::ProtectedField);
        }
    }
    Ok(())
}

/// The protocol that a request asks to change to: the value of its one `Upgrade` field, if
/// `Connection: upgrade` backs it and the version is 1.1 (RFC 9110, 7.8). `h2c` is never asked for
/// onward, whatever stands next to it: a tunnel of HTTP/2 would carry requests past every rule of ours.
#[must_use]
pub fn upgrade_request(head: &RequestHead) -> Option<&[u8]> {
    let value = head.fields.only(Known::Upgrade)?;
    let asked = |token: &[u8]| token.eq_ignore_ascii_case(b"upgrade");
    let is_http2 =
        |protocol: &[u8]| protocol.eq_ignore_ascii_case(b"h2c") || protocol.eq_ignore_ascii_case(b"h2");
    let named = head.fields.tokens(Known::Upgrade).count() > 0;
    let backed = head.version == Version::Http11 && head.fields.tokens(Known::Connection).any(asked);
    (named && backed && !head.fields.tokens(Known::Upgrade).any(is_http2)).then_some(value)
}

/// Whether the client waits for a 100 before it sends the body (RFC 9110, 10.1.1). HTTP/1.0 has no
/// expectations; there the field is ignored.
///
/// # Errors
/// [`HopError::UnknownExpectation`]: 417.
pub fn expects_continue(head: &RequestHead) -> Result<bool, HopError> {
    if head.version == Version::Http10 || !head.fields.has(Known::Expect) {
        return Ok(false);
    }
    match head.fields.only(Known::Expect) {
        Some(value) if value.eq_ignore_ascii_case(b"100-continue") => Ok(true),
        _ => Err(HopError::UnknownExpectation),
    }
}

/// What `Max-Forwards` asks of this hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxForwards {
    /// Nothing: there is none, or the method is neither TRACE nor OPTIONS. Forward the field as it is.
    Unbound,
    /// Forward the request with this value in the field.
    Forward(u32),
    /// It was 0: do not forward, answer as the final recipient.
    Answer,
}

/// What to do with a TRACE or OPTIONS that counts its hops (RFC 9110, 7.6.2). Values above 2^32 - 1
/// count as that.
///
/// # Errors
/// [`HopError::BadMaxForwards`] if there are several, or one is no number.
pub fn max_forwards(head: &RequestHead) -> Result<MaxForwards, HopError> {
    if !matches!(head.method, Method::Trace | Method::Options) || !head.fields.has(Known::MaxForwards) {
        return Ok(MaxForwards::Unbound);
    }
    let value = head
        .fields
        .only(Known::MaxForwards)
        .ok_or(HopError::BadMaxForwards)?;
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(HopError::BadMaxForwards);
    }
    let hops = value.iter().fold(0_u32, |hops, digit| {
        hops.saturating_mul(10).saturating_add(u32::from(digit - b'0'))
    });
    Ok(hops
        .checked_sub(1)
        .map_or(MaxForwards::Answer, MaxForwards::Forward))
}

/// Whether the sender takes trailers: `TE: trailers` (RFC 9110, 10.1.4).
#[inline]
#[must_use]
pub fn accepts_trailers(fields: &Fields) -> bool {
    fields.has(Known::Te)
        && fields
            .tokens(Known::Te)
            .any(|coding| is_word(coding, b"trailers"))
}

/// Whether a field ends at this hop whatever `Connection` says.
#[must_use]
pub fn ends_here(known: Known) -> bool {
    HOP_BY_HOP.contains(known)
}

/// What becomes of a trailer field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrailerFate {
    /// It goes on.
    Keep,
    /// It is left out.
    Drop,
    /// The message is refused.
    Refuse,
}

/// What becomes of a trailer field of this name (RFC 9110, 6.5.1).
///
/// A recipient may merge trailers into the head. So what states framing or routing there
/// (`Content-Length`, `Transfer-Encoding`, `Host`) comes from someone who hopes for a recipient that
/// does: refused. What a head would be judged by, and trailers may not carry (hop-by-hop fields,
/// request modifiers, credentials, response controls, content description, our own statements about
/// the client), is left out: it comes too late for any honest use.
#[must_use]
pub fn trailer_fate(known: Known, name: &[u8]) -> TrailerFate {
    let conditional = name.len() > 3 && name[..3].eq_ignore_ascii_case(b"if-");
    if FRAMING_AND_ROUTING.contains(known) {
        TrailerFate::Refuse
    } else if HOP_BY_HOP.contains(known)
        || HEAD_ONLY.contains(known)
        || conditional
        || HEAD_ONLY_NAMES
            .iter()
            .any(|only| name.eq_ignore_ascii_case(only.as_bytes()))
    {
        TrailerFate::Drop
    } else {
        TrailerFate::Keep
    }
}

/// Whether `Connection` names a field that does not end at this hop anyway.
#[inline]
pub(crate) fn names_some(fields: &Fields) -> bool {
    !names_nothing(fields) && fields.tokens(Known::Connection).any(|option| !is_usual(option))
}

/// Whether a field is left where it is though `Connection` names it: those that it may not name, and those
/// that are never copied.
pub(crate) fn is_beyond_connection(known: Known) -> bool {
    PROTECTED.contains(known) || HOP_BY_HOP.contains(known)
}

/// The names of the fields that a message's `Connection` takes out of it, its trailers among them
/// (RFC 9110, 7.6.1). Nearly always there are none, and then it holds no memory.
#[derive(Clone, Debug, Default)]
pub struct Named(Option<Box<[Box<[u8]>]>>);

impl Named {
    /// No field is named.
    pub const NOTHING: Self = Self(None);

    /// Those of a message with these fields.
    #[inline]
    #[must_use]
    pub fn by(fields: &Fields) -> Self {
        if !names_some(fields) {
            return Self(None);
        }
        let options = fields.tokens(Known::Connection);
        Self(Some(options.map(Box::from).collect()))
    }

    pub(crate) fn includes(&self, name: &[u8]) -> bool {
        let named = self.0.iter().flatten();
        named.into_iter().any(|option| option.eq_ignore_ascii_case(name))
    }
}

/// Whether there is no `Connection`, or one with one usual option, as nearly always.
#[inline]
fn names_nothing(fields: &Fields) -> bool {
    !fields.has(Known::Connection) || fields.only(Known::Connection).is_some_and(is_usual)
}

/// Options that name no field, or one that never crosses anyway.
fn is_usual(option: &[u8]) -> bool {
    match option.len() {
        2 => is_word(option, b"te"),
        5 => is_word(option, b"close"),
        7 => is_word(option, b"upgrade"),
        10 => is_word(option, b"keep-alive"),
        _ => false,
    }
}

const FRAMING_AND_ROUTING: KnownSet =
    KnownSet::of(&[Known::ContentLength, Known::TransferEncoding, Known::Host]);

/// What `Connection` may not remove.
const PROTECTED: KnownSet = KnownSet::of(&[
    Known::ContentLength,
    Known::TransferEncoding,
    Known::Host,
    Known::Via,
    Known::MaxForwards,
    Known::XForwardedFor,
    Known::XForwardedProto,
    Known::XForwardedHost,
    Known::XRequestId,
    Known::IdempotencyKey,
]);

const HEAD_ONLY: KnownSet = KnownSet::of(&[
    Known::Trailer,
    Known::Expect,
    Known::Via,
    Known::MaxForwards,
    Known::Date,
    Known::XForwardedFor,
    Known::XForwardedProto,
    Known::XForwardedHost,
    Known::XRequestId,
    Known::XEnvoyUpstreamServiceTime,
    Known::XEnvoyAttemptCount,
    Known::IdempotencyKey,
    Known::Origin,
    Known::Claim,
    Known::Alias,
]);

const HEAD_ONLY_NAMES: [&str; 16] = [
    "age",
    "authorization",
    "cache-control",
    "content-encoding",
    "content-range",
    "content-type",
    "cookie",
    "expires",
    "location",
    "pragma",
    "range",
    "retry-after",
    "set-cookie",
    "vary",
    "warning",
    "www-authenticate",
];

/// Honest messages have one to four.
const OPTIONS_MAX: usize = 32;

#[cfg(test)]
mod tests;
