//! Request lines and status lines, each read in two ways: at once if it is as nearly all are, and
//! otherwise when it is whole, to be taken or to be told what is wrong with it.

use super::head_error::HeadError;
use super::mend::Mend;
use super::protocol::{EVIDENCE_BYTES, Protocol};
use super::section::Scan;
use super::words::Version;
use crate::bytes::{
    are_value_bytes, is_token_byte, is_value_byte, short_name_len, target_end, token_end, visible_end,
};

/// Where the parts of a request line end.
pub(super) struct RequestLine {
    pub(super) method_len: usize,
    pub(super) target_end: usize,
    pub(super) version: Version,
}

/// What a status line says.
pub(super) struct StatusLine<'a> {
    pub(super) version: Version,
    pub(super) status: u16,
    pub(super) reason: &'a [u8],
}

/// The request line at the start of `input`, and its length with CRLF, if it is whole, its method is of
/// letters and its version 1.1. `None` says nothing against it.
#[inline]
pub(super) fn usual_request(input: &[u8], longest: usize) -> Option<(RequestLine, usize)> {
    const END: &[u8] = b" HTTP/1.1\r\n";
    let method_len = short_name_len(input);
    if method_len == 0 || input.get(method_len) != Some(&b' ') {
        return None;
    }
    let target_end = target_end(input, method_len + 1);
    let len = target_end + END.len();
    let usual = target_end > method_len + 1 && input[target_end..].starts_with(END) && len - 2 <= longest;
    let line = RequestLine {
        method_len,
        target_end,
        version: Version::Http11,
    };
    usual.then_some((line, len))
}

/// RFC 9112, 3: `method SP request-target SP HTTP-version`.
pub(super) fn request(line: &[u8]) -> Result<RequestLine, HeadError> {
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
    let version = match version {
        b"HTTP/1.0" => Version::Http10,
        // A higher minor version is read as the highest that is known (RFC 9110, 2.5).
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'..=b'9'] => Version::Http11,
        _ if version.contains(&b'\r') => return Err(HeadError::BareCr),
        _ if version.is_empty() || version.contains(&b' ') => return Err(HeadError::BadRequestLine),
        _ => return Err(bad_version(version)),
    };
    Ok(RequestLine {
        method_len,
        target_end,
        version,
    })
}

/// The status line at the start of `input`, and its length with CRLF, if it is whole, its version 1.1, and
/// no tab in its reason. `None` says nothing against it.
#[inline]
pub(super) fn usual_status(input: &[u8]) -> Option<(StatusLine<'_>, usize)> {
    let rest = input.strip_prefix(b"HTTP/1.1 ")?;
    let &[a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', b' ', ..] = rest else {
        return None;
    };
    let end = visible_end(input, input.len() - rest.len() + 4);
    let line = StatusLine {
        version: Version::Http11,
        status: number([a, b, c]),
        reason: &input[input.len() - rest.len() + 4..end],
    };
    input[end..].starts_with(b"\r\n").then_some((line, end + 2))
}

/// RFC 9112, 4: `HTTP-version SP status-code SP [reason-phrase]`. The second space may be absent
/// where there is no reason: many servers leave it out, and nobody can read that differently.
pub(super) fn status(line: &[u8]) -> Result<StatusLine<'_>, HeadError> {
    let (version, rest) = match line {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'..=b'9', rest @ ..] => (Version::Http11, rest),
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0', rest @ ..] => (Version::Http10, rest),
        _ => return Err(bad_version(until_space(line))),
    };
    if !matches!(rest, [] | [b' ', ..]) {
        return Err(bad_version(until_space(line)));
    }
    let (digits, reason) = match rest {
        [b' ', a, b, c] => ([*a, *b, *c], &[][..]),
        [b' ', a, b, c, b' ', reason @ ..] => ([*a, *b, *c], reason),
        _ => return Err(HeadError::BadStatusLine),
    };
    if !digits.iter().all(u8::is_ascii_digit) {
        return Err(HeadError::BadStatusLine);
    }
    let status = number(digits);
    if status < 100 {
        return Err(HeadError::StatusOutOfRange);
    }
    if !are_value_bytes(reason) {
        let stop = reason.iter().find(|&&byte| !is_value_byte(byte));
        return Err(misplaced(
            stop.copied().unwrap_or_default(),
            HeadError::InvalidValue,
        ));
    }
    Ok(StatusLine {
        version,
        status,
        reason,
    })
}

/// The start line's end and the next line's begin, or `None` while it is incomplete.
pub(super) fn find(
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
        let line = &input[begin..][..longest];
        return Err(if line.contains(&b' ') {
            HeadError::RequestLineTooLong
        } else {
            HeadError::MethodTooLong
        });
    }
    match line_feed {
        Some(at) if at > begin && input[at - 1] == b'\r' => Ok(Some((at - 1, at + 1))),
        Some(at) if at > begin && scan.mend(Mend::BareLf) => Ok(Some((at, at + 1))),
        Some(_) => Err(HeadError::BareLf),
        None if at_limit => Err(HeadError::TooLarge),
        None => Ok(None),
    }
}

/// Whether what came so far may be the begin of a status line.
pub(super) fn may_be_status(input: &[u8]) -> bool {
    const NAME: &[u8] = b"HTTP/";
    let begin = &input[..input.len().min(NAME.len())];
    begin == &NAME[..begin.len()]
}

/// A response that does not begin with `HTTP/`.
#[cold]
pub(super) fn not_http(bytes: &[u8]) -> Result<Option<usize>, HeadError> {
    match Protocol::judge(bytes) {
        _ if matches!(bytes.first(), Some(b'\r' | b'\n')) => Err(HeadError::BadStatusLine),
        Protocol::Unknown if bytes.len() < EVIDENCE_BYTES => Ok(None),
        protocol => Err(HeadError::NotHttp(protocol)),
    }
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

fn number(digits: [u8; 3]) -> u16 {
    digits
        .iter()
        .fold(0, |number, digit| number * 10 + u16::from(digit - b'0'))
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_as_nearly_all_are_need_no_second_look() {
        assert!(usual_request(b"GET / HTTP/1.1\r\n", 14).is_some());
        assert!(usual_request(b"DELETE /a?b HTTP/1.1\r\nHost: x", 99).is_some());
        assert!(usual_status(b"HTTP/1.1 200 OK\r\n").is_some());
        assert!(usual_status(b"HTTP/1.1 999 \r\nA: b").is_some());
    }

    /// Good request lines with a fault here and there.
    fn request_lines() -> impl Strategy<Value = String> {
        let method = prop_oneof!["[A-Z]{0,17}", "[A-Z1 ]{1,4}"];
        let target = prop_oneof!["/[a-z/.?]{0,40}", "[ -~]{0,20}", "/[a-z#\u{e9}]{0,3}"];
        let end = prop_oneof![
            Just(" HTTP/1.1\r\n"),
            Just(" HTTP/1.0\r\n"),
            Just(" HTTP/1.1\n"),
            Just(" HTTP/1.1 \r\n")
        ];
        (method, target, end).prop_map(|(method, target, end)| format!("{method} {target}{end}"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        #[test]
        fn a_request_taken_at_once_is_what_is_taken_at_a_closer_look(
            line in request_lines(), longest in 0..40_usize
        ) {
            if let Some((usual, len)) = usual_request(line.as_bytes(), longest) {
                prop_assert!(len == line.len() && len - 2 <= longest);
                let same = request(&line.as_bytes()[..len - 2]).unwrap();
                prop_assert_eq!((usual.method_len, usual.target_end), (same.method_len, same.target_end));
                prop_assert_eq!(usual.version, same.version);
            }
        }

        #[test]
        fn a_status_taken_at_once_is_what_is_taken_at_a_closer_look(
            line in "HTTP/1[.][01] [0-9a]{2,4} ?[ -~\t\u{e9}\x7f]{0,20}\r?\n"
        ) {
            if let Some((usual, len)) = usual_status(line.as_bytes()) {
                prop_assert_eq!(len, line.len());
                let same = status(&line.as_bytes()[..len - 2]).unwrap();
                prop_assert_eq!((usual.version, usual.status), (same.version, same.status));
                prop_assert_eq!(usual.reason, same.reason);
            }
        }
    }
}
