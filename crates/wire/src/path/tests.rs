use proptest::prelude::*;

use super::reading::{with_slashes, without_parameters};
use super::*;
use crate::h1::head::{Limits, Scan};

/// The normal form, neighbouring slashes kept.
fn normal(path: &str) -> Result<String, TargetError> {
    Ok(to_match(&to_forward(path)?, false).into_owned())
}

#[test]
fn a_path_has_one_normal_form() {
    for (path, expected) in [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a//b/", "/a//b/"),
        ("/.well-known/x", "/.well-known/x"),
        ("/a.b/..c/d..", "/a.b/..c/d.."),
        ("/...", "/..."),
        ("/a/./b", "/a/b"),
        ("/a/../b", "/b"),
        ("/a/b/..", "/a/"),
        ("/a/b/.", "/a/b/"),
        ("/..", "/"),
        ("/../../a", "/a"),
        ("/.", "/"),
        ("/a//../b", "/a/b"),
        ("/a//..", "/a/"),
        ("/%61%2D%2e%5F%7e", "/a-._~"),
        ("/%2e%2E/a", "/a"),
        ("/a/%2e", "/a/"),
        ("/a/.%2e/b", "/b"),
        ("/%2f%3a%5c", "/%2F%3A%5C"),
        ("/%2F", "/%2F"),
        ("/a%2F..%2Fb", "/a%2F..%2Fb"),
        ("/%252e", "/%252e"),
        ("/%25%32%65", "/%252e"),
        ("/%c3%A9", "/%C3%A9"),
        ("/a;b=c/..;/d", "/a;b=c/..;/d"),
        ("/a|b{c}\"<>^`", "/a|b{c}\"<>^`"),
    ] {
        assert_eq!(normal(path).as_deref(), Ok(expected), "{path}");
        assert_eq!(normal(expected).as_deref(), Ok(expected), "again: {path}");
    }
}

#[test]
fn a_path_goes_on_as_it_came_but_for_dot_segments() {
    for (path, expected) in [
        ("/%61%7E%7e//%2f%3a", "/%61%7E%7e//%2f%3a"),
        ("/a%2Fb;c=%3b", "/a%2Fb;c=%3b"),
        ("/%61/./b", "/%61/b"),
        ("/%61/%2E%2e/%62//c", "/%62//c"),
        ("/a//../b", "/a/b"),
        ("/a/.%2E", "/"),
        ("/%2e", "/"),
        ("/%2e%2e%2e/...", "/%2e%2e%2e/..."),
    ] {
        let forwarded = to_forward(path).unwrap();
        assert_eq!(forwarded, expected, "{path}");
        assert_eq!(forwarded == path, matches!(forwarded, Cow::Borrowed(_)), "{path}");
    }
}

#[test]
fn slashes_are_merged_where_they_are_matched() {
    let merged = |path: &str| to_match(path, true).into_owned();
    for (path, expected) in [
        ("//admin", "/admin"),
        ("///a////b//", "/a/b/"),
        ("/a/b", "/a/b"),
        ("/a%2F/b", "/a%2F/b"),
        ("/%61//%62", "/a/b"),
    ] {
        assert_eq!(merged(path), expected, "{path}");
    }
    assert_eq!(to_match("//admin", false), "//admin");
}

#[test]
fn what_follows_a_matched_prefix_is_what_came() {
    for (path, prefix, rest) in [
        ("/api/v1", "/api", "/v1"),
        ("//api//v1", "/api", "//v1"),
        ("/%61pi/%7ev1", "/api", "/%7ev1"),
        ("/api", "/api", ""),
        ("/api/", "/api", "/"),
        ("//x", "", "//x"),
        ("/a%2fb//c", "/a%2Fb", "//c"),
    ] {
        assert!(to_match(path, true).starts_with(prefix));
        assert_eq!(rest_behind(path, prefix.len(), true), rest, "{path}");
    }
    assert_eq!(rest_behind("//api/v1", "//api".len(), false), "/v1");
}

#[test]
fn what_servers_read_differently_has_another_reading() {
    for (path, expected) in [
        ("/admin;x", &["/admin", "/admin;x"][..]),
        ("/a%2f/b", &["/a%2F/b", "/a/b"]),
        ("/a%5Cb;c%2fd", &["/a%5Cb", "/a/b", "/a/b/d", "/a/b;c/d"]),
        ("/;/admin", &["/;/admin", "/admin"]),
        ("/a%20b", &[]),
        ("/a//b", &[]),
    ] {
        let mut readings = other_readings(path, true).unwrap();
        assert!(
            readings
                .iter()
                .all(|reading| expected.contains(&reading.as_str())),
            "{path}: {readings:?}"
        );
        readings.retain(|reading| to_match(path, true) != *reading);
        assert_eq!(readings.is_empty(), expected.is_empty(), "{path}");
    }
    for path in [
        "/public%2f..%2Fadmin",
        "/public/..%2fadmin",
        "/public/..;/admin",
        "/public/..;a=b/admin;c",
        "/public%5c..%5Cadmin",
        "/a%2f%2e",
        "/a//..;/b",
    ] {
        assert_eq!(other_readings(path, true), Err(TargetError::HiddenDots), "{path}");
    }
    assert_eq!(unescape_slashes("/a%2f..%5cb%2F%63"), "/b/%63");
    assert!(has_escaped_slash("/a%5C") && !has_escaped_slash("/a%252f/%2"));
}

#[test]
fn what_servers_read_differently_has_no_normal_form() {
    for (path, error) in [
        ("/%", TargetError::BadEscape),
        ("/%2", TargetError::BadEscape),
        ("/%zz", TargetError::BadEscape),
        ("/%+1", TargetError::BadEscape),
        ("/a%00b", TargetError::Nul),
        ("/a\\b", TargetError::Backslash),
        ("/a?b", TargetError::BadCharacter),
        ("/a#b", TargetError::BadCharacter),
        ("/a b", TargetError::BadCharacter),
        ("/\u{e9}", TargetError::BadCharacter),
        ("/\u{7f}", TargetError::BadCharacter),
        ("", TargetError::BadForm),
        ("a", TargetError::BadForm),
    ] {
        assert_eq!(normal(path), Err(error), "{path}");
    }
}

/// Form, authority, what is forwarded, query, whether that is as sent.
type Taken = (Form, Option<String>, String, Option<String>, bool);

fn target(method: &str, target: &str) -> Result<Taken, TargetError> {
    let mut head = RequestHead::default();
    let text = format!("{method} {target} HTTP/1.1\r\n\r\n");
    head.read(text.as_bytes(), &mut Scan::default(), &Limits::default())
        .unwrap()
        .unwrap();
    let target = Target::of(&head)?;
    let mut forwarded = String::new();
    target.write_to(&mut forwarded);
    let authority = target.authority.map(str::to_owned);
    Ok((
        target.form,
        authority,
        forwarded,
        target.query.map(str::to_owned),
        target.is_as_sent(),
    ))
}

#[test]
fn each_method_has_its_forms_of_target() {
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        target("GET", "/a?b?c"),
        Ok((Form::Origin, None, "/a?b?c".into(), some("b?c"), true))
    );
    assert_eq!(
        target("GET", "/a/./b?"),
        Ok((Form::Origin, None, "/a/b?".into(), some(""), false))
    );
    assert_eq!(
        target("GET", "/?a=%00\\/../"),
        Ok((
            Form::Origin,
            None,
            "/?a=%00\\/../".into(),
            some("a=%00\\/../"),
            true
        ))
    );
    let absolute = |path: &str, query| Ok((Form::Absolute, some("h:1"), path.to_owned(), query, false));
    assert_eq!(target("GET", "http://h:1/a/../b?c"), absolute("/b?c", some("c")));
    assert_eq!(target("GET", "HTTPS://h:1"), absolute("/", None));
    assert_eq!(target("GET", "http://h:1?c"), absolute("/?c", some("c")));
    assert_eq!(target("OPTIONS", "http://h:1"), absolute("*", None));
    assert_eq!(target("OPTIONS", "http://h:1/"), absolute("/", None));
    assert_eq!(
        target("OPTIONS", "*"),
        Ok((Form::Asterisk, None, "*".into(), None, true))
    );
    assert_eq!(
        target("CONNECT", "h:443"),
        Ok((Form::Authority, some("h:443"), String::new(), None, false))
    );
}

#[test]
fn other_targets_are_refused() {
    for (method, sent, error) in [
        ("GET", "*", TargetError::BadForm),
        ("GET", "a", TargetError::BadForm),
        ("GET", "a:80", TargetError::BadForm),
        ("GET", "?x", TargetError::BadForm),
        ("GET", "ftp://a/", TargetError::BadScheme),
        ("GET", "://a/", TargetError::BadScheme),
        ("GET", "http:///a", TargetError::BadAuthority),
        ("GET", "http://", TargetError::BadAuthority),
        ("GET", "http://u@a/", TargetError::BadAuthority),
        ("GET", "http://a\\b/", TargetError::BadAuthority),
        ("GET", "http://a:b/", TargetError::BadAuthority),
        ("CONNECT", "a", TargetError::BadAuthority),
        ("CONNECT", "/", TargetError::BadAuthority),
        ("CONNECT", "http://a:1/", TargetError::BadAuthority),
        ("GET", "/%0", TargetError::BadEscape),
    ] {
        assert_eq!(target(method, sent), Err(error), "{method} {sent}");
    }
}

#[test]
fn a_plain_path_needs_no_second_look() {
    for (target, len) in [
        ("/", Some(1)),
        ("/a.b/c..?x=/../%", Some(8)),
        ("/sixteen-letters/and-more.txt", Some(29)),
        ("/fifteen-letters/.hidden", None),
        ("/a%20b", None),
        ("/a;b", None),
        ("/a//b", None),
        ("//a", None),
        ("/a#b", None),
        ("/a\\b", None),
    ] {
        assert_eq!(plain_len(target.as_bytes()), len, "{target}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn nothing_can_be_said_of_a_plain_path(
        target in "/([a-c./]|[a-z]{13,16}|\\.|%2[0-9a-f]|[!-~]|\u{e9}|\x00){0,12}",
    ) {
        if let Some(len) = plain_len(target.as_bytes()) {
            let path = &target[..len];
            prop_assert!(len == target.len() || target.as_bytes()[len] == b'?');
            prop_assert!(matches!(to_forward(path), Ok(Cow::Borrowed(_))));
            prop_assert!(matches!(to_match(path, true), Cow::Borrowed(_)));
            prop_assert_eq!(other_readings(path, true), Ok(Vec::new()));
        }
    }

    #[test]
    fn both_forms_are_final_and_have_no_dot_segments(path in strange_paths(), merge: bool) {
        if let Ok(forwarded) = to_forward(&path) {
            let matched = to_match(&forwarded, merge);
            for form in [&forwarded, &matched] {
                prop_assert!(form.starts_with('/'));
                prop_assert!(form.split('/').all(|segment| dots(segment) == 0), "{}", form);
                prop_assert_eq!(&to_forward(form).unwrap(), form);
            }
            prop_assert_eq!(to_match(&matched, merge), &*matched);
            prop_assert!(!merge || !matched.contains("//"));
        }
    }

    /// Whatever a server does with a path, in any order and any number of times, ends in what was
    /// matched, or in another reading of it.
    #[test]
    fn no_server_makes_anything_else_of_what_is_forwarded(
        path in strange_paths(), steps in prop::collection::vec(0..5_u8, 0..8)
    ) {
        let Ok(forwarded) = to_forward(&path) else { return Ok(()) };
        let Ok(mut readings) = other_readings(&forwarded, true) else { return Ok(()) };
        readings.push(to_match(&forwarded, true).into_owned());
        let mut read = forwarded.into_owned();
        for step in steps {
            read = match step {
                0 => to_match(&read, false).into_owned(),
                1 => to_match(&read, true).into_owned(),
                2 => without_dots(&read).into_owned(),
                3 => with_slashes(&read),
                _ => without_parameters(&read),
            };
        }
        let read = to_match(&read, true).into_owned();
        prop_assert!(readings.contains(&read), "{read} is none of {readings:?}");
    }

    #[test]
    fn the_rest_behind_a_prefix_is_matched_as_the_rest(path in strange_paths(), merge: bool) {
        let Ok(forwarded) = to_forward(&path) else { return Ok(()) };
        let matched = to_match(&forwarded, merge);
        let ends = matched.match_indices('/').chain([(matched.len(), "")]);
        for (end, _) in ends.filter(|(end, _)| !matched[..*end].ends_with('/')) {
            let rest = rest_behind(&forwarded, end, merge);
            prop_assert!(forwarded.ends_with(rest));
            prop_assert_eq!(to_match(rest, merge), &matched[end..]);
        }
    }
}

fn strange_paths() -> impl Strategy<Value = String> {
    "/([a-c./]|\\.\\.|%2[0-9a-fA-F]|%[0-9a-fA-F]{2}|%25|//|;|%5c|[!-~]){0,20}"
}
