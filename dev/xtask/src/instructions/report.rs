//! Counts beside the accepted ones, and whether one rose too far.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::Verdict;

/// A rise of more than this many percent fails. Other code being laid out differently moves a count
/// by less.
const RISE_MAX: u64 = 2;

/// Small steps may rise by this many instructions: a percentage of them is less than one.
const RISE_ALWAYS: u64 = 2;

/// A table of all steps in this order, and whether none rose by more than 2 % or is new.
pub(super) fn compare(
    order: &[String],
    before: &BTreeMap<String, u64>,
    now: &BTreeMap<String, u64>,
) -> (String, Verdict) {
    let mut table = format!("{:<24} {:>9} {:>9} {:>8}\n", "step", "accepted", "now", "change");
    let mut verdict = Verdict::Passed;
    let mut fell = false;
    for name in order {
        let counted = now.get(name).copied().unwrap_or_default();
        let Some(&accepted) = before.get(name) else {
            verdict = Verdict::Failed;
            // Writing to a String cannot fail.
            let _ = writeln!(table, "{name:<24} {:>9} {counted:>9} {:>8}", "-", "new");
            continue;
        };
        let change = (counted as f64 / accepted as f64 - 1.0) * 100.0;
        let rose = counted * 100 > accepted * (100 + RISE_MAX) && counted > accepted + RISE_ALWAYS;
        if rose {
            verdict = Verdict::Failed;
        }
        fell |= counted * 100 < accepted * (100 - RISE_MAX);
        let mark = if rose { "  ROSE" } else { "" };
        let _ = writeln!(
            table,
            "{name:<24} {accepted:>9} {counted:>9} {change:>+7.1}%{mark}"
        );
    }
    for gone in before.keys().filter(|name| !order.contains(name)) {
        verdict = Verdict::Failed;
        let _ = writeln!(table, "{gone:<24} is not counted any more");
    }
    if verdict == Verdict::Failed {
        let _ = writeln!(
            table,
            "a step is new, gone, or rose by more than {RISE_MAX} %; if it has to be: cargo xtask instructions --accept"
        );
    } else if fell {
        table.push_str("a step fell; to keep what was won: cargo xtask instructions --accept\n");
    }
    (table, verdict)
}

/// What callgrind collected in all.
pub(super) fn total(profile: &str) -> Option<u64> {
    let line = profile
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("totals: "))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(list: &[(&str, u64)]) -> BTreeMap<String, u64> {
        list.iter()
            .map(|&(name, count)| (name.to_owned(), count))
            .collect()
    }

    fn verdict(before: &[(&str, u64)], now: &[(&str, u64)]) -> Verdict {
        let order: Vec<String> = now.iter().map(|(name, _)| (*name).to_owned()).collect();
        compare(&order, &counts(before), &counts(now)).1
    }

    #[test]
    fn a_rise_of_more_than_two_percent_fails_and_a_fall_does_not() {
        assert_eq!(verdict(&[("a", 1000)], &[("a", 1020)]), Verdict::Passed);
        assert_eq!(verdict(&[("a", 1000)], &[("a", 1021)]), Verdict::Failed);
        assert_eq!(verdict(&[("a", 1000)], &[("a", 500)]), Verdict::Passed);
        assert_eq!(
            verdict(&[("a", 20)], &[("a", 22)]),
            Verdict::Passed,
            "two instructions"
        );
    }

    #[test]
    fn a_step_that_is_new_or_gone_has_to_be_accepted() {
        assert_eq!(verdict(&[], &[("a", 1)]), Verdict::Failed);
        assert_eq!(verdict(&[("a", 1), ("b", 1)], &[("a", 1)]), Verdict::Failed);
    }

    #[test]
    fn the_total_is_read_from_callgrinds_last_lines() {
        assert_eq!(
            total("events: Ir\nfn=(1)\n1 7\n\ntotals: 809211\n"),
            Some(809_211)
        );
        assert_eq!(total("events: Ir\n"), None);
    }
}
