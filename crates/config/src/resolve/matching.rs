//! What a rule matches.

use std::collections::BTreeSet;

use policy::route::{MatchSpec, PathMatch, ValueMatch, anchored};

use crate::mistake::{Code, Report};
use crate::node::quoted;
use crate::shape::Format;

use super::view::{View, Word};

/// One entry of `matches`.
pub(super) fn matching(view: View<'_>, report: &mut Report) -> MatchSpec {
    MatchSpec {
        path: view.object("path").and_then(|path| path_match(path, report)),
        headers: values(&view.objects("headers"), Names::AnyCase, report),
        query: values(&view.objects("queryParams"), Names::AsWritten, report),
        method: view.text("method").map(str::to_owned),
    }
}

fn path_match(view: View<'_>, report: &mut Report) -> Option<PathMatch> {
    let value = if view.has("value") {
        view.word("value")?
    } else {
        Word {
            text: "/",
            spot: view.spot(),
        }
    };
    match view.text("type").unwrap_or("PathPrefix") {
        "RegularExpression" => regex(value, report).map(PathMatch::Regex),
        kind => {
            if let Err(complaint) = Format::UrlPath.check(value.text) {
                report
                    .error(complaint.code, value.spot, complaint.message)
                    .help(complaint.help);
                return None;
            }
            let path = normal_path(value.text);
            let prefix = path.trim_end_matches('/');
            Some(match (kind, prefix) {
                ("Exact", _) => PathMatch::Exact(path),
                (_, "") => PathMatch::Prefix("/".to_owned()),
                (_, prefix) => PathMatch::Prefix(prefix.to_owned()),
            })
        }
    }
}

/// RFC 3986, 6.2.2: escapes of unreserved characters are taken back, others have upper-case
/// digits. Requests are matched in the same form.
fn normal_path(path: &str) -> String {
    let (mut normal, mut rest) = (String::with_capacity(path.len()), path);
    while let Some((before, after)) = rest.split_once('%') {
        normal.push_str(before);
        let (hex, behind) = after.split_at_checked(2).unwrap_or((after, ""));
        match u8::from_str_radix(hex, 16).map(char::from) {
            Ok(c) if c.is_ascii_alphanumeric() || "-._~".contains(c) => normal.push(c),
            _ => normal.extend(
                ['%']
                    .into_iter()
                    .chain(hex.chars().map(|c| c.to_ascii_uppercase())),
            ),
        }
        rest = behind;
    }
    normal + rest
}

/// How names are compared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    AnyCase,
    AsWritten,
}

fn values(views: &[View<'_>], names: Names, report: &mut Report) -> Vec<(String, ValueMatch)> {
    let (mut list, mut seen) = (Vec::new(), BTreeSet::new());
    for view in views {
        let (Some(name), Some(value)) = (view.word("name"), view.word("value")) else {
            continue;
        };
        let key = if names == Names::AnyCase {
            name.text.to_lowercase()
        } else {
            name.text.to_owned()
        };
        if !seen.insert(key.clone()) {
            report
                .error(
                    Code::FirstCounts,
                    name.spot,
                    format!("{} is matched twice", quoted(name.text)),
                )
                .help("only the first one counts; remove the other");
            continue;
        }
        let value = match view.text("type") {
            Some("RegularExpression") => regex(value, report).map(ValueMatch::Regex),
            _ => Some(ValueMatch::Exact(value.text.to_owned())),
        };
        list.extend(value.map(|value| (key, value)));
    }
    list
}

fn regex(pattern: Word<'_>, report: &mut Report) -> Option<regex::Regex> {
    match anchored(pattern.text) {
        Ok(regex) => Some(regex),
        Err(error) => {
            let text = error.to_string();
            let why = text
                .rsplit("error: ")
                .next()
                .unwrap_or(&text)
                .lines()
                .next()
                .unwrap_or_default();
            report
                .error(
                    Code::BadRegex,
                    pattern.spot,
                    format!("this is no regular expression: {why}"),
                )
                .help("the syntax is RE2's: no look-around, no back-references; the whole value must match");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::normal_path;

    #[test]
    fn escapes_are_brought_into_one_form() {
        assert_eq!(normal_path("/%7euser/%c3%a9/a%20b"), "/~user/%C3%A9/a%20b");
        assert_eq!(normal_path("/plain"), "/plain");
    }
}
