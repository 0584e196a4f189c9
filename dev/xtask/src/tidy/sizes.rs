//! How large a file may be: one machine with its picture, one sitting of review.

use super::Text;

/// Lines of code (blank lines and comments are free).
const CODE_MAX: usize = 400;
/// The same of test files.
const TESTS_MAX: usize = 800;

/// Files that may be larger, up to how many lines, and why.
const EXEMPT: [(&str, usize, &str); 0] = [];

pub(super) fn check(files: &[&Text]) -> Vec<String> {
    let too_large = files.iter().filter_map(|file| {
        let lines = code_lines(&file.text);
        let most = most(&file.path);
        (lines > most).then(|| {
            format!(
                "{}: {lines} lines of code, at most {most}; find the seam and split it",
                file.path
            )
        })
    });
    let stale = EXEMPT.iter().filter(|(path, most, _)| {
        let file = files.iter().find(|file| file.path == *path);
        file.is_none_or(|file| code_lines(&file.text) <= usual(path).min(*most))
    });
    too_large
        .chain(stale.map(|(path, ..)| format!("{path}: needs no exemption from its size any more")))
        .collect()
}

fn most(path: &str) -> usize {
    EXEMPT
        .iter()
        .find(|(exempt, ..)| *exempt == path)
        .map_or_else(|| usual(path), |(_, most, _)| *most)
}

fn usual(path: &str) -> usize {
    let is_test = path.contains("/tests/") || path.ends_with("/tests.rs");
    if is_test { TESTS_MAX } else { CODE_MAX }
}

/// Lines that are neither blank nor comment. A module of tests at a file's end is not its code.
fn code_lines(text: &str) -> usize {
    let inline_tests = text.find("\n#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    text[..inline_tests]
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("//"))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_blanks_and_inline_tests_are_free() {
        assert_eq!(
            code_lines(
                "//! a\n\nfn a() {\n    // b\n    b()\n}\n\n#[cfg(test)]\nmod tests {\n    fn c() {}\n}\n"
            ),
            3
        );
    }
}
