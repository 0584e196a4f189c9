//! Request line, status line and fields, within limits.

use super::protocol::{EVIDENCE_BYTES, Protocol};
use crate::bytes::{
    are_value_bytes, is_target_byte, is_token, is_token_byte, is_value_byte, target_end, token_end,
};
use crate::field::Fields;
use crate::scan::all;

pub use super::head_error::HeadError;
pub use super::limits::Limits;
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
        }
        while scan.before_fields() {
            match start_line(input, scan, at_limit, limits.request_line)? {
                None => return Ok(None),
                Some((end, _)) if end == scan.line() => {
                    if scan.skip_empty_line() > EMPTY_LINES_MAX {
                        return Err(HeadError::TooManyEmptyLines);
                    }
                }
                Some((end, next)) => {
                    self.read_line(&input[scan.line()..end])?;
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

    /// RFC 9112, 3: `method SP request-target SP HTTP-version`.
    fn read_line(&mut self, line: &[u8]) -> Result<(), HeadError> {
        if line == b"PRI * HTTP/2.0" {
            return Err(HeadError::Http2Preface);
        }
        let method_len = token_end(line, 0);
        match line.get(method_len) {
            Some(b' ') if method_len > 0 => {}
            None => return Err(HeadError::BadRequestLine),
            Some(&stop) => return Err(misplaced(stop, HeadError::InvalidMethod)),
        }
        let target = method_len + 1;
        let target_end = target_end(line, target);
        let version = match line.get(target_end) {
            None | Some(b' ') if target_end == target => return Err(HeadError::BadRequestLine),
            Some(b' ') => &line[target_end + 1..],
            None => return Err(HeadError::Http09),
            Some(&stop) => return Err(misplaced(stop, HeadError::InvalidTarget)),
        };
        self.version = match version {
            b"HTTP/1.1" => Version::Http11,
            b"HTTP/1.0" => Version::Http10,
            _ if version.contains(&b'\r') => return Err(HeadError::BareCr),
            _ if version.is_empty() || version.contains(&b' ') => return Err(HeadError::BadRequestLine),
            _ => return Err(bad_version(version)),
        };
        self.method = Method::of(&line[..method_len]);
        self.method_len = method_len;
        self.line
            .push_str(std::str::from_utf8(&line[..target_end]).expect("only ASCII was let through"));
        Ok(())
    }
}

impl ResponseHead {
    /// As [`RequestHead::read`], for a status line, before which no empty line may stand. If the peer
    /// closes before the head is complete, [`Protocol::judge`] may still tell what it speaks.
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
        }
        if scan.before_fields() {
            let begin = &input[..input.len().min(NAME.len())];
            if begin != &NAME[..begin.len()] {
                return not_http(input);
            }
            let Some((end, next)) = start_line(input, scan, at_limit, usize::MAX)? else {
                return Ok(None);
            };
            self.read_line(&input[..end])?;
            scan.enter_fields(next);
        }
        finish(input, scan, &mut self.fields, limits, at_limit)
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
        self.version = Version::default();
        self.fields.clear();
        self.reason.clear();
    }

    /// RFC 9112, 4: `HTTP-version SP status-code SP [reason-phrase]`. The second space may be absent
    /// where there is no reason: many servers leave it out, and nobody can read that differently.
    fn read_line(&mut self, line: &[u8]) -> Result<(), HeadError> {
        let (version, rest) = match line {
            [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1', rest @ ..] => (Version::Http11, rest),
            [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0', rest @ ..] => (Version::Http10, rest),
            _ => return Err(bad_version(until_space(line))),
        };
        if !matches!(rest, [] | [b' ', ..]) {
            return Err(bad_version(until_space(line)));
        }
        self.version = version;
        let (digits, reason) = match rest {
            [b' ', a, b, c] => ([*a, *b, *c], &[][..]),
            [b' ', a, b, c, b' ', reason @ ..] => ([*a, *b, *c], reason),
            _ => return Err(HeadError::BadStatusLine),
        };
        if !digits.iter().all(u8::is_ascii_digit) {
            return Err(HeadError::BadStatusLine);
        }
        self.status = digits
            .iter()
            .fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
        if self.status < 100 {
            return Err(HeadError::StatusOutOfRange);
        }
        if !are_value_bytes(reason) {
            let stop = reason.iter().find(|&&byte| !is_value_byte(byte));
            return Err(misplaced(
                stop.copied().unwrap_or_default(),
                HeadError::InvalidValue,
            ));
        }
        self.reason.extend_from_slice(reason);
        Ok(())
    }
}

/// Whether the text may stand as a request target.
pub(crate) fn is_target(target: &str) -> bool {
    !target.is_empty() && all(target.as_bytes(), is_target_byte)
}

/// What may belong to a head, and whether no more will be taken.
fn clip<'a>(input: &'a [u8], limits: &Limits) -> (&'a [u8], bool) {
    let most = limits.head_bytes.min(u32::MAX as usize);
    (&input[..input.len().min(most)], input.len() >= most)
}

/// The start line's end and the next line's begin, or `None` while it is incomplete.
fn start_line(
    input: &[u8],
    scan: &mut Scan,
    at_limit: bool,
    longest: usize,
) -> Result<Option<(usize, usize)>, HeadError> {
    let begin = scan.line();
    if let Some(&first) = input.get(begin)
        && !is_token_byte(first)
        && !matches!(first, b'\r' | b'\n')
    {
        // No line needs to be waited for: this is no HTTP.
        return not_http_request(&input[begin..], first);
    }
    let line_feed = scan.line_feed(input);
    // The CR may have come already, so one byte more than the line is let pass.
    if line_feed.unwrap_or(input.len()) - begin > longest.saturating_add(1) {
        return Err(HeadError::RequestLineTooLong);
    }
    match line_feed {
        Some(at) if at > begin && input[at - 1] == b'\r' => Ok(Some((at - 1, at + 1))),
        Some(_) => Err(HeadError::BareLf),
        None if at_limit => Err(HeadError::TooLarge),
        None => Ok(None),
    }
}

/// Reads the fields; a complete head leaves `scan` ready for the next one.
#[inline]
fn finish(
    input: &[u8],
    scan: &mut Scan,
    fields: &mut Fields,
    limits: &Limits,
    at_limit: bool,
) -> Result<Option<usize>, HeadError> {
    let end = scan.fields(input, fields, limits.fields, at_limit)?;
    if end.is_some() {
        *scan = Scan::default();
    } else if at_limit {
        return Err(HeadError::TooLarge);
    }
    Ok(end)
}

/// A request that begins with a byte no method has: TLS on a plain port, or nonsense.
#[cold]
fn not_http_request<T>(bytes: &[u8], first: u8) -> Result<Option<T>, HeadError> {
    let tls_possible = matches!(first, 0x15 | 0x16);
    match Protocol::judge(bytes) {
        Protocol::Tls => Err(HeadError::NotHttp(Protocol::Tls)),
        _ if tls_possible && bytes.len() < 3 => Ok(None),
        _ => Err(HeadError::InvalidMethod),
    }
}

/// A response that does not begin with `HTTP/`.
#[cold]
fn not_http(bytes: &[u8]) -> Result<Option<usize>, HeadError> {
    match Protocol::judge(bytes) {
        _ if matches!(bytes.first(), Some(b'\r' | b'\n')) => Err(HeadError::BadStatusLine),
        Protocol::Unknown if bytes.len() < EVIDENCE_BYTES => Ok(None),
        protocol => Err(HeadError::NotHttp(protocol)),
    }
}

#[cold]
fn bad_version(version: &[u8]) -> HeadError {
    match version {
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if [major, minor].iter().all(|d| d.is_ascii_digit()) =>
        {
            HeadError::UnsupportedVersion
        }
        _ => HeadError::BadVersion,
    }
}

fn until_space(line: &[u8]) -> &[u8] {
    &line[..line.iter().position(|&byte| byte == b' ').unwrap_or(line.len())]
}

/// Line ends inside a line are told by their own name.
const fn misplaced(stop: u8, otherwise: HeadError) -> HeadError {
    if stop == b'\r' {
        HeadError::BareCr
    } else {
        otherwise
    }
}

const NAME: &[u8] = b"HTTP/";
/// One would do by RFC 9112, 2.2; more than a few is someone who probes or wastes.
const EMPTY_LINES_MAX: u8 = 4;

#[cfg(test)]
mod tests;
