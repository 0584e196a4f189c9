//! Which host a request is for: the `Host` field and the target's authority (RFC 9112, 3.2).

use std::borrow::Cow;
use std::net::Ipv6Addr;

use crate::field::Known;
use crate::h1::head::{RequestHead, Version};
use crate::path::Target;
use crate::scan::all;
use crate::shown_by_its_sentence;

/// Why a request's host was refused: 400, close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostError {
    /// HTTP/1.1 without `Host`.
    Missing,
    /// More than one `Host`.
    Several,
    /// Neither a name nor an address with an optional port; see [`Authority::parse`].
    Malformed,
}

impl HostError {
    /// Envoy's response code details.
    #[must_use]
    pub const fn details(self) -> &'static str {
        match self {
            Self::Missing => "missing_host_header",
            Self::Several => "http1.codec_error",
            Self::Malformed => "http1.invalid_url",
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
            Self::Missing => "The request has no Host field.",
            Self::Several => "The request has more than one Host field.",
            Self::Malformed => "The host is neither a name nor an address, with or without a port.",
        }
    }
}

shown_by_its_sentence!(HostError);

/// A host with an optional port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authority<'a> {
    /// As sent: a name, an IPv4 address, or an IPv6 address in brackets.
    pub host: &'a str,
    /// `None` if there is none, or nothing follows the colon.
    pub port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Reads `host [":" port]`, stricter than RFC 3986, 3.2: a name is of letters, digits, `-`, `.`,
    /// `_` and `~`, without empty labels. User information, percent-escapes and punctuation in names
    /// are refused, because routers differ in what they make of them.
    ///
    /// # Errors
    /// [`HostError::Malformed`].
    pub fn parse(text: &'a str) -> Result<Self, HostError> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let bracket = rest.find(']').ok_or(HostError::Malformed)?;
                let good = rest[..bracket].parse::<Ipv6Addr>().is_ok();
                good.then(|| text.split_at(bracket + 2))
            }
            None => name_len(text).map(|len| text.split_at(len)),
        }
        .ok_or(HostError::Malformed)?;
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            Some("") => None,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(digits.parse().map_err(|_| HostError::Malformed)?)
            }
            _ => return Err(HostError::Malformed),
        };
        Ok(Self { host, port })
    }

    /// The host as routing compares it: lower case, without port and trailing dot.
    #[must_use]
    pub fn key(&self) -> Cow<'a, str> {
        let host = self.host.strip_suffix('.').unwrap_or(self.host);
        if all(host.as_bytes(), |byte| !byte.is_ascii_uppercase()) {
            Cow::Borrowed(host)
        } else {
            Cow::Owned(host.to_ascii_lowercase())
        }
    }
}

/// The authority that a request is for, as text for the `Host` field to send: the target's if it has
/// one, which overrides `Host` (RFC 9112, 3.2.2), else the `Host` field's. `None` only for HTTP/1.0
/// without either. There must be exactly one `Host` (at most one in HTTP/1.0) and it must be
/// well-formed even where it is overridden.
///
/// # Errors
/// See [`HostError`].
pub fn request_host<'a>(head: &'a RequestHead, target: &Target<'a>) -> Result<Option<&'a str>, HostError> {
    let mut values = head.fields.all(Known::Host);
    let first = values.next();
    if values.next().is_some() {
        return Err(HostError::Several);
    }
    let field = match first {
        None if head.version == Version::Http11 => return Err(HostError::Missing),
        None => None,
        Some(value) => {
            let text = std::str::from_utf8(value).map_err(|_| HostError::Malformed)?;
            Authority::parse(text)?;
            Some(text)
        }
    };
    Ok(target.authority.or(field))
}

/// The host as routing compares it, from an authority's text: lower case, without port and trailing
/// dot. Text that is no authority is compared as it is.
#[must_use]
pub fn host_key(authority: &str) -> Cow<'_, str> {
    Authority::parse(authority).map_or(Cow::Borrowed(authority), |authority| authority.key())
}

/// Length of the name that the text begins with, up to its end or a colon; `None` if it is none.
fn name_len(text: &str) -> Option<usize> {
    let mut after_dot = true;
    let mut len = 0;
    for byte in text.bytes() {
        match NAME_BYTES[usize::from(byte)] {
            NameByte::Good => after_dot = false,
            NameByte::Dot if !after_dot => after_dot = true,
            NameByte::Colon => break,
            NameByte::Dot | NameByte::Bad => return None,
        }
        len += 1;
    }
    (len > 0).then_some(len)
}

/// What a byte is to a name.
#[derive(Clone, Copy)]
enum NameByte {
    Bad,
    Good,
    Dot,
    Colon,
}

static NAME_BYTES: [NameByte; 256] = {
    let mut table = [NameByte::Bad; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'-' | b'_' | b'~' => NameByte::Good,
            b'.' => NameByte::Dot,
            b':' => NameByte::Colon,
            letter if letter.is_ascii_alphanumeric() => NameByte::Good,
            _ => NameByte::Bad,
        };
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::h1::head::{Limits, Scan};

    fn host_of(request: &str) -> Result<Option<String>, HostError> {
        let mut head = RequestHead::default();
        head.read(request.as_bytes(), &mut Scan::default(), &Limits::default())
            .unwrap()
            .unwrap();
        let target = Target::of(&head).unwrap();
        request_host(&head, &target).map(|host| host.map(str::to_owned))
    }

    #[test]
    fn an_authority_is_a_name_or_address_with_an_optional_port() {
        let good = [
            ("example.com", "example.com", None),
            ("Example.COM.:8080", "example.com", Some(8080)),
            ("10.0.0.1:80", "10.0.0.1", Some(80)),
            ("[::1]:443", "[::1]", Some(443)),
            ("[2001:DB8::1]", "[2001:db8::1]", None),
            ("a_b.svc", "a_b.svc", None),
            ("localhost:", "localhost", None),
        ];
        for (text, key, port) in good {
            let authority = Authority::parse(text).unwrap();
            assert_eq!((authority.key().as_ref(), authority.port), (key, port), "{text}");
            assert_eq!(host_key(text), key);
        }
        let bad = [
            "",
            ".",
            ":80",
            "a..b",
            ".a",
            "user@a",
            "a:b",
            "a:65536",
            "a:-1",
            "a:+1",
            "a:1:2",
            "[::1",
            "[::1]x",
            "[v1.x]",
            "[]",
            "[fe80::1%25eth0]",
            "a/b",
            "a,b",
            "a b",
            "a%41",
            "a\\b",
            "é",
            "a?b",
            "a#b",
        ];
        for text in bad {
            assert_eq!(Authority::parse(text), Err(HostError::Malformed), "{text}");
        }
    }

    #[test]
    fn a_request_has_exactly_one_host_and_the_target_overrides_it() {
        assert_eq!(
            host_of("GET / HTTP/1.1\r\nHost: a:1\r\n\r\n"),
            Ok(Some("a:1".into()))
        );
        assert_eq!(
            host_of("GET http://b:2/ HTTP/1.1\r\nHost: a\r\n\r\n"),
            Ok(Some("b:2".into()))
        );
        assert_eq!(host_of("GET / HTTP/1.0\r\n\r\n"), Ok(None));
        assert_eq!(host_of("GET http://b/ HTTP/1.0\r\n\r\n"), Ok(Some("b".into())));
        assert_eq!(host_of("GET / HTTP/1.1\r\n\r\n"), Err(HostError::Missing));
        assert_eq!(host_of("GET http://b/ HTTP/1.1\r\n\r\n"), Err(HostError::Missing));
        assert_eq!(
            host_of("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n"),
            Err(HostError::Several)
        );
        assert_eq!(
            host_of("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"),
            Err(HostError::Several)
        );
        assert_eq!(
            host_of("GET / HTTP/1.1\r\nHost:\r\n\r\n"),
            Err(HostError::Malformed)
        );
        assert_eq!(
            host_of("GET http://b/ HTTP/1.1\r\nHost: a/b\r\n\r\n"),
            Err(HostError::Malformed)
        );
        assert_eq!(
            host_of("GET / HTTP/1.1\r\nHost: \u{e9}\r\n\r\n"),
            Err(HostError::Malformed)
        );
    }
}
