use proptest::prelude::*;

use super::*;

fn fields(lines: &[(&str, &str)]) -> Fields {
    let mut fields = Fields::default();
    lines
        .iter()
        .for_each(|(name, value)| fields.push(name.as_bytes(), value.as_bytes()));
    fields
}

fn shown(fields: &Fields) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    fields
        .iter()
        .map(|(_, name, value)| (text(name), text(value)))
        .collect()
}

#[test]
fn fields_are_found_by_known_name_and_by_any_spelling() {
    let fields = fields(&[("Host", "a"), ("x-a", "1"), ("X-A", "2"), ("HOST", "b")]);
    assert_eq!(fields.get(Known::Host), Some(&b"a"[..]));
    assert_eq!(fields.all(Known::Host).collect::<Vec<_>>(), [b"a", b"b"]);
    assert_eq!(fields.only(Known::Host), None);
    assert!(fields.has_several(Known::Host) && !fields.has_several(Known::Te));
    assert_eq!(fields.get_named(b"host"), Some(&b"a"[..]));
    assert_eq!(fields.all_named(b"x-A").collect::<Vec<_>>(), [b"1", b"2"]);
    assert_eq!(fields.get(Known::Te), None);
    assert_eq!(fields.get(Known::Other), None);
    assert_eq!(fields.joined(b"x-a").as_deref(), Some(&b"1,2"[..]));
    assert_eq!(fields.joined(b"x-b"), None);
    assert_eq!(fields.len(), 4);
}

#[test]
fn setting_a_field_keeps_its_place_and_leaves_one() {
    let mut fields = fields(&[("a", "1"), ("Host", "x"), ("b", "2"), ("host", "y")]);
    fields.set(b"host", b"longer than before");
    assert_eq!(fields.only(Known::Host), Some(&b"longer than before"[..]));
    assert!(!fields.has_several(Known::Host));
    assert_eq!(shown(&fields)[1].1, "longer than before");
    assert_eq!(fields.len(), 3);
    fields.set(b"c", b"new");
    assert_eq!(shown(&fields)[3], ("c".into(), "new".into()));
}

#[test]
fn removing_says_how_many_and_forgets_that_they_were_there() {
    let mut fields = fields(&[("te", "a"), ("x", "1"), ("TE", "b"), ("X", "2")]);
    assert_eq!(fields.remove(Known::Te), 2);
    assert!(!fields.has(Known::Te));
    assert_eq!(fields.remove(Known::Te), 0);
    assert_eq!(fields.remove_named(b"X"), 2);
    assert!(fields.is_empty());
    fields.push(b"te", b"c");
    assert!(fields.has(Known::Te));
    fields.clear();
    assert!(fields.is_empty() && !fields.has(Known::Te));
    fields.push(b"te", b"d");
    assert_eq!(fields.only(Known::Te), Some(&b"d"[..]));
}

#[test]
fn list_elements_are_split_at_commas_outside_quotes_over_all_fields() {
    let fields = fields(&[
        ("connection", "close , ,Keep-Alive"),
        ("CONNECTION", r#""a, \", b", c"#),
        ("connection", ""),
    ]);
    let tokens: Vec<_> = fields
        .tokens(Known::Connection)
        .map(|t| t.escape_ascii().to_string())
        .collect();
    assert_eq!(tokens, ["close", "Keep-Alive", r#"\"a, \\\", b\""#, "c"]);
    assert_eq!(elements(b"\"never closed, so one").count(), 1);
}

#[test]
fn names_and_values_are_checked_letter_by_letter() {
    assert!(is_field_name(b"x-!#$%&'*+.^_`|~1") && !is_field_name(b"") && !is_field_name(b"a b"));
    assert!(!is_field_name(b"a:") && !is_field_name(b"a\xe9") && !is_field_name(b"a\0"));
    assert!(
        is_field_value(b"")
            && is_field_value(b"a \t\xff~")
            && !is_field_value(b" a")
            && !is_field_value(b"a\t")
    );
    assert!(!is_field_value(b"a\r\nb: c") && !is_field_value(b"a\0") && !is_field_value(b"\x7f"));
}

#[test]
fn runs_of_kept_lines_are_written_as_they_are_and_gaps_are_left_out() {
    let mut fields = fields(&[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")]);
    fields.set(b"c", b"five");
    let mut out = Vec::new();
    fields.write_where(&mut out, |line| fields.name(line) != b"b");
    assert_eq!(
        out.escape_ascii().to_string(),
        "a: 1\\r\\nc: five\\r\\nd: 4\\r\\n"
    );
}

#[derive(Clone, Debug)]
enum Edit {
    Push(usize, String),
    Set(usize, String),
    Remove(usize),
}

const NAMES: [&str; 5] = ["Host", "host", "X-A", "x-a", "Via"];

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let value = "[!-~]{0,6}";
    let edit = prop_oneof![
        (0..NAMES.len(), value).prop_map(|(name, value)| Edit::Push(name, value)),
        (0..NAMES.len(), value).prop_map(|(name, value)| Edit::Set(name, value)),
        (0..NAMES.len()).prop_map(Edit::Remove),
    ];
    prop::collection::vec(edit, 0..24)
}

proptest! {
    #[test]
    fn any_edits_leave_what_a_plain_list_would_hold(edits in edits()) {
        let mut fields = Fields::default();
        let mut list: Vec<(String, String)> = Vec::new();
        for edit in edits {
            match edit {
                Edit::Push(name, value) => {
                    fields.push(NAMES[name].as_bytes(), value.as_bytes());
                    list.push((NAMES[name].to_owned(), value));
                }
                Edit::Set(name, value) => {
                    fields.set(NAMES[name].as_bytes(), value.as_bytes());
                    let entry = (NAMES[name].to_owned(), value);
                    match list.iter().position(|(n, _)| n.eq_ignore_ascii_case(NAMES[name])) {
                        None => list.push(entry),
                        Some(first) => {
                            list[first] = entry;
                            let mut index = 0;
                            list.retain(|(n, _)| {
                                index += 1;
                                index <= first + 1 || !n.eq_ignore_ascii_case(NAMES[name])
                            });
                        }
                    }
                }
                Edit::Remove(name) => {
                    let before = list.len();
                    list.retain(|(n, _)| !n.eq_ignore_ascii_case(NAMES[name]));
                    prop_assert_eq!(fields.remove_named(NAMES[name].as_bytes()), before - list.len());
                }
            }
            prop_assert_eq!(&shown(&fields), &list);
            prop_assert_eq!(fields.has(Known::Via), list.iter().any(|(name, _)| name == "Via"));
            let mut out = Vec::new();
            fields.write_where(&mut out, |_| true);
            let plain: String = list.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            prop_assert_eq!(out, plain.into_bytes());
        }
    }
}
