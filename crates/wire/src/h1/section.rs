//! Field lines, one by one, and how far a head that arrives in pieces has been read.

use memchr::memchr;

use super::head_error::HeadError;
use super::mend::{self, Mend, Mended};
use crate::block::Block;
use crate::bytes::{letters_end, short_name_len, token_end, trim, value_end, visible_end};
use crate::field::{Fields, Known};

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
    /// Whether the start line is done.
    in_fields: bool,
    /// Empty lines skipped before the start line.
    empty_lines: u8,
    /// Whether what can be mended is.
    mends: bool,
    /// What was mended first.
    pub(crate) mended: Option<Mend>,
}

/// What [`field_line`] found.
pub(crate) enum FieldLine<'a> {
    /// A field, and how long its line is.
    Field {
        name: &'a [u8],
        value: &'a [u8],
        len: usize,
    },
    /// The empty line that ends a section; two bytes.
    End,
    /// The line goes on after the input.
    Incomplete,
}

impl Scan {
    /// One that mends what RFC 9112 lets a recipient mend; for responses.
    #[must_use]
    pub fn mending() -> Self {
        Self {
            mends: true,
            ..Self::default()
        }
    }

    /// Makes it ready for the next head.
    pub(crate) fn start_over(&mut self) {
        *self = Self {
            mends: self.mends,
            ..Self::default()
        };
    }

    /// Whether this may be mended; then it is noted.
    pub(crate) fn mend(&mut self, mend: Mend) -> bool {
        if self.mends {
            self.mended.get_or_insert(mend);
        }
        self.mends
    }

    /// Goes on behind empty lines before the status line, as far as they have come; false while it can not
    /// be told what comes.
    ///
    /// # Errors
    /// They are too many, or no lines.
    pub(crate) fn skip_empty_lines(&mut self, input: &[u8], most: u8) -> Result<bool, HeadError> {
        while let Some(first @ (b'\r' | b'\n')) = input.get(self.line) {
            let len = match input.get(self.line + 1) {
                _ if *first == b'\n' => 1,
                Some(b'\n') => 2,
                None if self.mends => return Ok(false),
                _ => return Err(HeadError::BadStatusLine),
            };
            self.empty_lines += 1;
            if self.empty_lines > most || !self.mend(Mend::EmptyLine) {
                return Err(HeadError::BadStatusLine);
            }
            self.line += len;
        }
        Ok(true)
    }

    /// Whether nothing of a head has been read yet.
    pub(crate) fn is_fresh(self) -> bool {
        self.line == 0 && self.searched == 0
    }

    /// Whether the start line is yet to come.
    pub(crate) fn before_fields(self) -> bool {
        !self.in_fields
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
        self.in_fields = true;
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
        loop {
            self.line += take_usual_lines(&input[self.line..], fields, most);
            let rest = &input[self.line..];
            if rest.starts_with(b"\r\n") {
                return Ok(Some(self.line + 2));
            }
            let taken = match unusual_line(rest, fields, most, at_limit) {
                Err(error) if self.mends => match mend::line(rest, fields, most, error)? {
                    Some(Mended::Line(len, mend)) => {
                        self.mend(mend);
                        Some(len)
                    }
                    Some(Mended::End(len)) => {
                        self.mend(Mend::BareLf);
                        return Ok(Some(self.line + len));
                    }
                    None => return Err(error),
                },
                taken => taken?,
            };
            match taken {
                Some(len) => self.line += len,
                None => {
                    self.searched = input.len();
                    return Ok(None);
                }
            }
        }
    }
}

/// Takes lines over from the start of `rest` as long as they are as nearly all are; says how many bytes
/// that were.
fn take_usual_lines(rest: &[u8], fields: &mut Fields, most: usize) -> usize {
    let mut after = rest;
    while fields.len() < most
        && let Some(UsualLine { name, known, len }) = usual_line(after)
    {
        fields.add_ahead(rest.len() - after.len(), known, name, len);
        after = &after[len..];
    }
    let taken = rest.len() - after.len();
    fields.hold(&rest[..taken]);
    taken
}

/// The line at the start of `rest`, if it is just as we would write it: one space
/// before the value, none behind it and no tab in it. `None` says nothing against the line: it may be
/// good, bad or incomplete.
#[inline(always)]
fn usual_line(rest: &[u8]) -> Option<UsualLine<'_>> {
    let window = rest.first_chunk::<{ Block::BYTES + 2 }>()?;
    let mut colon = short_name_len(window);
    let mut plain = true;
    if colon == 0 || !opens_value(&window[colon..]) {
        colon = letters_end(rest);
        plain = rest.get(colon) == Some(&b':');
        if !plain {
            colon = token_end(rest, colon);
        }
        if colon == 0 || !opens_value(&rest[colon..]) {
            return None;
        }
    }
    let name = &rest[..colon];
    let known = if plain {
        Known::of_plain(name)
    } else {
        Known::of(name)
    };
    let end = visible_end(rest, colon + 2);
    match rest[end - 1..].first_chunk::<3>() {
        Some([last, line_end @ ..]) if *last > b' ' && line_end == b"\r\n" => Some(UsualLine {
            name,
            known,
            len: end + 2,
        }),
        _ => None,
    }
}

/// A line as nearly all are.
struct UsualLine<'a> {
    name: &'a [u8],
    known: Known,
    len: usize,
}

/// Whether a colon stands here, and one space before the value.
#[inline(always)]
fn opens_value(bytes: &[u8]) -> bool {
    matches!(bytes.first_chunk::<3>(), Some([colon, space, first]) if [*colon, *space] == *b": " && *first > b' ')
}

/// Takes the line at the start of `rest` over, whatever it is; says how long it is, if it is whole.
#[inline(never)]
fn unusual_line(
    rest: &[u8],
    fields: &mut Fields,
    most: usize,
    at_limit: bool,
) -> Result<Option<usize>, HeadError> {
    if fields.len() == most && rest.first().is_some_and(|&first| first != b'\r') {
        return Err(HeadError::TooManyFields);
    }
    match field_line(rest) {
        // Judged when it is whole, so that the verdict does not depend on how the bytes arrive.
        Err(_) if !at_limit && memchr(b'\n', rest).is_none() => Ok(None),
        Err(error) => Err(error),
        Ok(FieldLine::Field { name, value, len }) => {
            fields.push(name, value);
            Ok(Some(len))
        }
        Ok(FieldLine::Incomplete | FieldLine::End) => Ok(None),
    }
}

/// Reads the field line at the start of `input` (RFC 9112, 5), in one pass from left to right.
pub(crate) fn field_line(input: &[u8]) -> Result<FieldLine<'_>, HeadError> {
    let colon = token_end(input, 0);
    match input.get(colon) {
        None => return Ok(FieldLine::Incomplete),
        Some(b':') if colon > 0 => {}
        Some(b'\r') if colon == 0 && input.get(1) == Some(&b'\n') => return Ok(FieldLine::End),
        Some(&stop) => return no_name(input, colon, stop),
    }
    let start = skip_spaces(input, colon + 1);
    let stop = value_end(input, start);
    match input.get(stop..) {
        Some([b'\r', b'\n', ..]) => {}
        Some([] | [b'\r']) | None => return Ok(FieldLine::Incomplete),
        Some([b'\r', ..]) => return Err(HeadError::BareCr),
        Some([b'\n', ..]) => return Err(HeadError::BareLf),
        Some(_) => return Err(HeadError::InvalidValue),
    }
    Ok(FieldLine::Field {
        name: &input[..colon],
        value: trim(&input[start..stop]),
        len: stop + 2,
    })
}

fn skip_spaces(input: &[u8], from: usize) -> usize {
    let spaces = input[from..]
        .iter()
        .position(|&byte| !matches!(byte, b' ' | b'\t'));
    spaces.map_or(input.len(), |spaces| from + spaces)
}

/// A line without `name:` at its start, and not the whole line that ends a section.
#[cold]
fn no_name(rest: &[u8], name_len: usize, stop: u8) -> Result<FieldLine<'_>, HeadError> {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_as_nearly_all_are_need_no_second_look() {
        for line in [
            "Host: a",
            "Accept: */*",
            "Cookie: a=b; c=\u{e9}",
            "Access-Control-Allow-Origin: *",
            "X-B3-TraceId: 80f198ee56343ba8",
            "sixteen-letters-: x",
        ] {
            let rest = format!("{line}\r\nConnection: close\r\n\r\n");
            let UsualLine { name, len, .. } = usual_line(rest.as_bytes()).unwrap();
            assert_eq!(len, line.len() + 2, "{line}");
            assert_eq!(name, line.split(':').next().unwrap().as_bytes());
        }
    }

    /// Lines that are good, nearly good, and cut off, with something behind them.
    fn lines() -> impl Strategy<Value = Vec<u8>> {
        let name = prop_oneof!["[A-Za-z-]{0,20}", "[A-Za-z0-9_!-]{0,20}", "[a-z \\[]{0,3}"];
        let colon = prop_oneof![Just(": "), Just(":"), Just(":  "), Just(" : "), Just("")];
        let value = prop_oneof!["[ -~]{0,40}", "[a-z \t]{0,20}", "[\\x00-\\xff]{0,20}"];
        let end = prop_oneof![Just("\r\n"), Just("\n"), Just("\r"), Just("")];
        (name, colon, value, end, "[a-z\r\n]{0,20}").prop_map(|(name, colon, value, end, after)| {
            [&name, colon, &value, end, &after].concat().into_bytes()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5000))]

        #[test]
        fn what_is_taken_at_once_is_what_is_taken_at_a_closer_look(line in lines()) {
            if let Some(UsualLine { name, known, len }) = usual_line(&line) {
                prop_assert_eq!(known, Known::of(name));
                let Ok(FieldLine::Field { name: same_name, value, len: same_len }) = field_line(&line) else {
                    panic!("{} was let through", line.escape_ascii());
                };
                prop_assert_eq!((name, len), (same_name, same_len));
                prop_assert_eq!(value, &line[name.len() + 2..len - 2]);
            }
        }
    }
}
