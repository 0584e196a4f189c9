//! A failure on its way to its verdict, with what a person is told of it.

use std::borrow::Cow;

use policy::outcome::{Before, Failure};

/// Why an exchange ends without an endpoint's response.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) failure: Failure,
    pub(crate) before: Before,
    /// One plain sentence for the log; empty where the flags say it all.
    pub(crate) sentence: Cow<'static, str>,
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

    /// Whether the client's connection is of no further use: where the next request would begin
    /// on it is not known.
    pub(crate) fn ends_connection(&self) -> bool {
        matches!(
            self.failure,
            Failure::BadRequest { .. } | Failure::HeadTimeout | Failure::BodyTimeout
        )
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            before: Before::default(),
            sentence: "".into(),
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
    wire::h1::head::HeadError,
    wire::h1::framing::FramingError,
    wire::h1::decode::DecodeError,
    wire::hop::HopError,
    wire::path::TargetError,
    wire::host::HostError
);
