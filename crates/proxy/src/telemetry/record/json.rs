//! The JSON line: one object, written straight into the line buffer.
//!
//! Keys in Envoy's words are always there, `null` where nothing is known; keys that begin with
//! `evenkeel_` are there only where there is something to say.

use std::io::Write as _;
use std::net::SocketAddr;

use wire::scan;

use super::line::{flags, hex_escape};
use super::line_writer::LineWriter;
use super::stamp::Stamp;
use super::texts::{Span, Texts, is_harmless};
use super::{Facts, millis};

/// Bytes that a byte of a text may become.
pub(super) const ESCAPE_MAX: usize = "\\u0000".len();

/// Writes the object of `facts` and a line feed.
pub(super) fn write<'a>(facts: &Facts, stamp: &mut Stamp, mut writer: LineWriter<'a>) -> LineWriter<'a> {
    writer.put(b"{\"start_time\":\"");
    writer.put(stamp.at(facts.wall_nanos));
    writer.put(b"\"");
    let mut object = Object { facts, writer };
    object.envoys();
    object.ours();
    object.writer.put(b"}\n");
    object.writer
}

/// A key with the comma before it, its quotes and the colon behind it: a constant, so that it is
/// copied as one. What begins a string, or says that there is none, comes along.
#[derive(Clone, Copy)]
struct Key {
    plain: &'static str,
    string: &'static str,
    null: &'static str,
}

macro_rules! key {
    ($name:literal) => {
        Key {
            plain: concat!(",\"", $name, "\":"),
            string: concat!(",\"", $name, "\":\""),
            null: concat!(",\"", $name, "\":null"),
        }
    };
}

/// An object whose first key is already there.
struct Object<'f, 'a> {
    facts: &'f Facts,
    writer: LineWriter<'a>,
}

impl Object<'_, '_> {
    #[inline(always)]
    fn envoys(&mut self) {
        let facts = self.facts;
        self.text(key!("method"), facts.method);
        self.text(key!("path"), facts.path);
        match facts.protocol {
            None => self.null(key!("protocol")),
            Some(version) => self.word(key!("protocol"), Some(super::version(version))),
        }
        self.text(key!("authority"), facts.authority);
        self.count(key!("http_response_status_code"), u64::from(facts.status));
        self.writer.put(key!("envoy_response_flags").string.as_bytes());
        self.writer.lend(|writer| flags(facts, writer));
        self.writer.put(b"\"");
        self.text(key!("envoy_response_code_details"), facts.details);
        self.count(key!("bytes_received"), facts.bytes_received);
        self.count(key!("bytes_sent"), facts.bytes_sent);
        self.count(key!("http_request_duration_ms"), facts.duration_ms());
        match facts.service_ms {
            Some(ms) => self.count(key!("upstream_service_time_ms"), u64::from(ms)),
            None => self.null(key!("upstream_service_time_ms")),
        }
        self.text(key!("x_forwarded_for"), facts.forwarded_for);
        self.text(key!("user_agent"), facts.user_agent);
        self.text(key!("request_id"), facts.request_id);
        self.text(key!("upstream_host"), facts.upstream);
        self.text(key!("upstream_cluster"), facts.cluster);
        self.text(key!("route_name"), facts.route);
        self.address(key!("downstream_remote_address"), facts.remote);
        self.address(key!("downstream_local_address"), facts.local);
        self.count(key!("upstream_request_attempt_count"), u64::from(facts.attempts));
        if facts.tls.is_tls() {
            self.word(key!("downstream_tls_version"), Some(facts.tls.version()));
            self.word(key!("downstream_tls_cipher"), Some(facts.tls.cipher()));
            self.text(key!("requested_server_name"), facts.server_name);
        }
    }

    #[inline(always)]
    fn ours(&mut self) {
        let facts = self.facts;
        let evidence = facts.evidence;
        self.word(
            key!("evenkeel_grade"),
            evidence.grade.map(policy::evidence::Grade::as_str),
        );
        if let Some(connection) = facts.connection {
            self.count(key!("evenkeel_idle_age_ms"), millis(connection.idle_age));
            self.count(key!("evenkeel_connection_age_ms"), millis(connection.age));
            self.count(key!("evenkeel_uses"), u64::from(connection.uses));
            self.known(key!("evenkeel_reuse_limit_ms"), connection.limit.map(millis));
        }
        self.word(
            key!("evenkeel_closed_by"),
            evidence.closed_by.map(super::ClosedBy::name),
        );
        self.known(key!("evenkeel_bytes_acknowledged"), evidence.acknowledged);
        self.known(key!("evenkeel_bytes_written"), evidence.written);
        self.word(key!("evenkeel_saved_by"), facts.saved.map(super::SavedBy::name));
        if !facts.sentence.is_empty() {
            self.text(key!("evenkeel_sentence"), facts.sentence);
        }
    }

    #[inline(always)]
    fn null(&mut self, key: Key) {
        self.writer.put(key.null.as_bytes());
    }

    #[inline(always)]
    fn text(&mut self, key: Key, value: Span) {
        let texts = &self.facts.texts;
        if value.is_empty() {
            return self.null(key);
        }
        self.writer.put(key.string.as_bytes());
        if self.facts.harmless {
            self.writer.text(texts, value);
        } else {
            self.writer.lend(|writer| harmful(texts, value, writer));
        }
        self.writer.put(b"\"");
    }

    #[inline(always)]
    fn count(&mut self, key: Key, value: u64) {
        self.writer.put(key.plain.as_bytes());
        self.writer.number(value);
    }

    #[inline(always)]
    fn known(&mut self, key: Key, value: Option<u64>) {
        if let Some(value) = value {
            self.count(key, value);
        }
    }

    /// A word of ours, which has nothing to escape.
    #[inline(always)]
    fn word(&mut self, key: Key, value: Option<&str>) {
        if let Some(value) = value {
            self.writer.put(key.string.as_bytes());
            self.writer.put(value.as_bytes());
            self.writer.put(b"\"");
        }
    }

    #[inline(always)]
    fn address(&mut self, key: Key, value: Option<SocketAddr>) {
        match value {
            // An address has nothing to escape.
            Some(address) => {
                self.writer.put(key.string.as_bytes());
                self.writer.socket(&address);
                self.writer.put(b"\"");
            }
            None => self.null(key),
        }
    }
}

/// A text that may have something to escape.
#[cold]
fn harmful<'a>(texts: &Texts, span: Span, mut writer: LineWriter<'a>) -> LineWriter<'a> {
    let value = texts.get(span);
    // The text line's harmless bytes are JSON's as well.
    if scan::all(value, is_harmless) {
        writer.text(texts, span);
        return writer;
    }
    for chunk in value.utf8_chunks() {
        for character in chunk.valid().chars() {
            escape(character, &mut writer);
        }
        for &byte in chunk.invalid() {
            // JSON has no way to say a byte that is no text: the text line's escape, as text.
            writer.put(b"\\");
            writer.put(&hex_escape(byte));
        }
    }
    writer
}

/// RFC 8259 section 7 asks for `"`, `\` and the control characters below U+0020. The others
/// are escaped because readers split lines at them (U+0085, U+2028, U+2029), or because terminals
/// obey them (U+007F to U+009F).
fn escape(character: char, writer: &mut LineWriter<'_>) {
    match character {
        '"' | '\\' => writer.put(&[b'\\', character as u8]),
        '\n' => writer.put(b"\\n"),
        '\r' => writer.put(b"\\r"),
        '\t' => writer.put(b"\\t"),
        '\u{2028}' | '\u{2029}' => drop(write!(writer, "\\u{:04x}", character as u32)),
        _ if character.is_control() => drop(write!(writer, "\\u{:04x}", character as u32)),
        _ => writer.put(character.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}
