//! Paths: the form in which they are forwarded, and the one in which they are matched.
//!
//! A path goes on as it came (RFC 9110, 7.7), but for dot segments, which are removed: what they lead to
//! depends on who resolves them. It is matched in a normal form that no server reads differently from the
//! path that it is sent, however it decodes unreserved characters and whether it merges slashes. What
//! servers do read differently, escaped slashes and path parameters, has [`other_readings`].

mod reading;

use std::borrow::Cow;

use memchr::memchr;

use crate::block::{Block, first_marked_without_pair};
use crate::bytes::is_target_byte;
use crate::h1::head::{Method, RequestHead};
use crate::host::Authority;
use crate::shown_by_its_sentence;

pub use reading::{has_escaped_slash, other_readings, unescape_slashes};

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
    /// A dot segment that appears when an escaped slash is taken for one, or a parameter is left out.
    HiddenDots,
}

impl TargetError {
    /// Envoy's response code details.
    #[must_use]
    pub const fn details(self) -> &'static str {
        match self {
            Self::BadForm | Self::BadScheme | Self::BadAuthority => "http1.invalid_url",
            Self::BadEscape | Self::Nul | Self::Backslash | Self::BadCharacter | Self::HiddenDots => {
                "path_normalization_failed"
            }
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
            Self::HiddenDots => "The path hides a dot segment behind an escaped slash or a parameter.",
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
    /// The path as it is forwarded; borrowed if it was sent so. `*` for the asterisk form and for an
    /// OPTIONS in absolute form without path (RFC 9112, 3.2.4); empty for the authority form.
    pub path: Cow<'a, str>,
    /// Whether nothing can be said of the path as it is forwarded: it is matched as it is, and everybody
    /// reads it alike.
    pub is_plain: bool,
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
            let plain = plain_len(target.as_bytes());
            let (path, query) = match plain {
                Some(len) => (Cow::Borrowed(&target[..len]), target.get(len + 1..)),
                None => {
                    let (path, query) = split_query(target);
                    (to_forward(path)?, query)
                }
            };
            return Ok(Self {
                form: Form::Origin,
                authority: None,
                path,
                is_plain: plain.is_some(),
                query,
            });
        }
        if target == "*" {
            return match head.method {
                Method::Options => Ok(Self {
                    form: Form::Asterisk,
                    authority: None,
                    path: Cow::Borrowed("*"),
                    is_plain: true,
                    query: None,
                }),
                _ => Err(TargetError::BadForm),
            };
        }
        Self::absolute_form(target, head.method)
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
            is_plain: true,
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
            (path, _, _) => to_forward(path)?,
        };
        Ok(Self {
            form: Form::Absolute,
            authority: Some(authority),
            is_plain: plain_len(path.as_bytes()) == Some(path.len()),
            path,
            query,
        })
    }
}

/// A path that begins with `/`, as it is forwarded: as it came, without dot segments (RFC 3986, 5.2.4; also
/// those that are escaped). Doing it again changes nothing.
///
/// # Errors
/// [`TargetError::BadForm`] without leading slash; the errors of escapes and characters.
pub fn to_forward(path: &str) -> Result<Cow<'_, str>, TargetError> {
    if !path.starts_with('/') {
        return Err(TargetError::BadForm);
    }
    check(path.as_bytes())?;
    Ok(without_dots(path))
}

/// The form in which a path that [`to_forward`] made is matched: escapes of unreserved characters decoded,
/// all other escapes in upper case (so `%2F` stays what it is; RFC 3986, 6.2.2), and, if `merge`,
/// neighbouring slashes as one. Doing it again changes nothing.
#[must_use]
pub fn to_match(path: &str, merge: bool) -> Cow<'_, str> {
    let changes = path.contains('%') || merge && path.contains("//");
    if !changes {
        return Cow::Borrowed(path);
    }
    let mut out = String::with_capacity(path.len());
    for (letter, _) in letters(path) {
        let after_slash = merge && letter == Letter::Byte(b'/') && out.ends_with('/');
        match letter {
            Letter::Byte(_) if after_slash => {}
            Letter::Byte(byte) => out.push(char::from(byte)),
            Letter::Escape(digits) => {
                out.push('%');
                out.extend(digits.map(|digit| char::from(digit.to_ascii_uppercase())));
            }
        }
    }
    Cow::Owned(out)
}

/// What follows the first `len` bytes of a path's matched form in the path itself. `len` must end a segment.
#[must_use]
pub fn rest_behind(path: &str, len: usize, merge: bool) -> &str {
    let (mut matched, mut after_slash) = (0, false);
    for (letter, at) in letters(path) {
        let slash = letter == Letter::Byte(b'/');
        if matched >= len && (slash || len == 0) {
            return &path[at..];
        }
        matched += match letter {
            Letter::Byte(_) if merge && slash && after_slash => 0,
            Letter::Byte(_) => 1,
            Letter::Escape(_) => 3,
        };
        after_slash = slash;
    }
    ""
}

/// A letter of a path: a byte, perhaps written as an escape that means it whoever reads it; or another escape.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Letter {
    Byte(u8),
    Escape([u8; 2]),
}

/// The letters of a path whose escapes are well-formed, and where each begins.
fn letters(path: &str) -> impl Iterator<Item = (Letter, usize)> {
    let bytes = path.as_bytes();
    let mut next = 0;
    std::iter::from_fn(move || {
        let at = next;
        let letter = match bytes[at..] {
            [] => return None,
            [b'%', high, low, ..] => {
                next += 3;
                let meant = escaped(high, low).filter(|&byte| is_unreserved(byte));
                meant.map_or(Letter::Escape([high, low]), Letter::Byte)
            }
            [byte, ..] => {
                next += 1;
                Letter::Byte(byte)
            }
        };
        Some((letter, at))
    })
}

/// A path without dot segments, otherwise as it is.
fn without_dots(path: &str) -> Cow<'_, str> {
    if !has_dots(path) {
        return Cow::Borrowed(path);
    }
    let mut out = String::with_capacity(path.len());
    let mut ends_in_dots = false;
    for segment in path[1..].split('/') {
        let dots = dots(segment);
        ends_in_dots = dots > 0;
        if dots == 2 {
            out.truncate(out.rfind('/').unwrap_or(0));
        } else if dots == 0 {
            out.push('/');
            out.push_str(segment);
        }
    }
    if ends_in_dots {
        out.push('/');
    }
    Cow::Owned(out)
}

fn has_dots(path: &str) -> bool {
    path[1..].split('/').any(|segment| dots(segment) > 0)
}

/// How many dots a segment consists of, escaped or not; 0 if it is no dot segment.
fn dots(segment: &str) -> usize {
    if segment.len() > 6 || !segment.starts_with(['.', '%']) {
        return 0;
    }
    let only_dots = letters(segment).all(|(letter, _)| letter == Letter::Byte(b'.'));
    let count = letters(segment).count();
    if only_dots && count <= 2 { count } else { 0 }
}

fn split_query(target: &str) -> (&str, Option<&str>) {
    memchr(b'?', target.as_bytes()).map_or((target, None), |at| (&target[..at], Some(&target[at + 1..])))
}

/// How long the path at the start of `target` is, up to the end or a `?`, if it is plain, as nearly all are:
/// nothing escaped, nothing that is refused, no parameter, no segment that begins with a dot, no empty one
/// but the last. `None` says nothing against it.
fn plain_len(target: &[u8]) -> Option<usize> {
    let len = first_marked_without_pair(target, *b"/.", false, special_in_paths)?;
    matches!(target.get(len), None | Some(b'?')).then_some(len)
}

/// Marks what a plain path does not have, and zeros.
#[inline(always)]
fn special_in_paths(block: Block) -> Block {
    let invisible = block.less(0x21).at_least(0x7f - 0x21);
    let telling = block.equal(b'%') | block.equal(b'?') | block.equal(b'#');
    invisible | telling | block.equal(b'\\') | block.equal(b';')
}

/// Whether the path can be forwarded.
fn check(path: &[u8]) -> Result<(), TargetError> {
    for (at, &byte) in path.iter().enumerate() {
        match byte {
            b'\\' => return Err(TargetError::Backslash),
            b'?' => return Err(TargetError::BadCharacter),
            b'%' => check_escape(path.get(at + 1..at + 3))?,
            _ if is_target_byte(byte) => {}
            _ => return Err(TargetError::BadCharacter),
        }
    }
    Ok(())
}

fn check_escape(digits: Option<&[u8]>) -> Result<(), TargetError> {
    let digits = digits.ok_or(TargetError::BadEscape)?;
    match escaped(digits[0], digits[1]) {
        None => Err(TargetError::BadEscape),
        Some(0) => Err(TargetError::Nul),
        Some(_) => Ok(()),
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
