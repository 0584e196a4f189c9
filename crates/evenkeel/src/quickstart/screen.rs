//! A few lines that are written again and again in the same place, whatever the terminal's width.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};

/// Columns where the terminal does not tell.
const COLUMNS: usize = 80;

/// Standard error as a terminal, and what was drawn on it last.
#[derive(Debug, Default)]
pub(crate) struct Screen {
    /// Characters of each line that stands there.
    drawn: Vec<usize>,
}

/// Whether lines can be drawn again: a terminal, and one that can move its cursor.
pub(crate) fn is_live() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

impl Screen {
    /// Draws `lines` in place of those drawn before.
    pub(crate) fn draw(&mut self, lines: &[String]) {
        let (columns, rows) = size();
        let mut error = std::io::stderr().lock();
        // A terminal that went away ends the demonstration by its signal.
        drop(error.write_all(self.frame(lines, columns, rows).as_bytes()));
    }

    /// Leaves what was drawn, and goes on below it.
    pub(crate) fn leave(&mut self) {
        if !std::mem::take(&mut self.drawn).is_empty() {
            eprintln!();
        }
    }

    /// Back to the first line drawn, which may have been wrapped meanwhile by a narrower terminal; then
    /// as many lines as fit, each cut to the width.
    fn frame(&mut self, lines: &[String], columns: usize, rows: usize) -> String {
        let wrapped = |length: &usize| length.div_ceil(columns).max(1);
        let up = self.drawn.iter().map(wrapped).sum::<usize>();
        let mut frame = String::from("\r");
        if up > 1 {
            // Writing to a String cannot fail.
            let _ = write!(frame, "\x1b[{}A", up - 1);
        }
        frame.push_str("\x1b[J");
        // The last column is left free: a terminal that has written it may go to the next line.
        let fit = |line: &String| cut(line, columns.saturating_sub(1));
        let shown: Vec<String> = lines.iter().take(rows.max(1)).map(fit).collect();
        frame.push_str(&shown.join("\r\n"));
        self.drawn = shown.iter().map(|line| line.chars().count()).collect();
        frame
    }
}

/// A text in lines of at most `columns` characters, broken between words.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        let (taken, more) = (lines[last].chars().count(), word.chars().count());
        if taken == 0 {
            lines[last].push_str(word);
        } else if taken + 1 + more <= columns {
            lines[last].push(' ');
            lines[last].push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// At most `columns` characters of a line; where some are left out the last one is `…`.
pub(crate) fn cut(line: &str, columns: usize) -> String {
    if line.chars().count() <= columns {
        return line.to_owned();
    }
    let kept: String = line.chars().take(columns.saturating_sub(1)).collect();
    if columns == 0 { kept } else { kept + "…" }
}

/// Columns of the terminal, or what is usual.
pub(crate) fn columns() -> usize {
    size().0
}

fn size() -> (usize, usize) {
    match sys::terminal_size(std::io::stderr()) {
        Some((columns, rows)) => (columns.into(), rows.into()),
        None => (COLUMNS, usize::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a terminal of this width shows after some frames: the subset of its language that is
    /// written here, with the wrapping that real ones do.
    fn shown(frames: &[String], columns: usize) -> Vec<String> {
        let (mut cells, mut row, mut column) = (vec![String::new()], 0_usize, 0_usize);
        for frame in frames {
            let mut rest = frame.as_str();
            while let Some(next) = rest.chars().next() {
                rest = &rest[next.len_utf8()..];
                match next {
                    '\r' => column = 0,
                    '\n' => {
                        row += 1;
                        cells.resize(cells.len().max(row + 1), String::new());
                    }
                    '\x1b' => {
                        let end = rest.find(|c: char| c.is_ascii_alphabetic()).unwrap();
                        match &rest[end..=end] {
                            "A" => row -= rest[1..end].parse::<usize>().unwrap(),
                            "J" => {
                                assert_eq!(column, 0);
                                cells.truncate(row);
                                cells.push(String::new());
                            }
                            other => panic!("{other}"),
                        }
                        rest = &rest[end + 1..];
                    }
                    letter => {
                        if column == columns {
                            (row, column) = (row + 1, 0);
                            cells.resize(cells.len().max(row + 1), String::new());
                        }
                        cells[row].push(letter);
                        column += 1;
                    }
                }
            }
        }
        cells
    }

    fn lines(count: u32) -> Vec<String> {
        let long = "a line that is much longer than any terminal is wide ".repeat(5);
        vec![format!("requests {count}"), long, "the last".to_owned()]
    }

    #[test]
    fn each_frame_takes_the_place_of_the_one_before_at_any_width() {
        for columns in [1, 2, 20, 79, 80, 81, 100, 185, 300] {
            let mut screen = Screen::default();
            let frames: Vec<String> = (0..50).map(|n| screen.frame(&lines(n), columns, 24)).collect();
            let shown = shown(&frames, columns);
            assert_eq!(shown.len(), 3, "{columns}: {shown:#?}");
            assert!(
                shown.iter().all(|line| line.chars().count() < columns.max(2)),
                "{columns}: {shown:#?}"
            );
            if columns >= 20 {
                assert_eq!(
                    (shown[0].as_str(), shown[2].as_str()),
                    ("requests 49", "the last")
                );
            }
        }
    }

    #[test]
    fn a_low_terminal_gets_the_first_lines() {
        let mut screen = Screen::default();
        let frames: Vec<String> = (0..5).map(|n| screen.frame(&lines(n), 80, 1)).collect();
        assert_eq!(shown(&frames, 80), ["requests 4"]);
    }

    #[test]
    fn a_terminal_made_narrower_is_wiped_as_far_as_its_lines_reach_now() {
        let mut screen = Screen::default();
        screen.frame(&lines(1), 80, 24);
        assert!(
            screen.frame(&lines(2), 40, 24).starts_with("\r\x1b[3A"),
            "79 characters take two rows of 40"
        );
    }

    #[test]
    fn words_are_kept_whole_and_a_cut_shows() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(
            (cut("abcdef", 4), cut("abc", 4), cut("abc", 0)),
            ("abc…".into(), "abc".into(), String::new())
        );
    }
}
