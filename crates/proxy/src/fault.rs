//! A failure on its way to its verdict, with what a person is told of it.

use std::borrow::Cow;

use policy::outcome::{Before, Failure};
use wire::h1::head::HeadError;

/// Bytes quoted of what is no HTTP response: enough for a greeting.
const QUOTED_MAX: usize = 40;

/// Why an exchange ends without an endpoint's response.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) failure: Failure,
    pub(crate) before: Before,
    /// One plain sentence for the log; empty where the flags say it all.
    pub(crate) sentence: Cow<'static, str>,
    /// The last attempt died on a reused connection before any response.
    pub(crate) raced: bool,
}

impl Fault {
    /// A client's request that is not forwarded.
    pub(crate) fn bad_request(status: u16, details: &'static str, sentence: &'static str) -> Self {
        Self {
            sentence: sentence.into(),
            ..Failure::BadRequest { status, details }.into()
        }
    }

    /// An endpoint's response that is not relayed.
    pub(crate) fn bad_response(sentence: &'static str) -> Self {
        let failure = Failure::Protocol {
            reason: sentence.trim_end_matches('.').into(),
        };
        Self {
            sentence: sentence.into(),
            ..failure.into()
        }
    }

    /// What an endpoint sent is no HTTP response; `first` are its first bytes.
    pub(crate) fn not_http(error: HeadError, first: &[u8]) -> Self {
        let sentence = error.sentence().trim_end_matches('.');
        let quoted = first[..first.len().min(QUOTED_MAX)]
            .trim_ascii_end()
            .escape_ascii();
        let reason = format!("{sentence} (it began with \"{quoted}\")");
        Self {
            sentence: reason.clone().into(),
            ..Failure::Protocol {
                reason: reason.into(),
            }
            .into()
        }
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
            Failure::BadRequest { .. } | Failure::HeadTimeout | Failure::BodyTimeout
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
            sentence: "".into(),
            raced: false,
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
    HeadError,
    wire::h1::framing::FramingError,
    wire::h1::decode::DecodeError,
    wire::hop::HopError,
    wire::path::TargetError,
    wire::host::HostError
);
