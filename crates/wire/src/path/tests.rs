use proptest::prelude::*;

use super::*;
use crate::h1::head::{Limits, Scan};

fn normal(path: &str) -> Result<String, TargetError> {
    normalise(path).map(Cow::into_owned)
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
    assert!(
        matches!(normalise("/a/b%2F/.c"), Ok(Cow::Borrowed(_))),
        "normal paths are not copied"
    );
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
        ("/a#b", None),
        ("/a\\b", None),
    ] {
        assert_eq!(plain_len(target.as_bytes()), len, "{target}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn a_plain_path_is_in_normal_form_at_a_closer_look(
        target in "/([a-c./]|[a-z]{13,16}|\\.|%2[0-9a-f]|[!-~]|\u{e9}|\x00){0,12}",
    ) {
        if let Some(len) = plain_len(target.as_bytes()) {
            prop_assert_eq!(is_normal(&target.as_bytes()[..len]), Ok(true));
            prop_assert!(len == target.len() || target.as_bytes()[len] == b'?');
        }
    }

    #[test]
    fn the_normal_form_is_its_own_normal_form(
        path in "/([a-c./]|\\.\\.|%2[0-9a-fA-F]|%[0-9a-fA-F]{2}|%25|//|[!-~]){0,20}",
    ) {
        if let Ok(once) = normalise(&path) {
            prop_assert!(once.starts_with('/'));
            prop_assert!(once.split('/').all(|segment| segment != "." && segment != ".."), "{}", once);
            let twice = normalise(&once).unwrap();
            prop_assert_eq!(&twice, &once);
            prop_assert!(matches!(twice, Cow::Borrowed(_)));
        }
    }
}
