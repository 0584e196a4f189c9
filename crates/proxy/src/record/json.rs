//! The JSON line: one object, written straight into the line buffer.
//!
//! Keys in Envoy's words are always there, `null` where nothing is known; keys that begin with
//! `evenkeel_` are there only where there is something to say.

use std::io::Write as _;
use std::net::SocketAddr;

use wire::scan;
use wire::text::{push_decimal, push_socket};

use super::line::{flags, hex_escape, is_harmless};
use super::{Facts, Span, millis};

/// Appends the object of `facts` and a line feed.
pub(super) fn write(facts: &Facts, stamp: &mut super::stamp::Stamp, line: &mut Vec<u8>) {
    line.extend_from_slice(b"{\"start_time\":\"");
    stamp.write(facts.wall_nanos, line);
    line.push(b'"');
    let mut object = Object { facts, line };
    object.envoys();
    object.ours();
    line.extend_from_slice(b"}\n");
}

/// A key with the comma before it, its quotes and the colon behind it: a constant, so that it is
/// copied as one.
#[derive(Clone, Copy)]
struct Key(&'static str);

macro_rules! key {
    ($name:literal) => {
        Key(concat!(",\"", $name, "\":"))
    };
}

/// An object whose first key is already there.
struct Object<'a> {
    facts: &'a Facts,
    line: &'a mut Vec<u8>,
}

impl Object<'_> {
    fn envoys(&mut self) {
        let facts = self.facts;
        self.text(key!("method"), facts.method);
        self.text(key!("path"), facts.path);
        self.key(key!("protocol"));
        string_or_null(facts.protocol.as_bytes(), self.line);
        self.text(key!("authority"), facts.authority);
        self.count(key!("http_response_status_code"), u64::from(facts.status));
        self.key(key!("envoy_response_flags"));
        self.line.push(b'"');
        flags(facts, self.line);
        self.line.push(b'"');
        self.text(key!("envoy_response_code_details"), facts.details);
        self.count(key!("bytes_received"), facts.bytes_received);
        self.count(key!("bytes_sent"), facts.bytes_sent);
        self.count(key!("http_request_duration_ms"), facts.duration_ms());
        match facts.service_ms {
            Some(ms) => self.count(key!("upstream_service_time_ms"), ms),
            None => self.raw(key!("upstream_service_time_ms"), b"null"),
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
    }

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
        if facts.sentence.length > 0 {
            self.text(key!("evenkeel_sentence"), facts.sentence);
        }
    }

    #[inline(always)]
    fn key(&mut self, key: Key) {
        self.line.extend_from_slice(key.0.as_bytes());
    }

    #[inline(always)]
    fn raw(&mut self, key: Key, value: &[u8]) {
        self.key(key);
        self.line.extend_from_slice(value);
    }

    #[inline(always)]
    fn text(&mut self, key: Key, value: Span) {
        self.key(key);
        string_or_null(self.facts.text(value), self.line);
    }

    #[inline(always)]
    fn count(&mut self, key: Key, value: u64) {
        self.key(key);
        push_decimal(self.line, value);
    }

    #[inline(always)]
    fn known(&mut self, key: Key, value: Option<u64>) {
        if let Some(value) = value {
            self.count(key, value);
        }
    }

    #[inline(always)]
    fn word(&mut self, key: Key, value: Option<&str>) {
        if let Some(value) = value {
            self.key(key);
            string_or_null(value.as_bytes(), self.line);
        }
    }

    #[inline(always)]
    fn address(&mut self, key: Key, value: Option<SocketAddr>) {
        self.key(key);
        match value {
            // An address has nothing to escape.
            Some(address) => {
                self.line.push(b'"');
                push_socket(self.line, &address);
                self.line.push(b'"');
            }
            None => self.line.extend_from_slice(b"null"),
        }
    }
}

fn string_or_null(value: &[u8], line: &mut Vec<u8>) {
    if value.is_empty() {
        line.extend_from_slice(b"null");
        return;
    }
    line.push(b'"');
    // The text line's harmless bytes are JSON's as well.
    if scan::all(value, is_harmless) {
        line.extend_from_slice(value);
    } else {
        for chunk in value.utf8_chunks() {
            chunk
                .valid()
                .chars()
                .for_each(|character| escape(character, line));
            for &byte in chunk.invalid() {
                // JSON has no way to say a byte that is no text: the text line's escape, as text.
                line.push(b'\\');
                line.extend_from_slice(&hex_escape(byte));
            }
        }
    }
    line.push(b'"');
}

/// RFC 8259 section 7 asks for `"`, `\` and the control characters below U+0020. The others
/// are escaped because readers split lines at them (U+0085, U+2028, U+2029), or because terminals
/// obey them (U+007F to U+009F).
fn escape(character: char, line: &mut Vec<u8>) {
    match character {
        '"' | '\\' => line.extend_from_slice(&[b'\\', character as u8]),
        '\n' => line.extend_from_slice(b"\\n"),
        '\r' => line.extend_from_slice(b"\\r"),
        '\t' => line.extend_from_slice(b"\\t"),
        '\u{2028}' | '\u{2029}' => drop(write!(line, "\\u{:04x}", character as u32)),
        _ if character.is_control() => drop(write!(line, "\\u{:04x}", character as u32)),
        _ => line.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}
