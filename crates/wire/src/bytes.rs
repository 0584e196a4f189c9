//! Which bytes may stand where, and how fast that is found out: eight bytes at a time for runs.

use crate::scan::all;

/// Where the token characters (RFC 9110, 5.6.2) that begin at `from` end.
#[inline(always)]
pub(crate) fn token_end(bytes: &[u8], from: usize) -> usize {
    let at = end_of_run(bytes, from, unusual_in_names, is_token_byte);
    match bytes.get(at) {
        None | Some(b':' | b' ') => at,
        Some(_) => unusual_token_end(bytes, at),
    }
}

/// Digits and marks are rare enough in names to be looked at one by one.
#[inline(never)]
fn unusual_token_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while at < bytes.len() && is_token_byte(bytes[at]) {
        at = end_of_run(bytes, at + 1, unusual_in_names, is_token_byte);
    }
    at
}

/// Whether the byte may stand in a method or field name.
#[inline]
pub(crate) const fn is_token_byte(byte: u8) -> bool {
    TOKEN[byte as usize]
}

/// Whether the bytes are a token: at least one token character and nothing else.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && token_end(bytes, 0) == bytes.len()
}

/// Whether the byte may stand in a field value: visible ASCII, obs-text, space, tab.
#[inline]
pub(crate) const fn is_value_byte(byte: u8) -> bool {
    ((byte >= 0x20) & (byte != 0x7f)) | (byte == b'\t')
}

/// Whether the byte may stand in a request target: visible ASCII but `#`, since a fragment is never sent.
#[inline]
pub(crate) const fn is_target_byte(byte: u8) -> bool {
    (byte.wrapping_sub(0x21) < 0x7f - 0x21) & (byte != b'#')
}

/// Where the good bytes of a field value that begin at `from` end.
#[inline(always)]
pub(crate) fn value_end(bytes: &[u8], from: usize) -> usize {
    let mut at = end_of_run(bytes, from, controls, is_value_byte);
    // A tab is good, but lies among the control characters.
    while bytes.get(at) == Some(&b'\t') {
        at = end_of_run(bytes, at + 1, controls, is_value_byte);
    }
    at
}

/// Where the good bytes of a request target that begin at `from` end.
#[inline]
pub(crate) fn target_end(bytes: &[u8], from: usize) -> usize {
    end_of_run(bytes, from, outside_target, is_target_byte)
}

/// Whether all bytes may stand in a field value.
#[inline]
pub(crate) fn are_value_bytes(bytes: &[u8]) -> bool {
    all(bytes, is_value_byte)
}

/// Whether two texts are one but for the case of letters; `lower` is in lower case. Where `lower` is
/// a constant, this is a comparison of a few words.
#[inline(always)]
pub(crate) fn is_word<const N: usize>(text: &[u8], lower: &[u8; N]) -> bool {
    let Ok(text) = <&[u8; N]>::try_from(text) else {
        return false;
    };
    let mut differs = 0;
    for at in 0..N {
        // A letter is met in both cases by its lower one, and nothing else is changed.
        let case = if lower[at].is_ascii_lowercase() { 0x20 } else { 0 };
        differs |= (text[at] | case) ^ lower[at];
    }
    differs == 0
}

/// `bytes` without spaces and tabs at both ends.
#[inline]
pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Where the run of good bytes that begins at `from` ends. `bad_in` marks the bad bytes of a word by
/// their high bit; only the lowest mark needs to be exact. It may mark bytes that are good, and the run
/// ends there.
#[inline(always)]
fn end_of_run(bytes: &[u8], from: usize, bad_in: impl Fn(u64) -> u64, good: impl Fn(u8) -> bool) -> usize {
    let mut rest = &bytes[from..];
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        let bad = bad_in(u64::from_le_bytes(*word));
        if bad != 0 {
            return bytes.len() - rest.len() + (bad.trailing_zeros() / 8) as usize;
        }
        rest = after;
    }
    let good = rest.iter().position(|&byte| !good(byte));
    bytes.len() - rest.len() + good.unwrap_or(rest.len())
}

/// Marks what is neither a letter nor a hyphen.
#[inline(always)]
const fn unusual_in_names(word: u64) -> u64 {
    // Seven bits plus what is missing to 0x80: the high bit says "at least", without a carry.
    let lower = (word | (EACH * 0x20)) & !HIGH;
    let letter = (lower + EACH * (0x80 - b'a' as u64)) & !(lower + EACH * (0x7f - b'z' as u64));
    let hyphen = !((((word ^ (EACH * b'-' as u64)) & !HIGH) + !HIGH) | word);
    (!(letter | hyphen) | word) & HIGH
}

/// Marks bytes below 0x20, and 0x7f. A borrow can only spoil bytes above the first one found.
#[inline(always)]
const fn controls(word: u64) -> u64 {
    let below_space = word.wrapping_sub(EACH * 0x20) & !word;
    (below_space | equal(word, 0x7f)) & HIGH
}

/// Marks what [`is_target_byte`] refuses.
#[inline(always)]
const fn outside_target(word: u64) -> u64 {
    let up_to_space = word.wrapping_sub(EACH * 0x21) & !word;
    // Seven bits plus one carry into the high bit from 0x7f on; obs-text has it anyway.
    let delete_or_above = ((word & !HIGH) + EACH) | word;
    (up_to_space | delete_or_above | equal(word, b'#')) & HIGH
}

/// Marks bytes equal to `byte`.
#[inline(always)]
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
    fn many_at_a_time_finds_what_one_at_a_time_finds() {
        for before in 0..20_usize {
            for byte in 0..=255_u8 {
                for after in [b'a', b'1', 0, 0xff, b'\r', b'#'] {
                    let mut bytes = vec![b'x'; before];
                    bytes.push(byte);
                    bytes.extend_from_slice(&[after; 9]);
                    let told = format!("{byte:#x} {after:#x} at {before}");
                    let slow =
                        |good: fn(u8) -> bool| bytes.iter().position(|&b| !good(b)).unwrap_or(bytes.len());
                    assert_eq!(value_end(&bytes, 0), slow(is_value_byte), "{told}");
                    assert_eq!(target_end(&bytes, 0), slow(is_target_byte), "{told}");
                    assert_eq!(token_end(&bytes, 0), slow(is_token_byte), "{told}");
                }
            }
        }
    }

    #[test]
    fn the_classes_of_bytes_are_those_of_the_rfcs() {
        for byte in 0..=255_u8 {
            let visible = byte.is_ascii_graphic();
            assert_eq!(is_target_byte(byte), visible && byte != b'#');
            assert_eq!(
                is_value_byte(byte),
                visible || byte >= 0x80 || byte == b' ' || byte == b'\t'
            );
        }
    }

    #[test]
    fn a_word_is_met_in_any_case_and_nothing_else_passes_for_it() {
        for byte in 0..=255_u8 {
            assert_eq!(
                is_word(&[byte, b'-'], b"k-"),
                byte.eq_ignore_ascii_case(&b'k'),
                "{byte:#x}"
            );
            assert_eq!(is_word(&[b'K', byte], b"k-"), byte == b'-', "{byte:#x}");
        }
        assert!(!is_word(b"k", b"k-") && !is_word(b"k--", b"k-"));
    }
}
