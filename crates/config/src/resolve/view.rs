//! A cursor over a mapping that was held against the table: typed access to fields of known
//! names. What is ill-formed has been noted already, so it reads as absent.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::node::{Entry, Node, Spot, Value, entry, mark};
use crate::shape::{Kind, Shape};
use crate::units;

/// A mapping and its shape.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    entries: &'a [Entry],
    shape: &'static Shape,
    /// Where it stands: its key, or its first field in a list.
    spot: Spot,
}

/// A text and where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Word<'a> {
    pub(crate) text: &'a str,
    pub(crate) spot: Spot,
}

impl<'a> View<'a> {
    pub(crate) fn new(node: &'a Node, shape: &'static Shape, at: Spot) -> Option<Self> {
        node.entries().map(|entries| Self {
            entries,
            shape,
            spot: at,
        })
    }

    /// A hash of all that is in it, known or not, wherever it stands.
    pub(crate) fn mark(&self) -> u64 {
        mark(self.entries)
    }

    pub(crate) fn spot(&self) -> Spot {
        self.spot
    }

    /// The field's entry, unless its value is null.
    fn entry(&self, name: &str) -> Option<&'a Entry> {
        assert!(
            self.shape.field(name).is_some(),
            "{} has no field {name} in the table",
            self.shape.name
        );
        entry(self.entries, name).filter(|entry| !matches!(entry.value.value, Value::Null))
    }

    fn kind(&self, name: &str) -> Option<Kind> {
        self.shape.field(name).map(|field| field.kind)
    }

    /// Whether the table has a field of that name.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.shape.field(name).is_some()
    }

    /// Texts by name, as labels are.
    pub(crate) fn labels(&self, name: &str) -> BTreeMap<String, String> {
        let entries = self.entry(name).and_then(|entry| entry.value.entries());
        let label = |label: &Entry| Some((label.key.clone(), label.value.text()?.to_owned()));
        entries.unwrap_or_default().iter().filter_map(label).collect()
    }

    /// The value itself, of a field that is not looked at.
    pub(crate) fn node(&self, name: &str) -> Option<&'a Node> {
        self.entry(name).map(|entry| &entry.value)
    }

    /// Whether the field is there with a value.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.entry(name).is_some()
    }

    /// Whether every field that is there with a value is one of these.
    pub(crate) fn has_only(&self, names: &[&str]) -> bool {
        let there = self
            .entries
            .iter()
            .filter(|entry| !matches!(entry.value.value, Value::Null));
        there
            .map(|entry| entry.key.as_str())
            .all(|key| names.contains(&key))
    }

    /// Whether there are no fields at all, known or not.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether there are fields that the table does not know, so that what is missing may be one
    /// of them, misspelt.
    pub(crate) fn has_strangers(&self) -> bool {
        self.entries
            .iter()
            .any(|entry| self.shape.field(&entry.key).is_none())
    }

    /// The field's key, or the mapping itself if the field is absent.
    pub(crate) fn key_spot(&self, name: &str) -> Spot {
        self.entry(name).map_or(self.spot, |entry| entry.key_spot)
    }

    /// The field's value, or the mapping itself if the field is absent.
    pub(crate) fn value_spot(&self, name: &str) -> Spot {
        self.entry(name).map_or(self.spot, |entry| entry.value.spot)
    }

    /// A text that has its form, or a choice that is known.
    pub(crate) fn word(&self, name: &str) -> Option<Word<'a>> {
        let Entry { value: node, .. } = self.entry(name)?;
        let text = node.text()?;
        let right = match self.kind(name)? {
            Kind::Text(format) => format.check(text).is_ok(),
            Kind::Choice(choices) => choices.iter().any(|choice| choice.word == text),
            _ => false,
        };
        right.then_some(Word {
            text,
            spot: node.spot,
        })
    }

    pub(crate) fn text(&self, name: &str) -> Option<&'a str> {
        self.word(name).map(|word| word.text)
    }

    pub(crate) fn bool(&self, name: &str) -> Option<bool> {
        match self.entry(name)?.value.value {
            Value::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// A number within its bounds, as the type that can hold them.
    pub(crate) fn int<T: TryFrom<i64>>(&self, name: &str) -> Option<T> {
        match (&self.entry(name)?.value.value, self.kind(name)?) {
            (Value::Int(value), Kind::Int(least, most) | Kind::IntOr((least, most), _))
                if (least..=most).contains(value) =>
            {
                T::try_from(*value).ok()
            }
            _ => None,
        }
    }

    /// A number, whole or not, within its bounds.
    pub(crate) fn number(&self, name: &str) -> Option<f64> {
        let Kind::Number(least, most) = self.kind(name)? else {
            return None;
        };
        let value = self.entry(name)?.value.number()?;
        (least..=most).contains(&value).then_some(value)
    }

    /// The numbers of a list that are within their bounds.
    pub(crate) fn ints<T: TryFrom<i64>>(&self, name: &str) -> Vec<T> {
        let Some(Kind::Ints {
            of: (least, most), ..
        }) = self.kind(name)
        else {
            return Vec::new();
        };
        let in_bounds = |node: &Node| match node.value {
            Value::Int(value) if (least..=most).contains(&value) => T::try_from(value).ok(),
            _ => None,
        };
        self.items(name).iter().filter_map(in_bounds).collect()
    }

    pub(crate) fn duration(&self, name: &str) -> Option<Duration> {
        let Kind::Duration { least_ms } = self.kind(name)? else {
            return None;
        };
        let span = units::duration(self.entry(name)?.value.text()?).ok()?;
        (span >= Duration::from_millis(least_ms)).then_some(span)
    }

    /// Bytes.
    pub(crate) fn quantity(&self, name: &str) -> Option<usize> {
        let bytes = match &self.entry(name)?.value.value {
            Value::Int(bytes) => u64::try_from(*bytes).ok()?,
            Value::Text(text) => units::quantity(text)?,
            _ => return None,
        };
        usize::try_from(bytes).ok()
    }

    pub(crate) fn object(&self, name: &str) -> Option<View<'a>> {
        let entry = self.entry(name)?;
        match self.kind(name)? {
            Kind::Object(shape) | Kind::IntOr(_, shape) => View::new(&entry.value, shape, entry.key_spot),
            _ => None,
        }
    }

    /// The mappings of a list.
    pub(crate) fn objects(&self, name: &str) -> Vec<View<'a>> {
        let Some(Kind::Objects { of, .. }) = self.kind(name) else {
            return Vec::new();
        };
        let view = |node: &'a Node| {
            let first = node.entries().and_then(<[Entry]>::first);
            View::new(node, of, first.map_or(node.spot, |entry| entry.key_spot))
        };
        self.items(name).iter().filter_map(view).collect()
    }

    /// The texts of a list that have their form.
    pub(crate) fn words(&self, name: &str) -> Vec<Word<'a>> {
        let kind = self.kind(name);
        let right = |text: &str| match kind {
            Some(Kind::Texts { of, .. }) => of.check(text).is_ok(),
            Some(Kind::Choices { of, .. }) => of.iter().any(|choice| choice.word == text),
            _ => false,
        };
        let word = |node: &'a Node| {
            node.text().filter(|text| right(text)).map(|text| Word {
                text,
                spot: node.spot,
            })
        };
        self.items(name).iter().filter_map(word).collect()
    }

    /// The texts of a list, as owned strings.
    pub(crate) fn texts(&self, name: &str) -> Vec<String> {
        self.words(name)
            .into_iter()
            .map(|word| word.text.to_owned())
            .collect()
    }

    fn items(&self, name: &str) -> &'a [Node] {
        match self.entry(name).map(|entry| &entry.value.value) {
            Some(Value::List(items)) => items,
            _ => &[],
        }
    }
}
