//! The one path normal form: routing and forwarding both use it, so that what was matched is what
//! the endpoint sees.

use std::borrow::Cow;

use memchr::memchr;

use crate::block::{Block, first_marked_without_pair};
use crate::bytes::is_target_byte;
use crate::h1::head::{Method, RequestHead};
use crate::host::Authority;
use crate::shown_by_its_sentence;

/// Why a target was refused: 400, close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetError {
    /// None of the four forms, or one that the method does not have (RFC 9112, 3.2).
    BadForm,
    /// An absolute form whose scheme is neither `http` nor `https`.
    BadScheme,
    /// An authority that is malformed, or has user information.
    BadAuthority,
    /// A `%` without two hexadecimal digits.
    BadEscape,
    /// An escaped NUL, `%00`.
    Nul,
    /// A backslash, which some servers take for a slash.
    Backslash,
    /// A byte in the path that is not visible ASCII, or a `?` or `#` in what should be a path alone.
    BadCharacter,
}

impl TargetError {
    /// Envoy's response code details.
    #[must_use]
    pub const fn details(self) -> &'static str {
        match self {
            Self::BadForm | Self::BadScheme | Self::BadAuthority => "http1.invalid_url",
            Self::BadEscape | Self::Nul | Self::Backslash | Self::BadCharacter => "path_normalization_failed",
        }
    }

    /// What a client that sent it is answered.
    #[must_use]
    pub const fn status(self) -> u16 {
        400
    }

    /// What a person is told.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::BadForm => "The request target has no form that this method can have.",
            Self::BadScheme => "The request target's scheme is neither http nor https.",
            Self::BadAuthority => "The request target's host is neither a name nor an address.",
            Self::BadEscape => "The path has a percent sign without two hexadecimal digits.",
            Self::Nul => "The path has an escaped NUL.",
            Self::Backslash => "The path has a backslash.",
            Self::BadCharacter => "The path has a character that paths may not have.",
        }
    }
}

shown_by_its_sentence!(TargetError);

/// The four forms of a request target (RFC 9112, 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `/path?query`.
    Origin,
    /// `http://host/path?query`.
    Absolute,
    /// `host:port`, of CONNECT alone.
    Authority,
    /// `*`, of OPTIONS alone.
    Asterisk,
}

/// A request target, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// The form it was sent in.
    pub form: Form,
    /// The authority, well-formed, of the absolute and authority forms.
    pub authority: Option<&'a str>,
    /// The path in normal form; borrowed if it was sent so. `*` for the asterisk form and for an
    /// OPTIONS in absolute form without path (RFC 9112, 3.2.4); empty for the authority form.
    pub path: Cow<'a, str>,
    /// What follows the first `?`, untouched.
    pub query: Option<&'a str>,
}

impl<'a> Target<'a> {
    /// Takes a request's target apart.
    ///
    /// # Errors
    /// See [`TargetError`].
    pub fn of(head: &'a RequestHead) -> Result<Self, TargetError> {
        let target = head.target();
        if head.method == Method::Connect {
            return Self::authority_form(target);
        }
        if target.starts_with('/') {
            let (path, query) = match plain_len(target.as_bytes()) {
                Some(len) => (Cow::Borrowed(&target[..len]), target.get(len + 1..)),
                None => {
                    let (path, query) = split_query(target);
                    (normalise(path)?, query)
                }
            };
            return Ok(Self {
                form: Form::Origin,
                authority: None,
                path,
                query,
            });
        }
        if target == "*" {
            return match head.method {
                Method::Options => Ok(Self {
                    form: Form::Asterisk,
                    authority: None,
                    path: Cow::Borrowed("*"),
                    query: None,
                }),
                _ => Err(TargetError::BadForm),
            };
        }
        Self::absolute_form(target, head.method)
    }

    /// Takes a target apart that is in normal form already: what [`Target::of`] said to forward, in
    /// origin or asterisk form.
    #[must_use]
    pub fn of_normal(head: &'a RequestHead) -> Self {
        let (path, query) = split_query(head.target());
        let form = if path == "*" { Form::Asterisk } else { Form::Origin };
        let target = Self {
            form,
            authority: None,
            path: Cow::Borrowed(path),
            query,
        };
        debug_assert_eq!(
            Self::of(head).as_ref(),
            Ok(&target),
            "the target is in normal form"
        );
        target
    }

    /// Whether the target as sent is what is to be forwarded.
    #[must_use]
    pub fn is_as_sent(&self) -> bool {
        matches!(self.form, Form::Origin | Form::Asterisk) && matches!(self.path, Cow::Borrowed(_))
    }

    /// Appends path and query, as an endpoint is sent them (RFC 9112, 3.2.1).
    pub fn write_to(&self, out: &mut String) {
        out.push_str(&self.path);
        if let Some(query) = self.query {
            out.push('?');
            out.push_str(query);
        }
    }

    fn authority_form(target: &'a str) -> Result<Self, TargetError> {
        let authority = Authority::parse(target).map_err(|_| TargetError::BadAuthority)?;
        // RFC 9110, 9.3.6: a CONNECT without port is invalid.
        authority.port.ok_or(TargetError::BadAuthority)?;
        Ok(Self {
            form: Form::Authority,
            authority: Some(target),
            path: Cow::Borrowed(""),
            query: None,
        })
    }

    fn absolute_form(target: &'a str, method: Method) -> Result<Self, TargetError> {
        let (scheme, rest) = target.split_once("://").ok_or(TargetError::BadForm)?;
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return Err(TargetError::BadScheme);
        }
        let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        Authority::parse(authority).map_err(|_| TargetError::BadAuthority)?;
        let (path, query) = split_query(rest);
        let path = match (path, query, method) {
            ("", None, Method::Options) => Cow::Borrowed("*"),
            ("", _, _) => Cow::Borrowed("/"),
            (path, _, _) => normalise(path)?,
        };
        Ok(Self {
            form: Form::Absolute,
            authority: Some(authority),
            path,
            query,
        })
    }
}

/// The normal form of a path that begins with `/`: escapes of unreserved characters decoded, all
/// other escapes kept in upper case (so `%2F` stays what it is), dot segments removed (RFC 3986,
/// 6.2.2 and 5.2.4). Neighbouring slashes are not merged. Normalising again changes nothing.
///
/// # Errors
/// [`TargetError::BadForm`] without leading slash; the errors of escapes and characters.
pub fn normalise(path: &str) -> Result<Cow<'_, str>, TargetError> {
    if !path.starts_with('/') {
        return Err(TargetError::BadForm);
    }
    if plain_len(path.as_bytes()) == Some(path.len()) || is_normal(path.as_bytes())? {
        return Ok(Cow::Borrowed(path));
    }
    let mut out = String::with_capacity(path.len());
    let mut ends_in_dots = false;
    for segment in path[1..].split('/') {
        let begin = out.len();
        out.push('/');
        decode_unreserved(segment, &mut out);
        let dots = out[begin + 1..].len();
        ends_in_dots = matches!(&out[begin + 1..], "." | "..");
        if ends_in_dots {
            out.truncate(begin);
        }
        if ends_in_dots && dots == 2 {
            out.truncate(out.rfind('/').unwrap_or(0));
        }
    }
    if ends_in_dots {
        out.push('/');
    }
    Ok(Cow::Owned(out))
}

fn split_query(target: &str) -> (&str, Option<&str>) {
    memchr(b'?', target.as_bytes()).map_or((target, None), |at| (&target[..at], Some(&target[at + 1..])))
}

/// How long the path at the start of `target` is, up to the end or a `?`, if it is plainly in normal form,
/// as nearly all are: nothing escaped, nothing that is refused, no segment that begins with a dot.
/// `None` says nothing against it.
fn plain_len(target: &[u8]) -> Option<usize> {
    let len = first_marked_without_pair(target, *b"/.", false, special_in_paths)?;
    matches!(target.get(len), None | Some(b'?')).then_some(len)
}

/// Marks what a path in normal form does not have as it is, and zeros.
#[inline(always)]
fn special_in_paths(block: Block) -> Block {
    let invisible = block.less(0x21).at_least(0x7f - 0x21);
    invisible | block.equal(b'%') | block.equal(b'?') | block.equal(b'#') | block.equal(b'\\')
}

/// Whether the path is in normal form already; or why it has none.
fn is_normal(path: &[u8]) -> Result<bool, TargetError> {
    let mut normal = true;
    for (at, &byte) in path.iter().enumerate() {
        match byte {
            b'\\' => return Err(TargetError::Backslash),
            b'?' => return Err(TargetError::BadCharacter),
            b'%' => normal &= !decodes_or_changes(path.get(at + 1..at + 3))?,
            b'.' if path[at - 1] == b'/' => {
                normal &= !matches!(path[at + 1..], [] | [b'/', ..] | [b'.'] | [b'.', b'/', ..]);
            }
            _ if is_target_byte(byte) => {}
            _ => return Err(TargetError::BadCharacter),
        }
    }
    Ok(normal)
}

/// Whether an escape's two digits stand for an unreserved character or are not in upper case.
fn decodes_or_changes(digits: Option<&[u8]>) -> Result<bool, TargetError> {
    let digits = digits.ok_or(TargetError::BadEscape)?;
    let byte = escaped(digits[0], digits[1]).ok_or(TargetError::BadEscape)?;
    if byte == 0 {
        return Err(TargetError::Nul);
    }
    Ok(is_unreserved(byte) || digits.iter().any(u8::is_ascii_lowercase))
}

fn decode_unreserved(segment: &str, out: &mut String) {
    let mut parts = segment.split('%');
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (digits, rest) = part.split_at(2);
        let bytes = digits.as_bytes();
        match escaped(bytes[0], bytes[1]).filter(|&byte| is_unreserved(byte)) {
            Some(byte) => out.push(char::from(byte)),
            None => {
                out.push('%');
                out.extend(digits.chars().map(|digit| digit.to_ascii_uppercase()));
            }
        }
        out.push_str(rest);
    }
}

fn escaped(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    Some((digit(high)? * 16 + digit(low)?) as u8)
}

/// RFC 3986, 2.3.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

#[cfg(test)]
mod tests;
