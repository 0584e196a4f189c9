//! The text line: Envoy's default format, so that what parses Envoy's log parses ours.
//!
//! A request that was saved or that failed has one more quoted field at the end, its sentence.
//! The fourteen fields before it never move.

use wire::scan;

use super::Facts;
use super::line_writer::LineWriter;
use super::stamp::Stamp;
use super::texts::{Span, is_harmless};

/// Writes the line of `facts`, its line feed included.
pub(super) fn write<'a>(facts: &Facts, stamp: &mut Stamp, mut writer: LineWriter<'a>) -> LineWriter<'a> {
    writer.put(b"[");
    writer.put(stamp.at(facts.wall_nanos));
    writer.put(b"] \"");
    writer.lend(|writer| word(facts, facts.method, writer));
    writer.put(b" ");
    writer.lend(|writer| word(facts, facts.path, writer));
    writer.put(b" ");
    writer.put(facts.protocol.map_or("-", super::version).as_bytes());
    writer.put(b"\" ");
    writer.number(u64::from(facts.status));
    writer.put(b" ");
    writer.lend(|writer| flags(facts, writer));
    for value in [facts.bytes_received, facts.bytes_sent, facts.duration_ms()] {
        writer.put(b" ");
        writer.number(value);
    }
    writer.put(b" ");
    match facts.service_ms {
        Some(ms) => writer.number(u64::from(ms)),
        None => writer.put(b"-"),
    }
    for field in [
        facts.forwarded_for,
        facts.user_agent,
        facts.request_id,
        facts.authority,
        facts.upstream,
    ] {
        writer.lend(|writer| words(facts, field, writer));
    }
    if !facts.sentence.is_empty() {
        writer.lend(|writer| words(facts, facts.sentence, writer));
        if facts.attempts > 1 {
            writer.put(b" attempts=");
            writer.number(u64::from(facts.attempts));
        }
    }
    writer.put(b"\n");
    writer
}

/// Writes the flags, joined by commas; `-` is none.
pub(super) fn flags<'a>(facts: &Facts, mut writer: LineWriter<'a>) -> LineWriter<'a> {
    if facts.flags.is_empty() {
        writer.put(b"-");
        return writer;
    }
    for (before, flag) in facts.flags.iter().enumerate() {
        writer.put(if before > 0 { b"," } else { b"" });
        writer.put(flag.as_str().as_bytes());
    }
    writer
}

/// A field in which a space would move what follows it.
#[inline(always)]
fn word<'a>(facts: &Facts, span: Span, mut writer: LineWriter<'a>) -> LineWriter<'a> {
    let value = facts.texts.get(span);
    if value.contains(&b' ') {
        return escaped(value, |byte| is_harmless(byte) & (byte != b' '), writer);
    }
    text(facts, span, &mut writer);
    writer
}

/// A field that stands alone between quotes.
#[inline(always)]
fn words<'a>(facts: &Facts, span: Span, mut writer: LineWriter<'a>) -> LineWriter<'a> {
    writer.put(b" \"");
    text(facts, span, &mut writer);
    writer.put(b"\"");
    writer
}

/// Writes a text; `-` stands for an empty one.
#[inline(always)]
fn text(facts: &Facts, span: Span, writer: &mut LineWriter<'_>) {
    if span.is_empty() {
        writer.put(b"-");
    } else if facts.harmless {
        writer.text(&facts.texts, span);
    } else {
        writer.lend(|writer| escaped(facts.texts.get(span), is_harmless, writer));
    }
}

/// Writes `value`, each byte that is not harmless as `\xHH`: no client can end a line, begin a
/// field, or speak to the terminal that shows it.
#[cold]
fn escaped<'a>(value: &[u8], harmless: impl Fn(u8) -> bool, mut writer: LineWriter<'a>) -> LineWriter<'a> {
    if scan::all(value, &harmless) {
        writer.put(value);
        return writer;
    }
    for &byte in value {
        if harmless(byte) {
            writer.put(&[byte]);
        } else {
            writer.put(&hex_escape(byte));
        }
    }
    writer
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
