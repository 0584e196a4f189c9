//! Field lines in one arena: no allocation per field, none at all once an arena has grown.

use std::borrow::Cow;

use crate::bytes::{are_value_bytes, is_token, trim};
pub use crate::known::{Known, KnownSet};

/// Fields of a head or trailer section, in order, in one reusable arena.
///
/// Bounds: the arena holds at most 4 GiB; limits on heads keep it far below.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    /// Field lines, with what stood between and behind them. Lines that were replaced or removed
    /// stay until `clear`: an arena lives for one message.
    arena: Vec<u8>,
    lines: Vec<Line>,
    /// The known names among the lines, so that asking for an absent one costs a bit test.
    present: KnownSet,
}

/// One field line, as positions in the arena (while parsing: in the field section).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    pub(crate) name: Span,
    pub(crate) value: Span,
    pub(crate) known: Known,
    /// Whether the arena holds `name: value CRLF`, letter by letter as we would write it.
    pub(crate) verbatim: bool,
}

/// Positions in an arena.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Fields {
    /// Forgets all fields, keeps the arena's memory.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.lines.clear();
        self.present = KnownSet::EMPTY;
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
            .map(|line| (line.known, self.at(line.name), self.at(line.value)))
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
        let mut values = self.all(known);
        values.next().filter(|_| values.next().is_none())
    }

    /// All values of a known name, in order. [`Known::Other`] names no field, so it has no value.
    pub fn all(&self, known: Known) -> impl Iterator<Item = &[u8]> {
        let lines = if self.has(known) {
            self.lines.as_slice()
        } else {
            &[]
        };
        lines
            .iter()
            .filter(move |line| line.known == known)
            .map(|line| self.at(line.value))
    }

    /// All values of a name, whatever its case, in order.
    pub fn all_named<'a, 'n>(&'a self, name: &'n [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        let known = Known::of(name);
        let lines = if known == Known::Other || self.has(known) {
            self.lines.as_slice()
        } else {
            &[]
        };
        lines
            .iter()
            .filter(move |line| line.known == known && self.at(line.name).eq_ignore_ascii_case(name))
            .map(|line| self.at(line.value))
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
        let line = self.append(name, value);
        self.present.insert(line.known);
        self.lines.push(line);
    }

    /// Replaces all fields of the name by one, at the place of the first.
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        let Some(first) = self.lines.iter().position(|line| self.is_named(line, name)) else {
            return self.push(name, value);
        };
        self.lines[first] = self.append(name, value);
        let mut index = 0;
        self.retain(|fields, line| {
            index += 1;
            index <= first + 1 || !fields.is_named(line, name)
        });
    }

    /// Removes all fields of the name; says how many.
    pub fn remove_named(&mut self, name: &[u8]) -> usize {
        self.retain(|fields, line| !fields.is_named(line, name))
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
        // Only white space that we add ("name:value" becomes "name: value") is not in the arena.
        self.arena.len() + self.lines.len()
    }

    /// Appends the lines that `keep` is true of. Neighbours that already stand in the arena as we
    /// would write them are copied as one run.
    pub(crate) fn write_where(&self, out: &mut Vec<u8>, mut keep: impl FnMut(Known, &[u8]) -> bool) {
        let mut run = 0..0;
        for line in &self.lines {
            if !keep(line.known, self.at(line.name)) {
                continue;
            }
            if !line.verbatim {
                out.extend_from_slice(&self.arena[std::mem::take(&mut run)]);
                write_line(out, self.at(line.name), self.at(line.value));
                continue;
            }
            let whole = line.name.start as usize..line.value.end as usize + 2;
            if run.end == whole.start {
                run.end = whole.end;
            } else {
                out.extend_from_slice(&self.arena[std::mem::replace(&mut run, whole)]);
            }
        }
        out.extend_from_slice(&self.arena[run]);
    }

    /// Adds a line that was parsed; its bytes follow with [`Fields::hold`].
    #[inline]
    pub(crate) fn add_parsed(&mut self, line: Line) {
        self.present.insert(line.known);
        self.lines.push(line);
    }

    /// Takes the bytes of parsed lines in: `section` from its start, of which a part may be held already.
    pub(crate) fn hold(&mut self, section: &[u8]) {
        self.arena.extend_from_slice(&section[self.arena.len()..]);
    }

    #[inline]
    fn at(&self, span: Span) -> &[u8] {
        &self.arena[span.start as usize..span.end as usize]
    }

    fn is_named(&self, line: &Line, name: &[u8]) -> bool {
        self.at(line.name).eq_ignore_ascii_case(name)
    }

    fn append(&mut self, name: &[u8], value: &[u8]) -> Line {
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
        let here = |arena: &Vec<u8>| u32::try_from(arena.len()).expect("limits keep a head below 4 GiB");
        let start = here(&self.arena);
        write_line(&mut self.arena, name, value);
        let end = here(&self.arena);
        let name = Span {
            start,
            end: start + name.len() as u32,
        };
        let value = Span {
            start: name.end + 2,
            end: end - 2,
        };
        Line {
            name,
            value,
            known: Known::of(self.at(name)),
            verbatim: true,
        }
    }

    fn retain(&mut self, mut keep: impl FnMut(&Self, &Line) -> bool) -> usize {
        let mut lines = std::mem::take(&mut self.lines);
        let before = lines.len();
        let mut present = KnownSet::EMPTY;
        lines.retain(|line| {
            let kept = keep(self, line);
            if kept {
                present.insert(line.known);
            }
            kept
        });
        self.lines = lines;
        self.present = present;
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
