//! Why a text is no YAML: most often a line that begins at no level.

/// A line that begins where nothing above it does.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Misaligned {
    /// Where its first character stands, in bytes.
    pub(crate) start: usize,
    /// Spaces before it.
    pub(crate) found: usize,
    /// The columns where it could begin.
    pub(crate) levels: Vec<usize>,
}

/// The first line of a block that begins at no level that is open, or below something that has a value
/// already. Only for texts that the parser has refused: it looks at lines, not at YAML.
pub(crate) fn misaligned(text: &str) -> Option<Misaligned> {
    let (mut levels, mut opens, mut at): (Vec<usize>, bool, usize) = (Vec::new(), true, 0);
    let mut block_scalar: Option<usize> = None;
    for line in text.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let content = line.trim_start_matches(' ');
        let found = line.len() - content.len();
        let content = content.trim_end();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        if let Some(above) = block_scalar {
            if found > above {
                continue;
            }
            block_scalar = None;
        }
        if content.starts_with(['{', '[', '"', '\'']) {
            return None; // Flow style and quoted texts may begin anywhere.
        }
        let deepest = levels.last().copied();
        let known = levels.contains(&found);
        let deeper = deepest.is_none_or(|deepest| found > deepest);
        if !(known || deeper && opens) {
            let mut levels = levels;
            if opens && let Some(deepest) = deepest {
                levels.push(deepest + 2);
            }
            return Some(Misaligned {
                start: start + found,
                found,
                levels,
            });
        }
        levels.retain(|level| *level <= found);
        if !known {
            levels.push(found);
        }
        // The content of a list's item is a level of its own.
        let (mut rest, mut column) = (content, found);
        while let Some(item) = rest.strip_prefix("- ") {
            let gap = item.len() - item.trim_start().len();
            column += 2 + gap;
            rest = item.trim_start();
            levels.push(column);
        }
        let bare = rest.split(" #").next().unwrap_or(rest).trim_end();
        opens = bare.ends_with(':') || bare == "-";
        if bare.ends_with(['|', '>']) || bare.ends_with("|-") || bare.ends_with(">-") {
            block_scalar = Some(found);
        }
        if bare.contains(": [") || bare.contains(": {") {
            let open = |c| bare.matches(c).count();
            if open('[') != open(']') || open('{') != open('}') {
                return None; // It goes on in the next line.
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::misaligned;

    fn found(text: &str) -> Option<(usize, usize, Vec<usize>)> {
        misaligned(text).map(|m| (text[..m.start].lines().count(), m.found, m.levels))
    }

    #[test]
    fn the_line_that_begins_at_no_level_is_found() {
        let between = "spec:\n  listeners:\n  - name: a\n    port: 80\n   protocol: HTTP\n";
        assert_eq!(found(between), Some((5, 3, vec![0, 2, 4])));
        let below_a_value = "metadata:\n  name: a\n    namespace: b\n";
        assert_eq!(found(below_a_value), Some((3, 4, vec![0, 2])));
        let too_far_out = "spec:\n    rules:\n    - name: a\n  hostnames: [a]\n";
        assert_eq!(found(too_far_out), Some((4, 2, vec![0, 4, 6])));
        let right = "a:\n- b: 1\n  c: |\n     any\n   thing\n- - d\n  # no line\nb: 2\n";
        assert_eq!(found(right), None);
    }
}
