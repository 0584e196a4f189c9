//! Request line, status line and fields, within limits.

use super::start_line::{self, RequestLine, StatusLine};
use crate::bytes::{is_target_byte, is_token, is_value_byte};
use crate::field::Fields;
use crate::scan::all;

pub use super::head_error::HeadError;
pub use super::limits::Limits;
use super::mend::Mend;
pub use super::section::Scan;
pub use super::words::{Method, Version, standard_reason};

/// A request's head, in one reusable arena.
#[derive(Clone, Debug, Default)]
pub struct RequestHead {
    /// What the method is to us. Change it by [`RequestHead::set_method`] only.
    pub method: Method,
    /// Its version.
    pub version: Version,
    /// Its fields.
    pub fields: Fields,
    /// The method's text, a space, the target; or nothing.
    line: String,
    method_len: usize,
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
    /// What was mended in it first; `None` if nothing was.
    pub mended: Option<Mend>,
    reason: Vec<u8>,
}

impl RequestHead {
    /// Reads a head from the start of `input` (all bytes received so far) into `self`, replacing
    /// what was there. `Ok(None)`: more bytes are needed; call again with the same `scan` and the
    /// same bytes in front. `Ok(Some(n))`: the head took `n` bytes.
    /// Leading empty lines (RFC 9112, 2.2: at least one CRLF) are skipped, at most 4.
    ///
    /// # Errors
    /// See [`HeadError`]; nothing of the input may be forwarded. What was read before the error
    /// stays readable, for the log.
    pub fn read(
        &mut self,
        input: &[u8],
        scan: &mut Scan,
        limits: &Limits,
    ) -> Result<Option<usize>, HeadError> {
        let (input, at_limit) = clip(input, limits);
        if scan.is_fresh() {
            self.clear();
            if let Some((line, len)) = start_line::usual_request(input, limits.request_line) {
                self.take_line(input, &line);
                scan.enter_fields(len);
            }
        }
        while scan.before_fields() {
            match start_line::find(input, scan, at_limit, limits.request_line)? {
                None => return Ok(None),
                Some((end, _)) if end == scan.line() => {
                    if scan.skip_empty_line() > EMPTY_LINES_MAX {
                        return Err(HeadError::TooManyEmptyLines);
                    }
                }
                Some((end, next)) => {
                    let line = &input[scan.line()..end];
                    self.take_line(line, &start_line::request(line)?);
                    scan.enter_fields(next);
                }
            }
        }
        finish(input, scan, &mut self.fields, limits, at_limit)
    }

    /// The method as sent (case-sensitive token).
    #[must_use]
    pub fn method_text(&self) -> &str {
        &self.line[..self.method_len]
    }

    /// The request target as sent: origin-form, absolute-form, authority-form or `*`.
    #[must_use]
    pub fn target(&self) -> &str {
        self.line.get(self.method_len + 1..).unwrap_or_default()
    }

    /// Method, a space, target.
    pub(crate) fn line(&self) -> &[u8] {
        self.line.as_bytes()
    }

    /// Replaces the method. It must be a token (debug-asserted): it comes from our code or from
    /// checked configuration.
    pub fn set_method(&mut self, method: &str) {
        debug_assert!(is_token(method.as_bytes()), "{method:?} is no method");
        if self.line.is_empty() {
            self.line.push(' ');
        }
        self.line.replace_range(..self.method_len, method);
        self.method_len = method.len();
        self.method = Method::of(method.as_bytes());
    }

    /// Replaces the target. It must be non-empty visible ASCII without `#` (debug-asserted).
    pub fn set_target(&mut self, target: &str) {
        debug_assert!(is_target(target), "{target:?} is no request target");
        self.line.truncate(self.method_len);
        self.line.push(' ');
        self.line.push_str(target);
    }

    /// Whether applying the request twice is as good as once, by its method alone.
    #[must_use]
    pub const fn is_idempotent(&self) -> bool {
        self.method.is_idempotent()
    }

    /// Forgets the request, keeps the memory.
    pub fn clear(&mut self) {
        self.method = Method::default();
        self.version = Version::default();
        self.fields.clear();
        self.line.clear();
        self.method_len = 0;
    }

    /// Takes a line over whose bytes have been looked at.
    fn take_line(&mut self, line: &[u8], parts: &RequestLine) {
        self.version = parts.version;
        self.method = Method::of(&line[..parts.method_len]);
        self.method_len = parts.method_len;
        // UTF-8 is checked fastest where it will stay, since memory of our own begins at a whole word.
        let mut text = std::mem::take(&mut self.line).into_bytes();
        text.extend_from_slice(&line[..parts.target_end]);
        self.line = String::from_utf8(text).expect("only ASCII was let through");
    }
}

impl ResponseHead {
    /// As [`RequestHead::read`], for a status line, before which no empty line may stand unless `scan` mends. If the peer
    /// closes before the head is complete, [`Protocol::judge`](super::protocol::Protocol::judge) may still tell what it speaks.
    ///
    /// # Errors
    /// See [`HeadError`]; [`HeadError::NotHttp`] names another protocol.
    pub fn read(
        &mut self,
        input: &[u8],
        scan: &mut Scan,
        limits: &Limits,
    ) -> Result<Option<usize>, HeadError> {
        let (input, at_limit) = clip(input, limits);
        if scan.is_fresh() {
            self.clear();
            if let Some((line, len)) = start_line::usual_status(input) {
                self.take_line(&line);
                scan.enter_fields(len);
            }
        }
        if scan.before_fields() {
            if !scan.skip_empty_lines(input, EMPTY_LINES_MAX)? {
                return Ok(None);
            }
            let begin = &input[scan.line()..];
            if !start_line::may_be_status(begin) {
                return start_line::not_http(begin);
            }
            let Some((end, next)) = start_line::find(input, scan, at_limit, usize::MAX)? else {
                return Ok(None);
            };
            self.take_line(&start_line::status(&input[scan.line()..end])?);
            scan.enter_fields(next);
        }
        let end = scan.fields(input, &mut self.fields, limits.fields, at_limit)?;
        self.mended = scan.mended;
        done(end, scan, at_limit)
    }

    /// The reason phrase as sent, possibly empty.
    #[must_use]
    pub fn reason(&self) -> &[u8] {
        &self.reason
    }

    /// Begins a response of our own: HTTP/1.1, no fields. The status must lie in 100..=999 and the
    /// reason have no control character (debug-asserted).
    pub fn start(&mut self, status: u16, reason: &str) {
        debug_assert!((100..=999).contains(&status), "{status} is no status");
        debug_assert!(
            reason.bytes().all(is_value_byte),
            "{reason:?} is no reason phrase"
        );
        self.clear();
        self.status = status;
        self.reason.extend_from_slice(reason.as_bytes());
    }

    /// Forgets the response, keeps the memory.
    pub fn clear(&mut self) {
        self.status = 0;
        self.mended = None;
        self.version = Version::default();
        self.fields.clear();
        self.reason.clear();
    }

    fn take_line(&mut self, line: &StatusLine<'_>) {
        self.version = line.version;
        self.status = line.status;
        self.reason.extend_from_slice(line.reason);
    }
}

/// Whether the text may stand as a request target.
pub(crate) fn is_target(target: &str) -> bool {
    !target.is_empty() && all(target.as_bytes(), is_target_byte)
}

/// What may belong to a head, and whether no more will be taken.
fn clip<'a>(input: &'a [u8], limits: &Limits) -> (&'a [u8], bool) {
    let most = limits.head_bytes.min(HEAD_BYTES_MAX);
    (&input[..input.len().min(most)], input.len() >= most)
}

/// Reads the fields.
#[inline]
fn finish(
    input: &[u8],
    scan: &mut Scan,
    fields: &mut Fields,
    limits: &Limits,
    at_limit: bool,
) -> Result<Option<usize>, HeadError> {
    let end = scan.fields(input, fields, limits.fields, at_limit)?;
    done(end, scan, at_limit)
}

/// A complete head leaves `scan` ready for the next one.
#[inline]
fn done(end: Option<usize>, scan: &mut Scan, at_limit: bool) -> Result<Option<usize>, HeadError> {
    if end.is_some() {
        scan.start_over();
    } else if at_limit {
        return Err(HeadError::TooLarge);
    }
    Ok(end)
}

/// Places in a head are kept in 32 bits, and a line may grow by a space when it is taken over.
const HEAD_BYTES_MAX: usize = 1 << 31;
/// One would do by RFC 9112, 2.2; more than a few is someone who probes or wastes.
const EMPTY_LINES_MAX: u8 = 4;

#[cfg(test)]
mod tests;
