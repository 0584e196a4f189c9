//! Query parameters, read as forms write them: `&` between them, `+` for a space, percent escapes.

use std::borrow::Cow;

/// The decoded value of the first parameter of that name; empty if it has no `=`. Allocates only for
/// a value that has something to decode.
pub(super) fn first<'a>(query: &'a str, name: &str) -> Option<Cow<'a, [u8]>> {
    let parameters = query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let (_, value) = parameters
        .into_iter()
        .find(|(key, _)| decoded(key).eq(name.bytes()))?;
    Some(match value.contains(['%', '+']) {
        true => Cow::Owned(decoded(value).collect()),
        false => Cow::Borrowed(value.as_bytes()),
    })
}

/// The bytes that a text stands for. An escape that is none stands for itself.
fn decoded(text: &str) -> impl Iterator<Item = u8> {
    let mut rest = text.as_bytes();
    std::iter::from_fn(move || {
        let (&byte, mut after) = rest.split_first()?;
        let mut meant = if byte == b'+' { b' ' } else { byte };
        if let (b'%', [high, low, beyond @ ..]) = (byte, after)
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            (meant, after) = (high << 4 | low, beyond);
        }
        rest = after;
        Some(meant)
    })
}

/// The value of a hexadecimal digit.
fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_parameter_of_a_name_counts() {
        assert_eq!(first("a=1&b=2&a=3", "a").as_deref(), Some(&b"1"[..]));
        assert_eq!(first("a&b=2", "a").as_deref(), Some(&b""[..]));
        assert_eq!(first("a=b=c", "a").as_deref(), Some(&b"b=c"[..]));
        assert_eq!(first("A=1", "a"), None);
        assert_eq!(first("", "a"), None);
    }

    #[test]
    fn names_and_values_are_decoded_and_a_broken_escape_stands_for_itself() {
        assert_eq!(
            first("fo%6f+bar=x%2By+z", "foo bar").as_deref(),
            Some(&b"x+y z"[..])
        );
        assert_eq!(first("a=100%&b=%zz%4", "a").as_deref(), Some(&b"100%"[..]));
        assert_eq!(first("a=100%&b=%zz%4", "b").as_deref(), Some(&b"%zz%4"[..]));
        assert_eq!(first("a=%ff", "a").as_deref(), Some(&b"\xff"[..]));
    }
}
