//! Which bytes may stand where, and how fast that is found out: sixteen bytes at a time for runs.

use crate::block::{Block, first_marked};
use crate::scan::all;

/// Where the token characters (RFC 9110, 5.6.2) that begin at `from` end.
#[inline(always)]
pub(crate) fn token_end(bytes: &[u8], from: usize) -> usize {
    let at = first_marked(bytes, from, unusual_in_names);
    match bytes.get(at) {
        None | Some(b':' | b' ') => at,
        Some(_) => unusual_token_end(bytes, at),
    }
}

/// Where the letters and hyphens end that the bytes begin with.
#[inline(always)]
pub(crate) fn letters_end(bytes: &[u8]) -> usize {
    first_marked(bytes, 0, unusual_in_names)
}

/// How many letters and hyphens the bytes begin with; 0 if there are sixteen or more.
#[inline(always)]
pub(crate) fn short_name_len(bytes: &[u8]) -> usize {
    unusual_in_names(Block::first_of(bytes)).first() % Block::BYTES
}

/// Where the visible bytes and spaces that begin at `from` end.
#[inline(always)]
pub(crate) fn visible_end(bytes: &[u8], from: usize) -> usize {
    first_marked(bytes, from, controls)
}

/// Digits and marks are rare enough in names to be looked at one by one.
#[inline(never)]
fn unusual_token_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while at < bytes.len() && is_token_byte(bytes[at]) {
        at = first_marked(bytes, at + 1, unusual_in_names);
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
    let mut at = first_marked(bytes, from, controls);
    // A tab is good, but lies among the control characters.
    while bytes.get(at) == Some(&b'\t') {
        at = first_marked(bytes, at + 1, controls);
    }
    at
}

/// Where the good bytes of a request target that begin at `from` end.
#[inline]
pub(crate) fn target_end(bytes: &[u8], from: usize) -> usize {
    first_marked(bytes, from, outside_target)
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

/// Marks what is neither a letter nor a hyphen.
#[inline(always)]
fn unusual_in_names(block: Block) -> Block {
    let no_letter = block.with(0x20).less(b'a').at_least(26);
    no_letter.but(block.equal(b'-'))
}

/// Marks control characters: tabs, too.
#[inline(always)]
fn controls(block: Block) -> Block {
    block.up_to(0x1f) | block.equal(0x7f)
}

/// Marks what [`is_target_byte`] refuses.
#[inline(always)]
fn outside_target(block: Block) -> Block {
    block.less(0x21).at_least(0x7f - 0x21) | block.equal(b'#')
}

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
