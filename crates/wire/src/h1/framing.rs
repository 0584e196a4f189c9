//! Where does this body end? The one smuggling-critical decision (RFC 9112, 6), alone in its file.
//!
//! Picking a winner among contradicting statements lets whoever sent them smuggle a second message
//! past the party that picked the other one. So there is never a winner: a contradiction is an error.

use super::head::{Method, RequestHead, ResponseHead, Version};
use crate::bytes::{is_token, is_word};
use crate::field::{Fields, Known};
use crate::shown_by_its_sentence;

/// How long a body is, and how its end is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyLength {
    /// There is no body.
    #[default]
    None,
    /// So many bytes, at most [`LENGTH_MAX`]; 0 is a body too, an empty one.
    Length(u64),
    /// Chunks, up to the last one and its trailers.
    Chunked,
    /// All that comes until the peer closes; responses only.
    UntilClose,
}

/// The largest length of a body or chunk: 2^63 - 1. Many recipients keep a length in 64 bits with a
/// sign and would read a larger one as something else.
pub const LENGTH_MAX: u64 = i64::MAX as u64;

/// Why a message's framing was refused. The connection is closed after any of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FramingError {
    /// `Transfer-Encoding` and `Content-Length` in one message (RFC 9112, 6.1).
    LengthAndTransferEncoding,
    /// `Transfer-Encoding` in an HTTP/1.0 message (RFC 9112, 6.1).
    TransferEncodingInHttp10,
    /// `Transfer-Encoding` in a response that never has a body: 1xx, 204.
    TransferEncodingNotAllowed,
    /// `Transfer-Encoding` that is malformed, or in which `chunked` is not last and once; in a
    /// response anything but `chunked`.
    BadTransferEncoding,
    /// Codings before a final `chunked` that we do not know (RFC 9112, 6.1 asks for 501).
    UnknownTransferCoding,
    /// More than one `Content-Length`, or a list of them, even if they agree.
    SeveralLengths,
    /// A `Content-Length` that is not one to many digits.
    BadLength,
    /// A `Content-Length` above [`LENGTH_MAX`].
    LengthTooLarge,
    /// A body on CONNECT or TRACE, whose requests have none (RFC 9110, 9.3.6 and 9.3.8).
    BodyNotAllowed,
}

impl FramingError {
    /// Envoy's response code details.
    #[must_use]
    pub const fn details(self) -> &'static str {
        match self {
            Self::LengthAndTransferEncoding => "http1.content_length_and_chunked_not_allowed",
            Self::TransferEncodingInHttp10 | Self::TransferEncodingNotAllowed => {
                "http1.transfer_encoding_not_allowed"
            }
            Self::BadTransferEncoding | Self::UnknownTransferCoding => "http1.invalid_transfer_encoding",
            Self::SeveralLengths => "http1.content_length_not_allowed",
            Self::BadLength | Self::LengthTooLarge => "http1.codec_error",
            Self::BodyNotAllowed => "http1.body_disallowed",
        }
    }

    /// What a client that sent it is answered. (An endpoint's is a 502 to the client, always.)
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::UnknownTransferCoding => 501,
            _ => 400,
        }
    }

    /// What a person is told.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::LengthAndTransferEncoding => {
                "The message has both Content-Length and Transfer-Encoding, which contradict each other."
            }
            Self::TransferEncodingInHttp10 => {
                "The message has Transfer-Encoding, which HTTP/1.0 does not have."
            }
            Self::TransferEncodingNotAllowed => {
                "The response has Transfer-Encoding, though its status never has a body."
            }
            Self::BadTransferEncoding => "Transfer-Encoding is not exactly one final chunked.",
            Self::UnknownTransferCoding => "Transfer-Encoding names a coding other than chunked.",
            Self::SeveralLengths => "The message has more than one Content-Length.",
            Self::BadLength => "Content-Length is not a number.",
            Self::LengthTooLarge => "Content-Length is larger than any body can be.",
            Self::BodyNotAllowed => "A request with this method has no body, but one was announced.",
        }
    }
}

shown_by_its_sentence!(FramingError);

/// How a request's body is framed (RFC 9112, 6.3). It never is [`BodyLength::UntilClose`]: without
/// `Content-Length` and `Transfer-Encoding` there is no body.
///
/// # Errors
/// See [`FramingError`]: 400, or 501 for an unknown coding. Nothing may be forwarded.
pub fn request_body(head: &RequestHead) -> Result<BodyLength, FramingError> {
    let fields = &head.fields;
    if !fields.has(Known::TransferEncoding) && !fields.has(Known::ContentLength) {
        return Ok(BodyLength::None);
    }
    let body = match stated(head.version, fields)? {
        Stated::Length(length) => BodyLength::Length(length),
        Stated::Codings(Codings::Chunked) => BodyLength::Chunked,
        Stated::Codings(Codings::OthersThenChunked) => return Err(FramingError::UnknownTransferCoding),
        Stated::Nothing => BodyLength::None,
    };
    let bodiless = matches!(head.method, Method::Connect | Method::Trace);
    match body {
        BodyLength::Length(1..) | BodyLength::Chunked if bodiless => Err(FramingError::BodyNotAllowed),
        body => Ok(body),
    }
}

/// How the body of a response to a request of this method is framed (RFC 9112, 6.3).
///
/// HEAD, 1xx, 204 and 304 have none, whatever they state; what they state must be well-formed all the
/// same. A `Content-Length` on 1xx and 204, which RFC 9110, 8.6 forbids, is dropped when the head is
/// written ([`encode::response`](super::encode::response)); on HEAD and 304 it tells of the body
/// that GET would have had, and is kept. After a 2xx to CONNECT and after a 101 there is no body but
/// a tunnel: see [`opens_tunnel`].
///
/// # Errors
/// See [`FramingError`]; the endpoint's response must be answered by a 502 (`UPE`).
pub fn response_body(head: &ResponseHead, request_method: Method) -> Result<BodyLength, FramingError> {
    if opens_tunnel(head.status, request_method) && head.status != 101 {
        // RFC 9110, 9.3.6: framing fields in a 2xx to CONNECT must be ignored.
        return Ok(BodyLength::None);
    }
    let stated = stated(head.version, &head.fields)?;
    let never_a_body = is_always_bodiless(head.status);
    Ok(match stated {
        Stated::Codings(_) if never_a_body => return Err(FramingError::TransferEncodingNotAllowed),
        Stated::Codings(Codings::OthersThenChunked) => return Err(FramingError::BadTransferEncoding),
        _ if never_a_body || head.status == 304 || request_method == Method::Head => BodyLength::None,
        Stated::Length(length) => BodyLength::Length(length),
        Stated::Codings(Codings::Chunked) => BodyLength::Chunked,
        Stated::Nothing => BodyLength::UntilClose,
    })
}

/// Whether the connection is a tunnel after this response's head: a 2xx to CONNECT, or a 101. (A 101
/// that nobody asked for is the caller's to refuse.)
#[must_use]
pub const fn opens_tunnel(status: u16, request_method: Method) -> bool {
    status == 101 || (matches!(request_method, Method::Connect) && status >= 200 && status < 300)
}

/// Whether the sender will take another message on the connection after this one, by its version and
/// `Connection` field (RFC 9112, 9.3): HTTP/1.1 unless `close`, HTTP/1.0 only with `keep-alive`.
#[must_use]
pub fn keeps_alive(version: Version, fields: &Fields) -> bool {
    if !fields.has(Known::Connection) {
        return version == Version::Http11;
    }
    // Nearly always it is one field with one option.
    match fields.only(Known::Connection) {
        Some(value) if is_word(value, b"keep-alive") => return true,
        Some(value) if is_word(value, b"close") => return false,
        _ => {}
    }
    let option = |name: &[u8]| {
        fields
            .tokens(Known::Connection)
            .any(|token| token.eq_ignore_ascii_case(name))
    };
    !option(b"close") && (version == Version::Http11 || option(b"keep-alive"))
}

impl BodyLength {
    /// How a response body framed like this is framed again for a client of that version: HTTP/1.0 has
    /// no chunks, and to HTTP/1.1 chunks say truthfully where a body ends that only a close ended.
    #[must_use]
    pub const fn relayed_to(self, client: Version) -> Self {
        match (self, client) {
            (Self::Chunked, Version::Http10) => Self::UntilClose,
            (Self::UntilClose, Version::Http11) => Self::Chunked,
            (same, _) => same,
        }
    }
}

/// Whether a status never has a body, to whatever method: 1xx and 204. (304 has none either, but may
/// state the length of the one it stands for.)
pub(crate) const fn is_always_bodiless(status: u16) -> bool {
    status < 200 || status == 204
}

/// What a message states about its body, if it does so without contradiction.
enum Stated {
    Nothing,
    Length(u64),
    Codings(Codings),
}

enum Codings {
    Chunked,
    OthersThenChunked,
}

fn stated(version: Version, fields: &Fields) -> Result<Stated, FramingError> {
    match (
        fields.has(Known::TransferEncoding),
        fields.has(Known::ContentLength),
    ) {
        (false, false) => Ok(Stated::Nothing),
        (false, true) => content_length(fields).map(Stated::Length),
        (true, true) => Err(FramingError::LengthAndTransferEncoding),
        (true, false) if version == Version::Http10 => Err(FramingError::TransferEncodingInHttp10),
        (true, false) => transfer_codings(fields).map(Stated::Codings),
    }
}

/// RFC 9110, 8.6: 1*DIGIT, once. Equal repetitions may be merged by the RFC; that is a repair, and the
/// parties before and behind us need not make the same one.
pub(crate) fn content_length(fields: &Fields) -> Result<u64, FramingError> {
    let value = fields
        .only(Known::ContentLength)
        .ok_or(FramingError::SeveralLengths)?;
    let length = value.iter().try_fold(0_u64, |length, digit| {
        let digit = digit.wrapping_sub(b'0');
        (digit < 10).then_some(())?;
        length
            .checked_mul(10)?
            .checked_add(u64::from(digit))
            .filter(|&length| length <= LENGTH_MAX)
    });
    match length {
        Some(length) if !value.is_empty() => Ok(length),
        _ => Err(no_length(value)),
    }
}

/// What is wrong with a `Content-Length`.
#[cold]
fn no_length(value: &[u8]) -> FramingError {
    if value.contains(&b',') {
        FramingError::SeveralLengths
    } else if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        FramingError::BadLength
    } else {
        FramingError::LengthTooLarge
    }
}

/// The codings of all `Transfer-Encoding` fields together. Empty list elements and parameters, which
/// lists may have and recipients overlook in different ways, are errors.
fn transfer_codings(fields: &Fields) -> Result<Codings, FramingError> {
    let mut others = 0;
    let mut chunked = false;
    for value in fields.all(Known::TransferEncoding) {
        for coding in value.split(|&byte| byte == b',') {
            let coding = crate::bytes::trim(coding);
            if chunked || !is_token(coding) {
                return Err(FramingError::BadTransferEncoding);
            }
            chunked = coding.eq_ignore_ascii_case(b"chunked");
            others += usize::from(!chunked);
        }
    }
    match (chunked, others) {
        (true, 0) => Ok(Codings::Chunked),
        (true, _) => Ok(Codings::OthersThenChunked),
        (false, _) => Err(FramingError::BadTransferEncoding),
    }
}

#[cfg(test)]
mod tests;
