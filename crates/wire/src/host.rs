//! Which host a request is for: the `Host` field and the target's authority (RFC 9112, 3.2).

use std::borrow::Cow;
use std::net::Ipv6Addr;

use crate::block::{Block, first_marked_without_pair};
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
            None => name_len(text.as_bytes()).map(|len| text.split_at(len)),
        }
        .ok_or(HostError::Malformed)?;
        let port = match port.as_bytes() {
            [] | [b':'] => None,
            [b':', digits @ ..] => Some(port_number(digits).ok_or(HostError::Malformed)?),
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
    if head.fields.has_several(Known::Host) {
        return Err(HostError::Several);
    }
    let field = match head.fields.get(Known::Host) {
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

fn port_number(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0_u16, |port, digit| {
        let digit = digit.wrapping_sub(b'0');
        (digit < 10).then_some(())?;
        port.checked_mul(10)?.checked_add(u16::from(digit))
    })
}

/// Length of the name that the text begins with, up to its end or a colon; `None` if it is none.
fn name_len(text: &[u8]) -> Option<usize> {
    // A dot neither begins a name nor follows another.
    let len = first_marked_without_pair(text, *b"..", true, outside_names)?;
    (len > 0 && matches!(text.get(len), None | Some(b':'))).then_some(len)
}

/// Marks what is neither letter nor digit nor one of `-`, `.`, `_` and `~`.
#[inline(always)]
fn outside_names(block: Block) -> Block {
    let no_letter = block.with(0x20).less(b'a').at_least(26);
    let hyphen_to_nine = block.less(b'-').up_to(b'9' - b'-').but(block.equal(b'/'));
    no_letter.but(hyphen_to_nine | block.equal(b'_') | block.equal(b'~'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn a_name_is_of_labels_between_single_dots(text in "[a-cA-C09._~-]{0,14}([a-z.]{0,20}|.)(:[0-9]{0,3})?") {
            let (name, port) = text.split_once(':').map_or((&*text, None), |(name, port)| (name, Some(port)));
            let labels = name.strip_suffix('.').unwrap_or(name);
            let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_~".contains(&byte);
            let is_name = labels.split('.').all(|label| !label.is_empty() && label.bytes().all(good));
            let port = port.map_or(Some(""), |port| port.bytes().all(|byte| byte.is_ascii_digit()).then_some(port));
            let expected = port.filter(|_| is_name).map(|port| Authority { host: name, port: port.parse().ok() });
            prop_assert_eq!(Authority::parse(&text).ok(), expected);
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
