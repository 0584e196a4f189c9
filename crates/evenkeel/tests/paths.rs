//! Paths: what is matched is what any server makes of what is forwarded.

use crate::harness::{Gateway, Message, Upstream, free_port, yaml};

/// A gateway with a rule for `/admin`, one for the path `/own`, one for `/public` that puts `/files` in its
/// place, and, if `open`, one for all else; each with a Backend of its name.
struct Site {
    gateway: Gateway,
    upstreams: Vec<(&'static str, Upstream)>,
}

impl Site {
    fn new(open: bool, paths: &str) -> Self {
        let names = ["admin", "own", "public", "rest"];
        let upstreams: Vec<_> = names.map(|name| (name, Upstream::saying(name))).into();
        let rule = |path: &str, filters: &str, backend: &str| {
            let backend = yaml::reference(backend);
            format!("  - matches: [{{path: {path}}}]\n{filters}    backendRefs: [{backend}]\n")
        };
        let replaced = "    filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, \
                        replacePrefixMatch: /files}}}]\n";
        let mut rules = rule("{value: /admin}", "", "admin")
            + &rule("{type: Exact, value: /own}", "", "own")
            + &rule("{value: /public}", replaced, "public");
        if open {
            rules += &rule("{value: /}", "", "rest");
        }
        let policy = if paths.is_empty() {
            String::new()
        } else {
            format!(
                "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: ClientTrafficPolicy\nmetadata: {{name: clients}}\nspec:\n  \
                 targetRefs: [{{kind: Gateway, name: edge}}]\n  path: {{{paths}}}\n---\n"
            )
        };
        let backends: String = upstreams
            .iter()
            .map(|(name, upstream)| yaml::backend(name, &[upstream.address]))
            .collect();
        let routes = yaml::route("all", &rules);
        let gateway = yaml::gateway(free_port());
        Self {
            gateway: Gateway::configured(&format!("{gateway}{routes}{backends}{policy}")),
            upstreams,
        }
    }

    /// Who answered, or the status if nobody did; and what it was sent.
    fn ask(&self, path: &str) -> (String, String) {
        let told = self.gateway.get("a", path);
        if told.status() != 200 {
            return (told.status().to_string(), String::new());
        }
        let name = told.text();
        let (_, upstream) = self
            .upstreams
            .iter()
            .find(|(found, _)| *found == name)
            .expect("one of them");
        let target = upstream
            .requests()
            .last()
            .map(Message::target)
            .unwrap_or_default()
            .to_owned();
        (name, target)
    }

    #[track_caller]
    fn expect(&self, path: &str, name: &str, sent: &str) {
        assert_eq!(self.ask(path), (name.to_owned(), sent.to_owned()), "{path}");
    }
}

#[test]
fn nobody_walks_round_a_rule() {
    let site = Site::new(true, "");
    for path in [
        "/admin",
        "//admin",
        "///admin//x",
        "/%61dmin",
        "//%61dmin",
        "/a/../admin",
        "/a/%2e%2E/admin",
        "/./admin",
        "//./admin",
        "/a//../../admin",
        "/admin//",
        "/public/..//admin",
    ] {
        assert_eq!(site.ask(path).0, "admin", "{path} slipped past the rule");
    }
    for path in ["//own", "/%6fwn", "/./own", "/a/../%6Fwn"] {
        assert_eq!(site.ask(path).0, "own", "{path} slipped past the rule");
    }
    for path in [
        "/x%2f..%2fadmin",
        "/x%2F%2e%2e%2Fadmin",
        "/x/..%5cadmin",
        "/x/..;/admin",
        "/%2fadmin",
        "/x;/../admin;y",
        "/admin;x",
        "/own;x",
        "/;a/own",
        "/public/..%2fown",
        "/public/..%2f..%2fetc",
        "/%5cadmin",
    ] {
        let told = site.ask(path).0;
        assert!(
            told == "400" || told == "admin" || told == "own",
            "{path} got to {told}"
        );
    }
    let closed = Site::new(false, "");
    for path in [
        "/public/..%2fsecret",
        "/public%2f..%2fsecret",
        "/public/..;/secret",
    ] {
        let told = closed.ask(path).0;
        assert!(told == "400" || told == "404", "{path} got to {told}");
    }
}

#[test]
fn a_path_goes_on_as_it_came() {
    let site = Site::new(true, "");
    for path in [
        "/a%7Eb%7eb?c=%7E",
        "/a%2fb%2Fc",
        "/%c3%a9%C3%A9",
        "/a//b///",
        "//a",
        "/a;b=c/d;e",
        "/a|b?/../x//y",
    ] {
        site.expect(path, "rest", path);
    }
    site.expect("//admin//%61%2f", "admin", "//admin//%61%2f");
    site.expect("/%7ea/./b//%2f", "rest", "/%7ea/b//%2f");
    site.expect("/admin/%2e%2E/a%7eb", "rest", "/a%7eb");
    site.expect("/public/a%7eb//c%2f?q", "public", "/files/a%7eb//c%2f?q");
    site.expect("//%70ublic//%61", "public", "/files//%61");
    site.expect("/public", "public", "/files");
}

#[test]
fn the_owner_says_how_paths_are_read() {
    let split = Site::new(true, "disableMergeSlashes: true");
    assert_eq!(split.ask("//admin").0, "rest");
    assert_eq!(split.ask("/%61dmin").0, "admin");

    let kept = Site::new(true, "escapedSlashesAction: KeepUnchanged");
    kept.expect("/x%2f..%2fadmin", "rest", "/x%2f..%2fadmin");

    let refused = Site::new(true, "escapedSlashesAction: RejectRequest");
    assert_eq!(refused.ask("/a%2fb").0, "400");
    assert_eq!(refused.ask("/a%5Cb").0, "400");
    refused.expect("/a%7eb?c=%2f", "rest", "/a%7eb?c=%2f");

    let unescaped = Site::new(true, "escapedSlashesAction: UnescapeAndForward");
    unescaped.expect("/x%2f..%2fadmin?a=%2f", "admin", "/admin?a=%2f");
    unescaped.expect("/a%5cb%7e", "rest", "/a/b%7e");

    let redirected = Site::new(true, "escapedSlashesAction: UnescapeAndRedirect");
    let answer = redirected.gateway.get("a.test", "/x%2f..%2fadmin?a=%2f");
    let port = redirected.gateway.address.port();
    assert_eq!(answer.status(), 307);
    let expected = format!("http://a.test:{port}/admin?a=%2f");
    assert_eq!(answer.field("location"), Some(expected.as_str()));
    let answer = redirected.gateway.ask("GET /%2fevil.test/%2f HTTP/1.0\r\n\r\n");
    assert_eq!(answer.field("location"), Some("/.//evil.test//"));
    redirected.expect("/a%7eb", "rest", "/a%7eb");
}
