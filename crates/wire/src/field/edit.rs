//! Fields that are written in place of others, or taken out.

use super::{Fields, Line, is_field_value};
use crate::known::{Known, KnownSet, reads_as};

impl Fields {
    /// Appends to the last field's value, behind a space; whether there is one. The value must be valid
    /// (debug-asserted) and not empty.
    pub(crate) fn extend_last(&mut self, more: &[u8]) -> bool {
        let Some(&last) = self.lines.last() else {
            return false;
        };
        let (name, value) = (self.name(&last).to_vec(), self.value(&last));
        let whole = if value.is_empty() {
            more.to_vec()
        } else {
            [value, b" ", more].concat()
        };
        let line = self.append(last.known, &name, &whole);
        self.lines.last_mut().map(|last| *last = line).is_some()
    }

    /// Removes all fields whose name a server may read as this one, whatever their marks (see
    /// [`Known::Alias`]), but for those that have it; says how many.
    pub fn remove_aliases(&mut self, name: &[u8]) -> usize {
        let alias = |fields: &Self, line: &Line| {
            let sent = fields.name(line);
            reads_as(sent, name) && !sent.eq_ignore_ascii_case(name)
        };
        if self.lines.iter().any(|line| alias(self, line)) {
            self.retain(|fields, line| !alias(fields, line))
        } else {
            0
        }
    }

    /// Whether some name is known as one of the set.
    #[inline]
    pub(crate) fn has_any(&self, set: KnownSet) -> bool {
        self.present.intersects(set)
    }

    /// Keeps the fields that `keep` is true of, by what their name is to us and as it was sent.
    pub fn keep(&mut self, mut keep: impl FnMut(Known, &[u8]) -> bool) {
        self.retain(|fields, line| keep(line.known, fields.name(line)));
    }

    /// Replaces all fields of a name by one, at the place of the first, whose value is what `write`
    /// appends: it must be valid (debug-asserted), and the name be one.
    #[inline(always)]
    pub fn put(&mut self, name: Known, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.begin(name);
        write(&mut self.arena);
        self.finish(name, start);
    }

    /// As [`Fields::put`], behind the values that came: a list's last element.
    #[inline(always)]
    pub fn put_last(&mut self, name: Known, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.begin(name);
        if self.has(name) {
            self.repeat_values(name);
        }
        write(&mut self.arena);
        self.finish(name, start);
    }

    #[inline(always)]
    fn begin(&mut self, name: Known) -> u32 {
        debug_assert!(name.is_one_name(), "{name:?} is no name");
        let start = self.arena.len() as u32;
        self.arena.extend_from_slice(name.line_start().as_bytes());
        start
    }

    /// Appends the values of a name, and a comma behind each.
    fn repeat_values(&mut self, name: Known) {
        for line in &self.lines {
            let (from, to) = (line.name_end as usize + 2, line.end as usize - 2);
            if line.known == name && from < to {
                self.arena.extend_from_within(from..to);
                self.arena.extend_from_slice(b", ");
            }
        }
    }

    /// The line that began at `start` is written but for its end.
    #[inline(always)]
    fn finish(&mut self, name: Known, start: u32) {
        let name_end = start + name.name().len() as u32;
        debug_assert!(
            is_field_value(&self.arena[name_end as usize + 2..]),
            "{:?} is no field value",
            self.arena[name_end as usize + 2..].escape_ascii().to_string()
        );
        self.arena.extend_from_slice(b"\r\n");
        let line = Line {
            start,
            name_end,
            end: u32::try_from(self.arena.len()).expect("limits keep a head below 4 GiB"),
            known: name,
        };
        if self.has(name) {
            self.replace(line);
        } else {
            self.add(line);
        }
    }

    /// Puts a line in place of all of its name.
    fn replace(&mut self, line: Line) {
        let name = line.known;
        let Some(first) = self.lines.iter().position(|other| other.known == name) else {
            return self.add(line);
        };
        self.lines[first] = line;
        if self.has_several(name) {
            let mut index = 0;
            self.retain(|_, line| {
                index += 1;
                index <= first + 1 || line.known != name
            });
        }
    }
}
