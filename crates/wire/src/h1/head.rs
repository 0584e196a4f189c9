//! Request line, status line and fields, within limits.

use crate::field::Fields;

/// Limits on what a peer may send. Each names its consequence in [`HeadError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Start line and fields together. Default 60 KiB, as Envoy.
    pub head_bytes: usize,
    /// Number of fields. Default 100, as Envoy.
    pub fields: usize,
    /// Request line. Default 16 KiB.
    pub request_line: usize,
    /// Extensions of one chunk. Default 256 bytes; they are dropped, not forwarded.
    pub chunk_extension: usize,
    /// Trailer section. Default 8 KiB, and at most `fields` of them.
    pub trailer_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head_bytes: 60 * 1024, fields: 100, request_line: 16 * 1024, chunk_extension: 256, trailer_bytes: 8 * 1024 }
    }
}

/// HTTP version of a message; others are an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    #[default]
    Http11,
}

/// Methods that a proxy treats specially.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the method it is named after")]
pub enum Method {
    #[default]
    Get,
    Head,
    Post,
    Put,
    Delete,
    Options,
    Trace,
    Connect,
    Patch,
    Other,
}

/// A request's head, in one reusable arena.
#[derive(Clone, Debug, Default)]
pub struct RequestHead {
    /// What the method is to us.
    pub method: Method,
    /// Its version.
    pub version: Version,
    /// Its fields.
    pub fields: Fields,
    // method text and target: private, in an arena
}

/// A response's head, in one reusable arena.
#[derive(Clone, Debug, Default)]
pub struct ResponseHead {
    /// 100..=999.
    pub status: u16,
    /// Its version.
    pub version: Version,
    /// Its fields.
    pub fields: Fields,
    // reason: private, in an arena
}

/// Finds the end of a head that arrives in pieces, looking at each byte once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scan {}

/// Why a head was refused. `details` gives Envoy's response code details for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "to be written")]
pub enum HeadError {
    TooLarge,
    TooManyFields,
}

#[expect(clippy::todo, unused_variables, reason = "to be written")]
impl RequestHead {
    /// Reads a head from the start of `input` (all bytes received so far) into `self`, replacing
    /// what was there. `Ok(None)`: more bytes are needed. `Ok(Some(n))`: the head took `n` bytes.
    /// Leading empty lines (RFC 9112, 2.2: at least one CRLF) are skipped, at most 4.
    ///
    /// # Errors
    /// See [`HeadError`]; nothing of the input may be forwarded.
    pub fn read(&mut self, input: &[u8], scan: &mut Scan, limits: &Limits) -> Result<Option<usize>, HeadError> {
        todo!()
    }

    /// The method as sent (case-sensitive token).
    #[must_use]
    pub fn method_text(&self) -> &str {
        todo!()
    }

    /// The request target as sent: origin-form, absolute-form, authority-form or `*`.
    #[must_use]
    pub fn target(&self) -> &str {
        todo!()
    }
}

#[expect(clippy::todo, unused_variables, reason = "to be written")]
impl ResponseHead {
    /// As [`RequestHead::read`], for a status line.
    ///
    /// # Errors
    /// See [`HeadError`].
    pub fn read(&mut self, input: &[u8], scan: &mut Scan, limits: &Limits) -> Result<Option<usize>, HeadError> {
        todo!()
    }

    /// The reason phrase as sent, possibly empty.
    #[must_use]
    pub fn reason(&self) -> &[u8] {
        todo!()
    }
}
