//! The text line: Envoy's default format, so that what parses Envoy's log parses ours.
//!
//! A request that was saved or that failed has one more quoted field at the end, its sentence.
//! The fourteen fields before it never move.

use wire::scan;
use wire::text::push_decimal;

use super::{Facts, Span};

/// Appends the line of `facts`, its line feed included.
pub(super) fn write(facts: &Facts, stamp: &mut super::stamp::Stamp, line: &mut Vec<u8>) {
    line.push(b'[');
    stamp.write(facts.wall_nanos, line);
    line.extend_from_slice(b"] \"");
    word(facts, facts.method, line);
    line.push(b' ');
    word(facts, facts.path, line);
    line.push(b' ');
    line.extend_from_slice(if facts.protocol.is_empty() {
        b"-"
    } else {
        facts.protocol.as_bytes()
    });
    line.extend_from_slice(b"\" ");
    push_decimal(line, u64::from(facts.status));
    line.push(b' ');
    flags(facts, line);
    for value in [facts.bytes_received, facts.bytes_sent, facts.duration_ms()] {
        line.push(b' ');
        push_decimal(line, value);
    }
    line.push(b' ');
    match facts.service_ms {
        Some(ms) => push_decimal(line, ms),
        None => line.push(b'-'),
    }
    for field in [
        facts.forwarded_for,
        facts.user_agent,
        facts.request_id,
        facts.authority,
        facts.upstream,
    ] {
        line.extend_from_slice(b" \"");
        words(facts, field, line);
        line.push(b'"');
    }
    if facts.sentence.length > 0 {
        line.extend_from_slice(b" \"");
        words(facts, facts.sentence, line);
        line.push(b'"');
    }
    line.push(b'\n');
}

/// Appends the flags, joined by commas; `-` is none.
pub(super) fn flags(facts: &Facts, line: &mut Vec<u8>) {
    if facts.flags.is_empty() {
        return line.push(b'-');
    }
    for (before, flag) in facts.flags.iter().enumerate() {
        line.extend_from_slice(if before > 0 { b"," } else { b"" });
        line.extend_from_slice(flag.as_str().as_bytes());
    }
}

/// A field in which a space would move what follows it.
fn word(facts: &Facts, span: Span, line: &mut Vec<u8>) {
    escaped(facts.text(span), |byte| is_harmless(byte) & (byte != b' '), line);
}

/// A field that stands alone between its quotes.
fn words(facts: &Facts, span: Span, line: &mut Vec<u8>) {
    escaped(facts.text(span), is_harmless, line);
}

/// Printable ASCII that can neither end a field nor pass for an escape.
#[inline]
pub(super) const fn is_harmless(byte: u8) -> bool {
    (byte.wrapping_sub(b' ') < 0x7f - b' ') & (byte != b'"') & (byte != b'\\')
}

/// Appends `value`, each byte that is not harmless as `\xHH`: no client can end a line, begin a
/// field, or speak to the terminal that shows it. `-` stands for an empty value.
fn escaped(value: &[u8], harmless: impl Fn(u8) -> bool, line: &mut Vec<u8>) {
    if value.is_empty() {
        line.push(b'-');
        return;
    }
    // Nearly all values need no escape.
    if scan::all(value, &harmless) {
        line.extend_from_slice(value);
        return;
    }
    for &byte in value {
        if harmless(byte) {
            line.push(byte);
        } else {
            line.extend_from_slice(&hex_escape(byte));
        }
    }
}

/// `\xHH`.
pub(super) const fn hex_escape(byte: u8) -> [u8; 4] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [
        b'\\',
        b'x',
        DIGITS[(byte >> 4) as usize],
        DIGITS[(byte & 15) as usize],
    ]
}
