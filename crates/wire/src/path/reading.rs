//! What servers read differently in a path: escaped slashes, and parameters of segments.

use super::{TargetError, has_dots, to_match, without_dots};

/// What else a server may match such a path by, if it reads it in another way than we: it takes escaped
/// slashes and backslashes for slashes, or leaves out the parameters of segments (`;` and what follows), or
/// both. In the form of [`to_match`]; none for nearly all paths.
///
/// # Errors
/// [`TargetError::HiddenDots`] if a dot segment appears then: what it leads to depends on who resolves it when.
pub fn other_readings(path: &str, merge: bool) -> Result<Vec<String>, TargetError> {
    if !path.contains(';') && !has_escaped_slash(path) {
        return Ok(Vec::new());
    }
    let unescaped = with_slashes(path);
    let bare = without_parameters(path);
    let readings = [
        with_slashes(&bare),
        bare,
        without_parameters(&unescaped),
        unescaped,
    ];
    if readings.iter().any(|reading| has_dots(reading)) {
        return Err(TargetError::HiddenDots);
    }
    let mut readings = readings.map(|reading| to_match(&reading, merge).into_owned());
    readings.sort_unstable();
    let mut readings = Vec::from(readings);
    readings.dedup();
    Ok(readings)
}

pub(super) fn without_parameters(path: &str) -> String {
    let mut bare = String::with_capacity(path.len());
    for segment in path[1..].split('/') {
        bare.push('/');
        bare.push_str(segment.split(';').next().unwrap_or_default());
    }
    bare
}

/// Whether a slash or backslash is escaped in it.
#[must_use]
pub fn has_escaped_slash(path: &str) -> bool {
    let escapes = path.split('%').skip(1);
    escapes.filter_map(|escape| escape.get(..2)).any(is_escaped_slash)
}

/// A path whose escaped slashes and backslashes are slashes, without the dot segments that this may have
/// brought about.
#[must_use]
pub fn unescape_slashes(path: &str) -> String {
    without_dots(&with_slashes(path)).into_owned()
}

fn is_escaped_slash(digits: &str) -> bool {
    digits.eq_ignore_ascii_case("2f") || digits.eq_ignore_ascii_case("5c")
}

pub(super) fn with_slashes(path: &str) -> String {
    let mut parts = path.split('%');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_at_checked(2) {
            Some((digits, rest)) if is_escaped_slash(digits) => {
                out.push('/');
                out.push_str(rest);
            }
            _ => {
                out.push('%');
                out.push_str(part);
            }
        }
    }
    out
}
