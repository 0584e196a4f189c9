//! Field lines, one by one, and how far a head that arrives in pieces has been read.

use memchr::memchr;

use super::head_error::HeadError;
use crate::bytes::{token_end, trim, value_end};
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
    /// A field, and where the next line begins.
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
            if fields.len() == most && input.get(self.line).is_some_and(|&first| first != b'\r') {
                return Err(HeadError::TooManyFields);
            }
            let found = match field_line(input, self.line, self.section) {
                // Judged when it is whole, so that the verdict does not depend on how the bytes arrive.
                Err(_) if !at_limit && memchr(b'\n', &input[self.line..]).is_none() => FieldLine::Incomplete,
                verdict => verdict?,
            };
            match found {
                FieldLine::Field(line, next) => {
                    fields.add_parsed(line);
                    self.line = next;
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

/// Reads the field line that begins at `begin` (RFC 9112, 5), in one pass from left to right.
/// Positions in what is found count from `base`.
#[inline(always)]
pub(crate) fn field_line(input: &[u8], begin: usize, base: usize) -> Result<FieldLine, HeadError> {
    let colon = token_end(input, begin);
    match input.get(colon) {
        None => return Ok(FieldLine::Incomplete),
        Some(b':') if colon > begin => {}
        Some(b'\r') if colon == begin && input.get(begin + 1) == Some(&b'\n') => return Ok(FieldLine::End),
        Some(&stop) => return no_name(&input[begin..], colon - begin, stop),
    }
    // Nearly always it is one space before the value, and none behind it.
    let (start, spaced) = match input.get(colon + 1..colon + 3) {
        Some(&[b' ', first]) if !is_space(first) => (colon + 2, true),
        _ => (skip_spaces(input, colon + 1), false),
    };
    let stop = value_end(input, start);
    match input.get(stop..) {
        Some([b'\r', b'\n', ..]) => {}
        Some([] | [b'\r']) | None => return Ok(FieldLine::Incomplete),
        Some([b'\r', ..]) => return Err(HeadError::BareCr),
        Some([b'\n', ..]) => return Err(HeadError::BareLf),
        Some(_) => return Err(HeadError::InvalidValue),
    }
    let end = if is_space(input[stop - 1]) {
        start + trim(&input[start..stop]).len()
    } else {
        stop
    };
    // Limits keep a head below 4 GiB.
    let span = |from: usize, to: usize| Span {
        start: (from - base) as u32,
        end: (to - base) as u32,
    };
    let line = Line {
        name: span(begin, colon),
        value: span(start, end),
        known: Known::of(&input[begin..colon]),
        verbatim: spaced && end == stop,
    };
    Ok(FieldLine::Field(line, stop + 2))
}

#[inline(always)]
const fn is_space(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

fn skip_spaces(input: &[u8], from: usize) -> usize {
    let spaces = input[from..].iter().position(|&byte| !is_space(byte));
    spaces.map_or(input.len(), |spaces| from + spaces)
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
