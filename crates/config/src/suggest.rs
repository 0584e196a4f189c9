//! "Did you mean …?": the known word that a wrong one is nearest to.

/// The candidate nearest to `word`, if it is near enough to be what was meant: at most a third
/// of its letters differ, upper and lower case alike.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > WORD_BYTES_MAX {
        return None;
    }
    let lower: Vec<char> = word.to_lowercase().chars().collect();
    let mut best = None;
    for candidate in candidates {
        let letters = candidate.chars().count();
        let near = (letters / 3).max(1);
        let within = best.map_or(near, |(distance, _): (usize, _)| near.min(distance - 1));
        if letters.abs_diff(lower.len()) <= within
            && let Some(distance) = distance(&lower, &candidate.to_lowercase(), within)
        {
            best = Some((distance, candidate));
            if distance == 0 {
                break;
            }
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Whether two words are no more than so many edits apart.
pub(crate) fn within(one: &str, other: &str, edits: usize) -> bool {
    let letters: Vec<char> = one.chars().take(WORD_BYTES_MAX + 1).collect();
    letters.len() <= WORD_BYTES_MAX
        && letters.len().abs_diff(other.len()) <= edits
        && distance(&letters, other, edits).is_some()
}

/// The cost grows with the square of the length, and nobody meant a longer word.
const WORD_BYTES_MAX: usize = 64;

/// Edits between two words, where swapping two neighbours is one edit (optimal string alignment);
/// `None` if they are more than `within`.
fn distance(left: &[char], right: &str, within: usize) -> Option<usize> {
    let right: Vec<char> = right.chars().collect();
    let mut before = vec![0; right.len() + 1];
    let mut above: Vec<usize> = (0..=right.len()).collect();
    let mut row = above.clone();
    for (i, l) in left.iter().enumerate() {
        row[0] = i + 1;
        for (j, r) in right.iter().enumerate() {
            let mut cost = (above[j] + usize::from(l != r))
                .min(above[j + 1] + 1)
                .min(row[j] + 1);
            if i > 0 && j > 0 && *l == right[j - 1] && left[i - 1] == *r {
                cost = cost.min(before[j - 1] + 1);
            }
            row[j + 1] = cost;
        }
        // No later row has a lower cost than the lowest of two in a row.
        if row.iter().chain(&above).all(|cost| *cost > within) {
            return None;
        }
        std::mem::swap(&mut before, &mut above);
        std::mem::swap(&mut above, &mut row);
    }
    Some(above[right.len()]).filter(|distance| *distance <= within)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_the_word_that_was_meant() {
        let known = ["backendRefs", "filters", "matches", "name", "timeouts"];
        assert_eq!(nearest("backendrefs", known), Some("backendRefs"));
        assert_eq!(nearest("backendRef", known), Some("backendRefs"));
        assert_eq!(nearest("fitlers", known), Some("filters"));
        assert_eq!(nearest("timeout", known), Some("timeouts"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest(&"x".repeat(100_000), known), None);
    }
}
