//! Which bytes may stand where, and how fast that is found out: a table for tokens, eight bytes at
//! a time for the long runs of field values and targets.

/// Length of the longest prefix made of token characters (RFC 9110, 5.6.2).
#[inline]
pub(crate) fn token_len(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .position(|&byte| !is_token_byte(byte))
        .unwrap_or(bytes.len())
}

/// Whether the byte may stand in a method or field name.
#[inline]
pub(crate) const fn is_token_byte(byte: u8) -> bool {
    TOKEN[byte as usize]
}

/// Whether the bytes are a token: at least one token character and nothing else.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && token_len(bytes) == bytes.len()
}

/// Whether the byte may stand in a field value: visible ASCII, obs-text, space, tab.
#[inline]
pub(crate) const fn is_value_byte(byte: u8) -> bool {
    (byte >= 0x20 && byte != 0x7f) || byte == b'\t'
}

/// Whether the byte may stand in a request target: visible ASCII but `#`, since a fragment is never sent.
#[inline]
pub(crate) const fn is_target_byte(byte: u8) -> bool {
    byte > 0x20 && byte < 0x7f && byte != b'#'
}

/// Length of the longest prefix that is good in a field value. A tab is good but ends the fast loop,
/// because it lies among the control characters.
#[inline]
pub(crate) fn value_len(bytes: &[u8]) -> usize {
    let mut len = 0;
    loop {
        len += prefix_len(&bytes[len..], controls, |byte| byte >= 0x20 && byte != 0x7f);
        if bytes.get(len) != Some(&b'\t') {
            return len;
        }
        len += 1;
    }
}

/// Length of the longest prefix that is good in a request target.
#[inline]
pub(crate) fn target_len(bytes: &[u8]) -> usize {
    prefix_len(bytes, outside_target, is_target_byte)
}

/// `bytes` without spaces and tabs at both ends.
#[inline]
pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Appends a number in decimal.
pub(crate) fn push_decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return out.extend_from_slice(&digits[at..]);
        }
    }
}

/// Length of the longest prefix of good bytes. `bad_in` marks the bad bytes of a word by their high
/// bit; only the lowest mark needs to be exact.
#[inline]
fn prefix_len(bytes: &[u8], bad_in: impl Fn(u64) -> u64, good: impl Fn(u8) -> bool) -> usize {
    let mut len = 0;
    while let Some(word) = bytes[len..].first_chunk::<8>() {
        let bad = bad_in(u64::from_le_bytes(*word));
        if bad != 0 {
            return len + (bad.trailing_zeros() / 8) as usize;
        }
        len += 8;
    }
    len + bytes[len..]
        .iter()
        .position(|&byte| !good(byte))
        .unwrap_or(bytes.len() - len)
}

/// Marks bytes below 0x20, and 0x7f. A borrow can only spoil bytes above the first one found.
#[inline]
const fn controls(word: u64) -> u64 {
    let below_space = word.wrapping_sub(EACH * 0x20) & !word;
    (below_space | equal(word, 0x7f)) & HIGH
}

/// Marks what [`is_target_byte`] refuses.
#[inline]
const fn outside_target(word: u64) -> u64 {
    let up_to_space = word.wrapping_sub(EACH * 0x21) & !word;
    // Seven bits plus one carry into the high bit from 0x7f on; obs-text has it anyway.
    let delete_or_above = ((word & !HIGH) + EACH) | word;
    (up_to_space | delete_or_above | equal(word, b'#')) & HIGH
}

/// Marks bytes equal to `byte`.
#[inline]
const fn equal(word: u64, byte: u8) -> u64 {
    let difference = word ^ (EACH * byte as u64);
    difference.wrapping_sub(EACH) & !difference
}

const EACH: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let marks = b"!#$%&'*+-.^_`|~";
    let mut at = 0;
    while at < marks.len() {
        table[marks[at] as usize] = true;
        at += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_at_a_time_finds_what_one_at_a_time_finds() {
        for before in 0..20_usize {
            for byte in 0..=255_u8 {
                for after in [b'a', 0, 0xff, b'\r', b'#'] {
                    let mut bytes = vec![b'x'; before];
                    bytes.push(byte);
                    bytes.extend_from_slice(&[after; 9]);
                    let slow =
                        |good: fn(u8) -> bool| bytes.iter().position(|&b| !good(b)).unwrap_or(bytes.len());
                    assert_eq!(
                        value_len(&bytes),
                        slow(is_value_byte),
                        "{byte:#x} {after:#x} at {before}"
                    );
                    assert_eq!(
                        target_len(&bytes),
                        slow(is_target_byte),
                        "{byte:#x} {after:#x} at {before}"
                    );
                }
            }
        }
    }

    #[test]
    fn numbers_are_written_as_the_standard_library_writes_them() {
        for number in [0, 7, 10, 99, 100, 65_535, u64::MAX] {
            let mut out = Vec::new();
            push_decimal(&mut out, number);
            assert_eq!(out, number.to_string().as_bytes());
        }
    }
}
