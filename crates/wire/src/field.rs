//! Field lines in one arena: no allocation per field, none at all once an arena has grown.

mod edit;

use std::borrow::Cow;

use crate::bytes::{are_value_bytes, is_token, trim};
pub use crate::known::{Known, KnownSet};

/// Fields of a head or trailer section, in order, in one reusable arena.
///
/// Bounds: the arena holds at most 4 GiB; limits on heads keep it below.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    /// Field lines as we write them. Those that were replaced or removed stay until `clear`: an arena
    /// lives for one message.
    arena: Vec<u8>,
    lines: Vec<Line>,
    /// The known names among the lines, so that asking for an absent one costs a bit test.
    present: KnownSet,
    /// Those of more than one line.
    repeated: KnownSet,
}

/// One field line, as positions in the arena, which holds it as `name: value CRLF`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    start: u32,
    name_end: u32,
    end: u32,
    pub(crate) known: Known,
}

impl Fields {
    /// Forgets all fields, keeps the arena's memory.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.lines.clear();
        self.present = KnownSet::EMPTY;
        self.repeated = KnownSet::EMPTY;
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Whether there is a field of a known name; one bit test.
    #[inline]
    #[must_use]
    pub fn has(&self, known: Known) -> bool {
        self.present.contains(known)
    }

    /// Name as sent, value without outer white space, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Known, &[u8], &[u8])> {
        self.lines
            .iter()
            .map(|line| (line.known, self.name(line), self.value(line)))
    }

    /// Whether there is more than one field of a known name; one bit test.
    #[inline]
    #[must_use]
    pub fn has_several(&self, known: Known) -> bool {
        self.repeated.contains(known)
    }

    /// The first value of a known name.
    #[must_use]
    pub fn get(&self, known: Known) -> Option<&[u8]> {
        self.all(known).next()
    }

    /// The first value of a name, whatever its case.
    #[must_use]
    pub fn get_named(&self, name: &[u8]) -> Option<&[u8]> {
        self.all_named(name).next()
    }

    /// The value of a known name that there is exactly one field of.
    #[must_use]
    pub fn only(&self, known: Known) -> Option<&[u8]> {
        if self.has_several(known) {
            return None;
        }
        self.get(known)
    }

    /// All values of a known name, in order. [`Known::Other`] names no field, so it has no value;
    /// [`Known::Claim`] and [`Known::Alias`] stand for several names, and have the values of all.
    pub fn all(&self, known: Known) -> impl Iterator<Item = &[u8]> {
        let lines = if self.has(known) {
            self.lines.as_slice()
        } else {
            &[]
        };
        lines
            .iter()
            .filter(move |line| line.known == known)
            .map(|line| self.value(line))
    }

    /// All values of a name, whatever its case, in order.
    pub fn all_named<'a, 'n>(&'a self, name: &'n [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        let known = Known::of(name);
        // `Other` alone is never noted.
        let lines = if known == Known::Other || self.has(known) {
            self.lines.as_slice()
        } else {
            &[]
        };
        lines
            .iter()
            .filter(move |line| self.is_named(line, known, name))
            .map(|line| self.value(line))
    }

    /// All values of a name as one, joined by `,` (RFC 9110, 5.2); borrowed if there is only one.
    #[must_use]
    pub fn joined(&self, name: &[u8]) -> Option<Cow<'_, [u8]>> {
        let mut values = self.all_named(name);
        let first = values.next()?;
        let Some(second) = values.next() else {
            return Some(Cow::Borrowed(first));
        };
        let mut all = [first, b",", second].concat();
        for value in values {
            all.push(b',');
            all.extend_from_slice(value);
        }
        Some(Cow::Owned(all))
    }

    /// The elements of the comma-separated list that all fields of a name make together
    /// (RFC 9110, 5.6.1): without outer white space, empty ones skipped. A comma inside a quoted
    /// string does not separate.
    pub fn tokens(&self, known: Known) -> impl Iterator<Item = &[u8]> {
        self.all(known).flat_map(elements)
    }

    /// Appends a field. Name and value must be valid (debug-asserted): they come from our code or
    /// from checked configuration.
    ///
    /// # Panics
    /// If the arena would pass 4 GiB.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        let line = self.append(Known::of(name), name, value);
        self.add(line);
    }

    /// As [`Fields::push`], of a name that is known to be this one.
    pub(crate) fn push_known(&mut self, known: Known, name: &[u8], value: &[u8]) {
        let line = self.append(known, name, value);
        self.add(line);
    }

    /// Replaces all fields of the name by one, at the place of the first.
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        let known = Known::of(name);
        let first = self
            .lines
            .iter()
            .position(|line| self.is_named(line, known, name));
        let line = self.append(known, name, value);
        let Some(first) = first else {
            return self.add(line);
        };
        self.lines[first] = line;
        let mut index = 0;
        self.retain(|fields, line| {
            index += 1;
            index <= first + 1 || !fields.is_named(line, known, name)
        });
    }

    /// Removes all fields of the name; says how many.
    pub fn remove_named(&mut self, name: &[u8]) -> usize {
        let known = Known::of(name);
        self.retain(|fields, line| !fields.is_named(line, known, name))
    }

    /// Removes all fields of a known name; says how many.
    pub fn remove(&mut self, known: Known) -> usize {
        if self.has(known) {
            self.retain(|_, line| line.known != known)
        } else {
            0
        }
    }

    /// Bytes that writing all fields takes at most.
    pub(crate) fn written_len(&self) -> usize {
        self.arena.len()
    }

    /// Appends the lines that `keep` is true of. Neighbours are copied as one run.
    #[inline(always)]
    pub(crate) fn write_where(&self, out: &mut Vec<u8>, keep: impl Fn(&Line) -> bool) {
        let (mut start, mut end) = (0, 0);
        for line in self.lines.iter().filter(|line| keep(line)) {
            if line.start != end {
                out.extend_from_slice(self.span(start, end));
                start = line.start;
            }
            end = line.end;
        }
        out.extend_from_slice(self.span(start, end));
    }

    /// Adds a line of `len` bytes that reads as we would write it, and stands at `at` in the bytes that
    /// [`Fields::hold`] is given next.
    #[inline(always)]
    pub(crate) fn add_ahead(&mut self, at: usize, known: Known, name: &[u8], len: usize) {
        // Limits keep a head below 4 GiB.
        let start = (self.arena.len() + at) as u32;
        self.add(Line {
            start,
            name_end: start + name.len() as u32,
            end: start + len as u32,
            known,
        });
    }

    /// Takes in the bytes of the lines that were added ahead.
    pub(crate) fn hold(&mut self, lines: &[u8]) {
        self.arena.extend_from_slice(lines);
    }

    /// The name as sent.
    #[inline]
    pub(crate) fn name(&self, line: &Line) -> &[u8] {
        self.span(line.start, line.name_end)
    }

    #[inline]
    fn value(&self, line: &Line) -> &[u8] {
        self.span(line.name_end + 2, line.end - 2)
    }

    #[inline]
    fn span(&self, start: u32, end: u32) -> &[u8] {
        &self.arena[start as usize..end as usize]
    }

    #[inline(always)]
    fn add(&mut self, line: Line) {
        self.count(line.known);
        self.lines.push(line);
    }

    #[inline(always)]
    fn count(&mut self, known: Known) {
        if known == Known::Other {
            return;
        }
        if self.present.contains(known) {
            self.repeated.insert(known);
        }
        self.present.insert(known);
    }

    /// Whether the line has this name, which is that known one.
    #[inline]
    fn is_named(&self, line: &Line, known: Known, name: &[u8]) -> bool {
        let alike = line.known == known && (line.name_end - line.start) as usize == name.len();
        alike && (known.is_one_name() || self.name(line).eq_ignore_ascii_case(name))
    }

    fn append(&mut self, known: Known, name: &[u8], value: &[u8]) -> Line {
        debug_assert!(
            is_field_name(name),
            "{:?} is no field name",
            name.escape_ascii().to_string()
        );
        debug_assert!(
            is_field_value(value),
            "{:?} is no field value",
            value.escape_ascii().to_string()
        );
        let start = self.arena.len() as u32;
        write_line(&mut self.arena, name, value);
        Line {
            start,
            name_end: start + name.len() as u32,
            end: u32::try_from(self.arena.len()).expect("limits keep a head below 4 GiB"),
            known,
        }
    }

    fn retain(&mut self, mut keep: impl FnMut(&Self, &Line) -> bool) -> usize {
        let mut lines = std::mem::take(&mut self.lines);
        let before = lines.len();
        lines.retain(|line| keep(self, line));
        (self.present, self.repeated) = (KnownSet::EMPTY, KnownSet::EMPTY);
        lines.iter().for_each(|line| self.count(line.known));
        self.lines = lines;
        before - self.lines.len()
    }
}

/// Whether the bytes are a field name: a token (RFC 9110, 5.1).
#[must_use]
pub fn is_field_name(bytes: &[u8]) -> bool {
    is_token(bytes)
}

/// Whether the bytes are a field value (RFC 9110, 5.5): visible ASCII, obs-text, spaces and tabs
/// inside, none at the ends. The empty value is one.
#[must_use]
pub fn is_field_value(bytes: &[u8]) -> bool {
    are_value_bytes(bytes) && trim(bytes).len() == bytes.len()
}

/// The elements of one comma-separated value; see [`Fields::tokens`].
pub(crate) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let value = rest?;
        let end = element_len(value);
        rest = value.get(end + 1..);
        Some(trim(&value[..end]))
    })
    .filter(|element| !element.is_empty())
}

/// Length up to the first comma outside a quoted string. A quote that is never closed runs to the
/// end: nothing after it is taken for an element of its own.
fn element_len(value: &[u8]) -> usize {
    let mut quoted = false;
    let mut escaped = false;
    for (at, &byte) in value.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => return at,
            _ => {}
        }
    }
    value.len()
}

fn write_line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests;
