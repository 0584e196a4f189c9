//! One endpoint's line of the state file.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use super::Entry;
use crate::cluster::Address;
use crate::keepalive::{Band, Learned, Silent};

/// The line, with its end; `None` if it is longer than any that is read.
pub(super) fn write(entry: &Entry) -> Option<String> {
    let mut line = escaped(entry.cluster.as_bytes());
    line.push(' ');
    match &entry.address {
        Address::Ip(address) => line.push_str(&address.to_string()),
        Address::Unix(path) => {
            line.push_str(UNIX);
            line.push_str(&escaped(path.as_os_str().as_bytes()));
        }
    }
    let learned = &entry.learned;
    let mut field = |name: &str, values: &[&dyn std::fmt::Display]| {
        let values: Vec<String> = values.iter().map(ToString::to_string).collect();
        // Writing to a String can not fail.
        let _ = write!(line, " {name}={}", values.join(","));
    };
    field("used", &[&entry.used]);
    if let Some(wall) = &learned.wall {
        field(
            "wall",
            &[&micros(wall.lo), &micros(wall.hi), &wall.closes, &wall.sample()],
        );
    }
    if !learned.explored.is_zero() {
        field("explored", &[&micros(learned.explored)]);
    }
    if learned.closes > 0.0 {
        field("closes", &[&learned.closes, &learned.unproven]);
    }
    if let Some(age) = learned.surprised {
        field("surprised", &[&micros(age)]);
    }
    if let Some(silent) = &learned.silence {
        field(
            "silence",
            &[&micros(silent.age), &micros(silent.left), &micros(silent.span)],
        );
    }
    line.push('\n');
    (line.len() <= BYTES_MAX).then_some(line)
}

/// The entry that this line says; `None` if it says none. A field of an unknown name is passed over.
pub(super) fn read(line: &str) -> Option<Entry> {
    let mut words = line.split(' ');
    let cluster = String::from_utf8(unescaped(words.next()?)?).ok()?;
    let address = words.next()?;
    let address = match address.strip_prefix(UNIX) {
        Some(path) => Address::Unix(Path::new(OsStr::from_bytes(&unescaped(path)?)).into()),
        None => Address::Ip(address.parse().ok()?),
    };
    let (mut used, mut learned) = (None, Learned::default());
    for word in words {
        let (name, values) = word.split_once('=')?;
        let values: Vec<&str> = values.split(',').collect();
        match (name, &values[..]) {
            ("used", [at]) => used = Some(at.parse().ok()?),
            ("wall", [lo, hi, closes, sample]) => {
                let (closes, sample) = (closes.parse().ok()?, sample.parse().ok()?);
                learned.wall = Band::measured(duration(lo)?, duration(hi)?, closes, sample);
            }
            ("explored", [age]) => learned.explored = duration(age)?,
            ("closes", [closes, unproven]) => {
                (learned.closes, learned.unproven) = (count(closes)?, count(unproven)?);
            }
            ("surprised", [age]) => learned.surprised = Some(duration(age)?),
            ("silence", [age, left, span]) => {
                learned.silence = Some(Silent {
                    age: duration(age)?,
                    left: duration(left)?,
                    span: duration(span)?,
                });
            }
            ("used" | "wall" | "explored" | "closes" | "surprised" | "silence", _) => return None,
            _ => {}
        }
    }
    Some(Entry {
        cluster,
        address,
        used: used?,
        learned,
    })
}

fn micros(span: Duration) -> u128 {
    span.as_micros()
}

fn duration(micros: &str) -> Option<Duration> {
    micros.parse().ok().map(Duration::from_micros)
}

fn count(text: &str) -> Option<f32> {
    text.parse()
        .ok()
        .filter(|count: &f32| count.is_finite() && *count >= 0.0)
}

fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_graphic() && byte != b'%' {
            text.push(char::from(byte));
        } else {
            // Writing to a String can not fail.
            let _ = write!(text, "%{byte:02x}");
        }
    }
    text
}

fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &rest[2..];
        } else {
            bytes.push(byte);
        }
    }
    Some(bytes)
}

const UNIX: &str = "unix:";

/// How long a line is at most, its end included: names of clusters and paths of sockets have room in it.
pub(super) const BYTES_MAX: usize = 1024;
