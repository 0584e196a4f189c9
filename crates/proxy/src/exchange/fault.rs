//! A failure on its way to its verdict, with what a person is told of it.

use std::borrow::Cow;
use std::fmt;

use policy::outcome::{Attempt, Before, Failure, HeadLimit, Value};
use wire::h1::decode::DecodeError;
use wire::h1::head::{HeadError, Limits};
use wire::h1::protocol::Protocol;

use crate::upstream::body::BadBody;

/// Bytes quoted of what is no HTTP response: enough for a greeting.
const QUOTED_MAX: usize = 40;

/// Why an exchange ends without an endpoint's response.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) failure: Failure,
    pub(crate) before: Before,
    /// Facts for the log that only this place could look up, in words; mostly none.
    pub(crate) around: Cow<'static, str>,
    /// The attempt that was under way, where nobody has told of it yet.
    pub(crate) attempt: Option<Box<Attempt>>,
    /// The last attempt died on a reused connection before any response.
    pub(crate) raced: bool,
}

impl Fault {
    /// A client's request that is not forwarded.
    pub(crate) fn bad_request(status: u16, details: &'static str, what: &'static str) -> Self {
        Failure::BadRequest {
            status,
            details,
            what,
        }
        .into()
    }

    /// An endpoint's response that is not relayed.
    pub(crate) fn bad_response(what: &'static str) -> Self {
        Failure::BadResponse { what }.into()
    }

    /// What an endpoint sent is no HTTP response; `first` are its first bytes.
    pub(crate) fn not_http(error: HeadError, first: &[u8]) -> Self {
        let failure = match error {
            HeadError::NotHttp(protocol) if protocol != Protocol::Unknown => Failure::OtherProtocol {
                name: protocol.name(),
            },
            HeadError::TooLarge | HeadError::TooManyFields => Failure::ResponseHeadTooLarge,
            _ => Failure::BadResponse {
                what: error.sentence(),
            },
        };
        let usual = Limits::default();
        let more = match error {
            HeadError::TooLarge => {
                format!("The limit is {} bytes.", Value::Bytes(usual.head_bytes as u64))
            }
            HeadError::TooManyFields => format!("The limit is {} fields.", usual.fields),
            _ => {
                let began = Began(&first[..first.len().min(QUOTED_MAX)]);
                format!("Its response began with {began}.")
            }
        };
        Self::from(failure).with(more)
    }

    /// A client's head that is not read; `first` are its first bytes.
    pub(crate) fn of_head(error: HeadError, first: &[u8]) -> Self {
        const PROXY_V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
        let name = match first {
            _ if first.starts_with(b"PROXY ") || first.starts_with(PROXY_V2) => "PROXY",
            _ if first.starts_with(b"SSH-") => "SSH",
            [5, 1..=9, ..] | [4, 1 | 2, ..] => "SOCKS",
            _ => return Self::from(error),
        };
        Failure::ClientOtherProtocol { name }.into()
    }

    /// With facts in words.
    pub(crate) fn with(mut self, around: impl Into<Cow<'static, str>>) -> Self {
        self.around = around.into();
        self
    }

    /// With what had happened before the last attempt.
    pub(crate) fn after(mut self: Box<Self>, before: Before) -> Box<Self> {
        self.before = before;
        self
    }

    /// Whether the client's connection is of no further use: where the next request would begin
    /// on it is not known.
    pub(crate) fn ends_connection(&self) -> bool {
        matches!(
            self.failure,
            Failure::BadRequest { .. }
                | Failure::BadRequestBody { .. }
                | Failure::ClientOtherProtocol { .. }
                | Failure::PlainHttpOnTls
                | Failure::HeadLimit(_)
                | Failure::BodyTooLarge
                | Failure::HeadTimeout
                | Failure::HeadShed
                | Failure::BodyTimeout
        )
    }
}

/// In a box where it is handed on, since most exchanges have none.
impl From<Failure> for Box<Fault> {
    fn from(failure: Failure) -> Self {
        Fault::from(failure).into()
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            before: Before::default(),
            around: "".into(),
            attempt: None,
            raced: false,
        }
    }
}

/// First bytes that no HTTP response has, as a person reads them: text as it is, all else as numbers.
/// The log escapes what it has to.
struct Began<'a>(&'a [u8]);

impl fmt::Display for Began<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.trim_ascii_end();
        let printable = |byte: &u8| matches!(byte, b' '..=b'~');
        match std::str::from_utf8(text) {
            Ok(text) if text.bytes().all(|byte| printable(&byte)) => write!(f, "'{text}'"),
            _ => {
                f.write_str("the bytes")?;
                self.0.iter().try_for_each(|byte| write!(f, " {byte:02x}"))
            }
        }
    }
}

impl From<HeadError> for Fault {
    fn from(error: HeadError) -> Self {
        let failure = match error {
            HeadError::TooLarge => Failure::HeadLimit(HeadLimit::Bytes),
            HeadError::TooManyFields => Failure::HeadLimit(HeadLimit::Fields),
            HeadError::MethodTooLong => Failure::HeadLimit(HeadLimit::Method),
            HeadError::RequestLineTooLong => Failure::HeadLimit(HeadLimit::RequestLine),
            HeadError::NotHttp(protocol) if protocol != Protocol::Unknown => Failure::ClientOtherProtocol {
                name: protocol.name(),
            },
            _ => return Self::bad_request(error.status(), error.details(), error.sentence()),
        };
        failure.into()
    }
}

impl From<DecodeError> for Fault {
    fn from(error: DecodeError) -> Self {
        let failure = match error {
            DecodeError::TrailersTooLarge => Failure::HeadLimit(HeadLimit::TrailerBytes),
            DecodeError::TooManyTrailers => Failure::HeadLimit(HeadLimit::TrailerFields),
            _ => Failure::BadRequestBody {
                details: error.details(),
                what: error.sentence(),
            },
        };
        failure.into()
    }
}

impl From<BadBody> for Fault {
    fn from(why: BadBody) -> Self {
        match why {
            BadBody::Malformed(error) => error.into(),
            BadBody::TooLarge => Failure::BodyTooLarge.into(),
        }
    }
}

/// Errors of `wire` in what a client sent.
macro_rules! from_bad_request {
    ($($error:ty),*) => { $(impl From<$error> for Fault {
        fn from(error: $error) -> Self {
            Self::bad_request(error.status(), error.details(), error.sentence())
        }
    })* };
}
from_bad_request!(
    wire::h1::framing::FramingError,
    wire::hop::HopError,
    wire::path::TargetError,
    wire::host::HostError
);
