//! What was read, before anyone judged it: a tree of values that know where they stand.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// A span of bytes in one source. Small, so that every value can carry one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spot {
    /// Index into the sources.
    pub(crate) source: u32,
    /// First byte.
    pub(crate) start: u32,
    /// One past the last byte; never before `start`.
    pub(crate) end: u32,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) value: Value,
    /// A scalar's text, or the first byte of a list or mapping.
    pub(crate) spot: Spot,
}

/// A value of YAML's core schema.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One entry of a mapping, in the order written.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_spot: Spot,
    pub(crate) value: Node,
}

impl Node {
    /// The entries, if this is a mapping.
    pub(crate) fn entries(&self) -> Option<&[Entry]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The text, if this is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if this is one, whole or not.
    pub(crate) fn number(&self) -> Option<f64> {
        match self.value {
            Value::Int(value) => Some(value as f64),
            Value::Float(value) => Some(value),
            _ => None,
        }
    }

    /// What an operator would call this value: `the number 80`, `a list`.
    pub(crate) fn what(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(value) => format!("the boolean `{value}`"),
            Value::Int(value) => format!("the number {value}"),
            Value::Float(value) => format!("the number {value}"),
            Value::Text(text) => format!("the text {}", quoted(text)),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
        }
    }

    /// Puts the value into a hash, wherever it stands.
    fn note(&self, hasher: &mut DefaultHasher) {
        std::mem::discriminant(&self.value).hash(hasher);
        match &self.value {
            Value::Null => {}
            Value::Bool(value) => value.hash(hasher),
            Value::Int(value) => value.hash(hasher),
            Value::Float(value) => value.to_bits().hash(hasher),
            Value::Text(text) => text.hash(hasher),
            Value::List(items) => {
                items.len().hash(hasher);
                items.iter().for_each(|item| item.note(hasher));
            }
            Value::Map(entries) => note(entries, hasher),
        }
    }

    /// The same value as JSON, for `/config_dump`.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Int(value) => (*value).into(),
            Value::Float(value) => (*value).into(),
            Value::Text(text) => text.as_str().into(),
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(entries) => entries
                .iter()
                .map(|e| (e.key.clone(), e.value.to_json()))
                .collect(),
        }
    }
}

/// A hash of a mapping, wherever it stands.
pub(crate) fn mark(entries: &[Entry]) -> u64 {
    let mut hasher = DefaultHasher::new();
    note(entries, &mut hasher);
    hasher.finish()
}

fn note(entries: &[Entry], hasher: &mut DefaultHasher) {
    entries.len().hash(hasher);
    for entry in entries {
        entry.key.hash(hasher);
        entry.value.note(hasher);
    }
}

/// The entry of that name.
pub(crate) fn entry<'a>(entries: &'a [Entry], name: &str) -> Option<&'a Entry> {
    entries.iter().find(|entry| entry.key == name)
}

/// An operator's text inside a sentence: in backticks, control characters shown, cut when long.
pub(crate) fn quoted(text: &str) -> String {
    /// More would bury the sentence.
    const SHOWN_CHARS: usize = 60;
    let mut shown: String = text.chars().take(SHOWN_CHARS).flat_map(shown_char).collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// Control characters could rewrite the terminal that shows them, so they are escaped.
fn shown_char(c: char) -> impl Iterator<Item = char> {
    let escaped = c.is_control().then(|| c.escape_default());
    let plain = (!c.is_control()).then_some(c);
    escaped.into_iter().flatten().chain(plain)
}
