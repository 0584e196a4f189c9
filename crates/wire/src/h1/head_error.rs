//! Why a head is refused, and what each party is told about it.

use super::protocol::Protocol;
use crate::shown_by_its_sentence;

/// Why a head was refused. After any of these the connection is closed: nobody knows where the next
/// message begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    /// Start line and fields pass [`Limits::head_bytes`](super::head::Limits::head_bytes).
    TooLarge,
    /// More fields than [`Limits::fields`](super::head::Limits::fields).
    TooManyFields,
    /// The request line passes [`Limits::request_line`](super::head::Limits::request_line).
    RequestLineTooLong,
    /// The method alone passes [`Limits::request_line`](super::head::Limits::request_line).
    MethodTooLong,
    /// More than four empty lines before the request line.
    TooManyEmptyLines,
    /// A line ends in LF alone. RFC 9112, 2.2 lets a recipient take it for a line end; parsers differ.
    BareLf,
    /// A CR that no LF follows (RFC 9112, 2.2).
    BareCr,
    /// A line that begins with white space: an obsolete folded line (RFC 9112, 5.2).
    ObsFold,
    /// White space in a field name or between it and the colon (RFC 9112, 5.1).
    WhiteSpaceBeforeColon,
    /// A field line that begins with the colon.
    EmptyName,
    /// A byte in a field name that no token has, obs-text included.
    InvalidName,
    /// A field line without a colon.
    MissingColon,
    /// A control character in a field value or reason phrase, NUL among them.
    InvalidValue,
    /// A method that is no token.
    InvalidMethod,
    /// A byte in the target that is not visible ASCII, or a `#`.
    InvalidTarget,
    /// Not `method SP target SP version`, with exactly one space between each.
    BadRequestLine,
    /// A version that is not of the form `HTTP/digit.digit`.
    BadVersion,
    /// A major version other than 1.
    UnsupportedVersion,
    /// A request line without version: HTTP/0.9.
    Http09,
    /// The HTTP/2 connection preface on a listener for HTTP/1.
    Http2Preface,
    /// Not `version SP three digits [SP reason]`.
    BadStatusLine,
    /// A status below 100.
    StatusOutOfRange,
    /// More interim responses (1xx) before the final one than are taken.
    TooManyInterims,
    /// The first bytes are not HTTP/1 at all.
    NotHttp(Protocol),
}

impl HeadError {
    /// Envoy's response code details.
    #[must_use]
    pub const fn details(self) -> &'static str {
        match self {
            Self::TooLarge | Self::RequestLineTooLong | Self::MethodTooLong => "http1.headers_too_large",
            Self::TooManyFields => "http1.too_many_headers",
            Self::InvalidName | Self::InvalidValue => "http1.invalid_characters",
            Self::InvalidTarget => "http1.invalid_url",
            Self::TooManyEmptyLines
            | Self::BareLf
            | Self::BareCr
            | Self::ObsFold
            | Self::WhiteSpaceBeforeColon
            | Self::EmptyName
            | Self::MissingColon
            | Self::InvalidMethod
            | Self::BadRequestLine
            | Self::BadVersion
            | Self::UnsupportedVersion
            | Self::Http09
            | Self::Http2Preface
            | Self::BadStatusLine
            | Self::StatusOutOfRange
            | Self::TooManyInterims
            | Self::NotHttp(_) => "http1.codec_error",
        }
    }

    /// What a client that sent it is answered. (An endpoint's bad head is a 502 to the client, always.)
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::TooLarge | Self::TooManyFields => 431,
            Self::RequestLineTooLong => 414,
            Self::MethodTooLong => 501,
            Self::UnsupportedVersion | Self::Http2Preface => 505,
            _ => 400,
        }
    }

    /// What a person is told.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::TooLarge => "The head is larger than the limit on head bytes.",
            Self::TooManyFields => "The head has more fields than the limit allows.",
            Self::RequestLineTooLong => "The request line is longer than its limit.",
            Self::MethodTooLong => "The method is longer than the limit on the request line.",
            Self::TooManyEmptyLines => "More than four empty lines came before the request line.",
            Self::BareLf => "A line ends with a line feed alone, without a carriage return.",
            Self::BareCr => "A carriage return stands without a line feed after it.",
            Self::ObsFold => "A line begins with white space, which is the obsolete folding of a field.",
            Self::WhiteSpaceBeforeColon => "White space stands before a field's colon.",
            Self::EmptyName => "A field has no name.",
            Self::InvalidName => "A field name has a character that names may not have.",
            Self::MissingColon => "A field line has no colon.",
            Self::InvalidValue => "A field value or reason phrase has a control character.",
            Self::InvalidMethod => "The method has a character that methods may not have.",
            Self::InvalidTarget => "The request target has a character that targets may not have.",
            Self::BadRequestLine => {
                "The request line is not method, target and version with one space between."
            }
            Self::BadVersion => "The HTTP version cannot be read.",
            Self::UnsupportedVersion => "The HTTP version is not 1.",
            Self::Http09 => "The request line has no version: HTTP/0.9 is not spoken here.",
            Self::Http2Preface => "The peer speaks HTTP/2 on a listener for HTTP/1.",
            Self::BadStatusLine => "The status line is not version, three digits and a reason.",
            Self::StatusOutOfRange => "The status is below 100.",
            Self::TooManyInterims => "More than 32 interim responses (1xx) came before the final one.",
            Self::NotHttp(protocol) => protocol.sentence(),
        }
    }
}

shown_by_its_sentence!(HeadError);
