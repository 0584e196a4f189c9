//! Field lines of our own, on their way into a head.

use crate::field::{Known, KnownSet, is_field_value};

/// Fields of known names to add to a head that is written onward, as they will stand there. Each
/// replaces the head's own fields of its name. Keep it from head to head: then nothing is allocated.
#[derive(Clone, Debug, Default)]
pub struct Added {
    lines: Vec<u8>,
    names: KnownSet,
}

impl Added {
    /// Forgets all fields, keeps the memory.
    #[inline]
    pub fn clear(&mut self) {
        self.lines.clear();
        self.names = KnownSet::EMPTY;
    }

    /// Adds a field. The name must be neither [`Known::Other`] nor one that the encoder states itself
    /// (hop-by-hop and framing fields), and the value must be valid; all this is debug-asserted.
    #[inline(always)]
    pub fn push(&mut self, name: Known, value: &[u8]) {
        self.push_with(name, |line| line.extend_from_slice(value));
    }

    /// As [`Added::push`], the value being what `write` appends.
    #[inline(always)]
    pub fn push_with(&mut self, name: Known, write: impl FnOnce(&mut Vec<u8>)) {
        debug_assert!(name != Known::Other, "only known names are added");
        self.names.insert(name);
        self.lines.extend_from_slice(name.line_start().as_bytes());
        let start = self.lines.len();
        write(&mut self.lines);
        debug_assert!(
            is_field_value(&self.lines[start..]),
            "{:?} is no field value",
            self.lines[start..].escape_ascii().to_string()
        );
        self.lines.extend_from_slice(b"\r\n");
    }

    /// The names.
    pub(super) fn names(&self) -> KnownSet {
        self.names
    }

    /// The lines, each with its end.
    pub(super) fn lines(&self) -> &[u8] {
        &self.lines
    }
}
