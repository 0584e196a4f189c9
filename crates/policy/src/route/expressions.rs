//! Path expressions of one hostname, found together: one automaton reads a path once and says which of hundreds match
//! it, where to try them one by one would read it as often as there are expressions.

use std::cell::Cell;
use std::cmp::Reverse;

use regex::Regex;
use regex_automata::meta;
use regex_automata::nfa::thompson::WhichCaptures;
use regex_automata::{Input, MatchKind, PatternSet};

/// Expressions with what each stands for, in the order in which they count: the longer one first, then as given.
#[derive(Debug)]
pub(super) struct Expressions<T> {
    list: Vec<(Regex, T)>,
    /// Covers the list in order.
    groups: Vec<Group>,
}

/// Neighbours in the list.
#[derive(Debug)]
struct Group {
    first: usize,
    count: usize,
    /// Says which of them match. `None` where they are so few that it would be dearer than to try each, or so large
    /// that they do not fit into one.
    automaton: Option<meta::Regex>,
}

impl<T> Expressions<T> {
    /// Sorts them.
    pub(super) fn new(mut list: Vec<(Regex, T)>) -> Self {
        list.sort_by_key(|(expression, _)| Reverse(expression.as_str().len()));
        let mut groups = Vec::new();
        let texts: Vec<&str> = list.iter().map(|(expression, _)| expression.as_str()).collect();
        gather(&texts, 0, &mut groups);
        Self { list, groups }
    }

    /// The first whose expression matches the path and that is `fit`.
    pub(super) fn find(&self, path: &str, fit: impl Fn(&T) -> bool) -> Option<&T> {
        self.groups.iter().find_map(|group| {
            let list = &self.list[group.first..][..group.count];
            match &group.automaton {
                Some(automaton) => of_those_that_match(automaton, path, list, &fit),
                // The expression last: it costs more than the rest of a match.
                None => one_by_one(list, path, &fit),
            }
        })
    }
}

fn one_by_one<'a, T>(list: &'a [(Regex, T)], path: &str, fit: &impl Fn(&T) -> bool) -> Option<&'a T> {
    let found = list
        .iter()
        .find(|(expression, thing)| fit(thing) && expression.is_match(path));
    found.map(|(_, thing)| thing)
}

thread_local! {
    /// Which expressions matched; kept, so that a request allocates nothing.
    static MATCHED: Cell<Option<PatternSet>> = const { Cell::new(None) };
}

fn of_those_that_match<'a, T>(
    automaton: &meta::Regex,
    path: &str,
    list: &'a [(Regex, T)],
    fit: &impl Fn(&T) -> bool,
) -> Option<&'a T> {
    let kept = MATCHED.take().filter(|kept| kept.capacity() >= list.len());
    let mut matched = kept.unwrap_or_else(|| PatternSet::new(list.len()));
    matched.clear();
    automaton.which_overlapping_matches(&Input::new(path), &mut matched);
    let found = if matched.is_empty() {
        None
    } else {
        let things = matched.iter().map(|at| &list[at.as_usize()].1);
        things.into_iter().find(|thing| fit(thing))
    };
    MATCHED.set(Some(matched));
    found
}

/// Puts as many into one automaton as fit: all, or each half by itself.
fn gather(texts: &[&str], first: usize, groups: &mut Vec<Group>) {
    let count = texts.len();
    if count == 0 {
        return;
    }
    let automaton = if count < TOGETHER_FROM {
        None
    } else {
        compile(texts)
    };
    if automaton.is_some() || count < 2 * TOGETHER_FROM {
        groups.push(Group {
            first,
            count,
            automaton,
        });
        return;
    }
    let (one, other) = texts.split_at(count / 2);
    gather(one, first, groups);
    gather(other, first + one.len(), groups);
}

fn compile(texts: &[&str]) -> Option<meta::Regex> {
    let config = meta::Config::new()
        .match_kind(MatchKind::All)
        .which_captures(WhichCaptures::None)
        .nfa_size_limit(Some(AUTOMATON_BYTES_MAX))
        .hybrid_cache_capacity(STATES_BYTES_MAX);
    meta::Builder::new().configure(config).build_many(texts).ok()
}

/// Fewer are tried one by one.
const TOGETHER_FROM: usize = 4;

/// An automaton of more is not built: several smaller ones are.
const AUTOMATON_BYTES_MAX: usize = 1024 * 1024;

/// Its states are made as paths ask for them, by each thread, and forgotten when they take more than this: some
/// times what the largest automaton needs at least, without which it would be many times slower.
const STATES_BYTES_MAX: usize = 8 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::anchored;
    use super::*;

    fn expressions(texts: &[String]) -> Expressions<usize> {
        let list = texts.iter().enumerate();
        Expressions::new(
            list.map(|(at, text)| (anchored(text).expect("an expression"), at))
                .collect(),
        )
    }

    #[test]
    fn hundreds_are_one_automaton_and_more_than_fits_are_several() {
        let texts: Vec<_> = (0..300).map(|at| format!("/api/v{at}/items/[^/]+")).collect();
        let found = expressions(&texts);
        assert_eq!(found.groups.len(), 1);
        assert_eq!(found.find("/api/v299/items/7", |_| true), Some(&299));
        assert_eq!(found.find("/api/v300/items/7", |_| true), None);
        let texts: Vec<_> = (0..40).map(|at| format!(r"/{at}/\w{{1,3}}")).collect();
        let found = expressions(&texts);
        assert!(found.groups.len() > 1 && found.groups.iter().all(|group| group.automaton.is_some()));
        for at in 0..40 {
            assert_eq!(found.find(&format!("/{at}/abc"), |_| true), Some(&at));
        }
    }

    #[test]
    fn few_are_tried_one_by_one() {
        let found = expressions(&["/a+".to_owned(), "/b".to_owned()]);
        assert!(found.groups[0].automaton.is_none());
        assert_eq!(found.find("/b", |_| true), Some(&1));
        assert_eq!(expressions(&[]).find("/", |_| true), None);
    }

    #[test]
    fn another_table_may_be_asked_in_between() {
        let small = expressions(&["/a", "/b", "/d", "/c"].map(str::to_owned));
        let large = expressions(&(0..50).map(|at| format!("/{at}.*")).collect::<Vec<_>>());
        for _ in 0..2 {
            assert_eq!(small.find("/c", |_| true), Some(&3));
            assert_eq!(large.find("/49", |_| true), Some(&49));
        }
        let inner = |_: &usize| large.find("/7", |_| true) == Some(&7);
        assert_eq!(small.find("/b", inner), Some(&1));
    }

    /// Parts of expressions, of which several match a path, whose case, alphabet and ends matter.
    fn some_text() -> impl Strategy<Value = String> {
        let part = proptest::sample::select(
            &[
                "/a",
                "/b",
                ".*",
                "/[^/]+",
                "(?i:/A)",
                "/é",
                r"/\d+",
                r"\b",
                "(?:/a|/b/1)",
                "/.",
                "$",
                "",
            ][..],
        );
        proptest::collection::vec(part, 0..4).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn what_is_found_together_is_what_is_found_one_by_one(
            texts in proptest::collection::vec(some_text(), 0..40),
            path in "(/(a|A|b|é|1|22|ab)?){0,4}",
            unfit in any::<u64>(),
        ) {
            let found = expressions(&texts);
            let fit = |at: &usize| unfit >> (at % 64) & 1 == 0;
            prop_assert_eq!(found.find(&path, fit), one_by_one(&found.list, &path, &fit));
        }
    }
}
