//! Field lines, one by one, and how far a head that arrives in pieces has been read.

use memchr::memchr;

use super::head_error::HeadError;
use crate::bytes::{token_len, trim, value_len};
use crate::field::{Fields, Line, Span};
use crate::known::Known;

/// How far a head that arrives in pieces has been read. Complete lines are parsed once, as they
/// come; while one is incomplete, only new bytes are searched for its end. So the work is linear in
/// the bytes even if they trickle in one by one.
///
/// One `Scan` goes with one head; it starts over by itself when a head is complete.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scan {
    /// Where the current line begins.
    line: usize,
    /// Up to where the current line has been searched for its end.
    searched: usize,
    /// Where the field section begins; 0 while in the start line.
    section: usize,
    /// Empty lines skipped before the start line.
    empty_lines: u8,
}

/// What [`field_line`] found.
pub(crate) enum FieldLine {
    /// A field, and the length of its line with CRLF. Positions count from the line's start.
    Field(Line, usize),
    /// The empty line that ends a section; two bytes.
    End,
    /// The line goes on after the input.
    Incomplete,
}

impl Scan {
    /// Whether nothing of a head has been read yet.
    pub(crate) fn is_fresh(self) -> bool {
        self.line == 0 && self.searched == 0
    }

    /// Whether the start line is yet to come.
    pub(crate) fn before_fields(self) -> bool {
        self.section == 0
    }

    /// Where the current line begins.
    pub(crate) fn line(self) -> usize {
        self.line
    }

    /// Where the LF of the current line is, if it is there yet.
    pub(crate) fn line_feed(&mut self, input: &[u8]) -> Option<usize> {
        let from = self.searched.max(self.line);
        let found = memchr(b'\n', &input[from..]).map(|offset| from + offset);
        if found.is_none() {
            self.searched = input.len();
        }
        found
    }

    /// Goes on behind an empty line; says how many there were.
    pub(crate) fn skip_empty_line(&mut self) -> u8 {
        self.line += 2;
        self.empty_lines += 1;
        self.empty_lines
    }

    /// The start line is done; fields begin at `next`.
    pub(crate) fn enter_fields(&mut self, next: usize) {
        self.line = next;
        self.section = next;
    }

    /// Reads field lines as far as the input goes, or the section does. `Some` is its length with all
    /// before it. `at_limit`: no more input will be taken, so a partial line is judged as it stands.
    pub(crate) fn fields(
        &mut self,
        input: &[u8],
        fields: &mut Fields,
        most: usize,
        at_limit: bool,
    ) -> Result<Option<usize>, HeadError> {
        if self.searched > self.line && !at_limit && self.line_feed(input).is_none() {
            return Ok(None);
        }
        let outcome = self.field_lines(input, fields, most, at_limit);
        fields.hold(&input[self.section..self.line]);
        outcome
    }

    fn field_lines(
        &mut self,
        input: &[u8],
        fields: &mut Fields,
        most: usize,
        at_limit: bool,
    ) -> Result<Option<usize>, HeadError> {
        loop {
            let rest = &input[self.line..];
            if fields.len() == most && rest.first().is_some_and(|&first| first != b'\r') {
                return Err(HeadError::TooManyFields);
            }
            let found = match field_line(rest) {
                // Judged when it is whole, so that the verdict does not depend on how the bytes arrive.
                Err(_) if !at_limit && memchr(b'\n', rest).is_none() => FieldLine::Incomplete,
                verdict => verdict?,
            };
            match found {
                FieldLine::Field(line, len) => {
                    fields.add_parsed(line.moved((self.line - self.section) as u32));
                    self.line += len;
                }
                FieldLine::End => return Ok(Some(self.line + 2)),
                FieldLine::Incomplete => {
                    self.searched = input.len();
                    return Ok(None);
                }
            }
        }
    }
}

impl Line {
    #[inline]
    fn moved(self, by: u32) -> Self {
        let moved = |span: Span| Span {
            start: span.start + by,
            end: span.end + by,
        };
        Self {
            name: moved(self.name),
            value: moved(self.value),
            ..self
        }
    }
}

/// Reads one field line from the start of `rest` (RFC 9112, 5), in one pass from left to right.
#[inline]
pub(crate) fn field_line(rest: &[u8]) -> Result<FieldLine, HeadError> {
    let name_len = token_len(rest);
    match rest.get(name_len) {
        None => return Ok(FieldLine::Incomplete),
        Some(b':') if name_len > 0 => {}
        Some(b'\r') if rest.starts_with(b"\r\n") => return Ok(FieldLine::End),
        Some(&stop) => return no_name(rest, name_len, stop),
    }
    let mut start = name_len + 1;
    while let Some(b' ' | b'\t') = rest.get(start) {
        start += 1;
    }
    let stop = start + value_len(&rest[start..]);
    match rest.get(stop..) {
        Some([b'\r', b'\n', ..]) => {}
        Some([] | [b'\r']) | None => return Ok(FieldLine::Incomplete),
        Some([b'\r', ..]) => return Err(HeadError::BareCr),
        Some([b'\n', ..]) => return Err(HeadError::BareLf),
        Some(_) => return Err(HeadError::InvalidValue),
    }
    // White space before the value was skipped, so only its end can shrink.
    let end = start + trim(&rest[start..stop]).len();
    let line = Line {
        name: Span {
            start: 0,
            end: name_len as u32,
        },
        value: Span {
            start: start as u32,
            end: end as u32,
        },
        known: Known::of(&rest[..name_len]),
        verbatim: start == name_len + 2 && rest[name_len + 1] == b' ' && end == stop,
    };
    Ok(FieldLine::Field(line, stop + 2))
}

/// A line without `name:` at its start, and not the whole line that ends a section.
#[cold]
fn no_name(rest: &[u8], name_len: usize, stop: u8) -> Result<FieldLine, HeadError> {
    match (stop, name_len) {
        (b'\r', 0) if rest.len() == 1 => Ok(FieldLine::Incomplete),
        (b'\r', 0) => Err(HeadError::BareCr),
        (b'\n', _) => Err(HeadError::BareLf),
        (b' ' | b'\t', 0) => Err(HeadError::ObsFold),
        (b' ' | b'\t', _) => Err(HeadError::WhiteSpaceBeforeColon),
        (b':', _) => Err(HeadError::EmptyName),
        (b'\r', _) => Err(HeadError::MissingColon),
        _ => Err(HeadError::InvalidName),
    }
}
