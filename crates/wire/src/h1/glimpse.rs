//! What a head that is refused seems to say, for the log alone: nothing of it may decide anything.

use memchr::memchr;

/// Bytes that are looked at: more than the log keeps of any value.
const LOOKED_AT_MAX: usize = 64 * 1024;

/// Parts of a refused head, as its bytes came; what could not be found is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Glimpse<'a> {
    /// Up to the first space.
    pub method: &'a [u8],
    /// Up to the last space of the line, or its end.
    pub target: &'a [u8],
    /// The first `Host`.
    pub host: &'a [u8],
    /// The first `User-Agent`.
    pub user_agent: &'a [u8],
    /// The first `X-Request-Id`.
    pub request_id: &'a [u8],
}

impl<'a> Glimpse<'a> {
    /// Looks at what was received of a head, however broken it is.
    #[must_use]
    pub fn of(input: &'a [u8]) -> Self {
        let input = &input[..input.len().min(LOOKED_AT_MAX)];
        let begin = input
            .iter()
            .position(|byte| !matches!(byte, b'\r' | b'\n'))
            .unwrap_or(input.len());
        let mut rest = &input[begin..];
        let mut glimpse = Self::default();
        let line = next_line(&mut rest);
        // What begins with other bytes is no request, and no text either.
        if !line.first().is_some_and(u8::is_ascii_graphic) {
            return glimpse;
        }
        (glimpse.method, glimpse.target) = request_line(line);
        while !rest.is_empty() {
            let line = next_line(&mut rest);
            if line.is_empty() {
                break;
            }
            glimpse.field(line);
        }
        glimpse
    }

    fn field(&mut self, line: &'a [u8]) {
        let Some(colon) = memchr(b':', line) else {
            return;
        };
        let (name, value) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
        let place = if name.eq_ignore_ascii_case(b"host") {
            &mut self.host
        } else if name.eq_ignore_ascii_case(b"user-agent") {
            &mut self.user_agent
        } else if name.eq_ignore_ascii_case(b"x-request-id") {
            &mut self.request_id
        } else {
            return;
        };
        if place.is_empty() {
            *place = value;
        }
    }
}

/// Takes a line off, without its end.
fn next_line<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let end = memchr(b'\n', rest).unwrap_or(rest.len());
    let line = &rest[..end];
    *rest = rest.get(end + 1..).unwrap_or_default();
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn request_line(line: &[u8]) -> (&[u8], &[u8]) {
    let Some(space) = memchr(b' ', line) else {
        return (line, b"");
    };
    let (method, rest) = (&line[..space], &line[space + 1..]);
    let versioned = rest.windows(6).rposition(|six| six == b" HTTP/");
    (method, versioned.map_or(rest, |end| &rest[..end]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_came_of_a_broken_head_is_found() {
        let glimpse = Glimpse::of(
            b"\r\nGET /caf\xc3\xa9 a HTTP/1.1\r\nHost : shop.test\nx-bad\r\nUSER-agent: u/1\r\nX-Request-Id: 7\r\nHost: b\r\n\r\nHost: c",
        );
        assert_eq!(glimpse.method, b"GET");
        assert_eq!(glimpse.target, b"/caf\xc3\xa9 a");
        assert_eq!(
            (glimpse.host, glimpse.user_agent),
            (&b"shop.test"[..], &b"u/1"[..])
        );
        assert_eq!(glimpse.request_id, b"7");
    }

    #[test]
    fn a_head_that_ends_early_is_told_as_far_as_it_came() {
        assert_eq!(Glimpse::of(b"GE").method, b"GE");
        assert_eq!(Glimpse::of(b"GET /a").target, b"/a");
        assert_eq!(Glimpse::of(b"GET /a HTTP/1.1\r\nHost: a.te").host, b"a.te");
        assert_eq!(Glimpse::of(b"\x16\x03\x01 a b"), Glimpse::default());
    }

    proptest! {
        #[test]
        fn any_bytes_are_looked_at_without_harm(input in proptest::collection::vec(any::<u8>(), 0..300)) {
            let glimpse = Glimpse::of(&input);
            prop_assert!(!glimpse.method.contains(&b'\n') && !glimpse.target.contains(&b'\n'));
        }
    }
}
