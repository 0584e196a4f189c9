//! The text line: Envoy's default format, so that what parses Envoy's log parses ours.
//!
//! A request that was saved or that failed has one more quoted field at the end, its sentence.
//! The fourteen fields before it never move.

use wire::scan;

use super::Facts;
use super::pen::Pen;
use super::stamp::Stamp;
use super::texts::{Span, is_harmless};

/// Writes the line of `facts`, its line feed included.
pub(super) fn write<'a>(facts: &Facts, stamp: &mut Stamp, mut pen: Pen<'a>) -> Pen<'a> {
    pen.put(b"[");
    pen.put(stamp.at(facts.wall_nanos));
    pen.put(b"] \"");
    pen.lend(|pen| word(facts, facts.method, pen));
    pen.put(b" ");
    pen.lend(|pen| word(facts, facts.path, pen));
    pen.put(b" ");
    pen.put(match facts.protocol {
        "" => b"-",
        protocol => protocol.as_bytes(),
    });
    pen.put(b"\" ");
    pen.number(u64::from(facts.status));
    pen.put(b" ");
    pen.lend(|pen| flags(facts, pen));
    for value in [facts.bytes_received, facts.bytes_sent, facts.duration_ms()] {
        pen.put(b" ");
        pen.number(value);
    }
    pen.put(b" ");
    match facts.service_ms {
        Some(ms) => pen.number(ms),
        None => pen.put(b"-"),
    }
    for field in [
        facts.forwarded_for,
        facts.user_agent,
        facts.request_id,
        facts.authority,
        facts.upstream,
    ] {
        pen.lend(|pen| words(facts, field, pen));
    }
    if !facts.sentence.is_empty() {
        pen.lend(|pen| words(facts, facts.sentence, pen));
        if facts.attempts > 1 {
            pen.put(b" attempts=");
            pen.number(u64::from(facts.attempts));
        }
    }
    pen.put(b"\n");
    pen
}

/// Writes the flags, joined by commas; `-` is none.
pub(super) fn flags<'a>(facts: &Facts, mut pen: Pen<'a>) -> Pen<'a> {
    if facts.flags.is_empty() {
        pen.put(b"-");
        return pen;
    }
    for (before, flag) in facts.flags.iter().enumerate() {
        pen.put(if before > 0 { b"," } else { b"" });
        pen.put(flag.as_str().as_bytes());
    }
    pen
}

/// A field in which a space would move what follows it.
#[inline(always)]
fn word<'a>(facts: &Facts, span: Span, mut pen: Pen<'a>) -> Pen<'a> {
    let value = facts.texts.get(span);
    if value.contains(&b' ') {
        return escaped(value, |byte| is_harmless(byte) & (byte != b' '), pen);
    }
    text(facts, span, &mut pen);
    pen
}

/// A field that stands alone between quotes.
#[inline(always)]
fn words<'a>(facts: &Facts, span: Span, mut pen: Pen<'a>) -> Pen<'a> {
    pen.put(b" \"");
    text(facts, span, &mut pen);
    pen.put(b"\"");
    pen
}

/// Writes a text; `-` stands for an empty one.
#[inline(always)]
fn text(facts: &Facts, span: Span, pen: &mut Pen<'_>) {
    if span.is_empty() {
        pen.put(b"-");
    } else if facts.harmless {
        pen.text(&facts.texts, span);
    } else {
        pen.lend(|pen| escaped(facts.texts.get(span), is_harmless, pen));
    }
}

/// Writes `value`, each byte that is not harmless as `\xHH`: no client can end a line, begin a
/// field, or speak to the terminal that shows it.
#[cold]
fn escaped<'a>(value: &[u8], harmless: impl Fn(u8) -> bool, mut pen: Pen<'a>) -> Pen<'a> {
    if scan::all(value, &harmless) {
        pen.put(value);
        return pen;
    }
    for &byte in value {
        if harmless(byte) {
            pen.put(&[byte]);
        } else {
            pen.put(&hex_escape(byte));
        }
    }
    pen
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
