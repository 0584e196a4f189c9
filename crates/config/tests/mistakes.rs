//! Every mistake at once, with its place and what would be right: as people and machines read it.

mod common;

use common::{GATEWAY, codes, mistakes, with_rule};
use config::{Code, ReadOptions, read};

#[test]
fn every_mistake_of_a_file_is_reported_at_once() {
    let text = "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: edge
spec:
  listeners:
  - name: http
    port: \"8080\"
    protocol: HTTP
  - name: https
    port: 8443
    protocol: TLS
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: shop
spec:
  parentRefs:
  - name: egde
  hostnames: [Shop.example.com]
  rules:
  - matches:
    - path:
        type: RegularExpression
        value: /a(b
    - path:
        value: no/slash
    - method: get
    backendRef:
    - name: api
    timeouts:
      request: 2.5s
      backendRequest: 30
  - backendRefs:
    - name: apii
      weight: 1000001
    - name: web
      port: 80
    filters:
    - type: RequestHeaderModifier
      requestHeaderModifier:
        set:
        - name: Host
          value: other
---
apiVersion: evenkeel.dev/v1alpha1
kind: Backend
metadata:
  name: api
spec:
  endpoints:
  - ip:
      address: 127.0.0.1
---
apiVersion: v1
kind: Deployment
metadata: {name: x}
";
    insta::assert_snapshot!(mistakes(text).render(false), @r#"
    error[EK0011]: expected a number, found the text `8080`
     --> gateway.yaml:8:11
      |
    8 |     port: "8080"
      |           ^^^^^^
      |
      = help: write 8080 without quotes

    error[EK0026]: `TLS` is not supported yet
      --> gateway.yaml:12:15
       |
    12 |     protocol: TLS
       |               ^^^
       |
       = help: TLS that is passed on comes in a later release; use `protocol: HTTPS`

    error[EK0031]: there is no Gateway `default/egde`
      --> gateway.yaml:20:11
       |
    20 |   - name: egde
       |           ^^^^
       |
       = help: did you mean `edge`?

    error[EK0017]: `Shop.example.com` is not a hostname
      --> gateway.yaml:21:15
       |
    21 |   hostnames: [Shop.example.com]
       |               ^^^^^^^^^^^^^^^^
       |
       = help: write it in lower case: `shop.example.com`

    error[EK0019]: this is no regular expression: unclosed group
      --> gateway.yaml:26:16
       |
    26 |         value: /a(b
       |                ^^^^
       |
       = help: the syntax is RE2's: no look-around, no back-references; the whole value must match

    error[EK0018]: `no/slash` is not a URL path
      --> gateway.yaml:28:16
       |
    28 |         value: no/slash
       |                ^^^^^^^^
       |
       = help: a path starts with `/`: `/no/slash`

    error[EK0014]: `get` is not allowed here
      --> gateway.yaml:29:15
       |
    29 |     - method: get
       |               ^^^
       |
       = help: did you mean `GET`?

    error[EK0010]: the rule has no field `backendRef`
      --> gateway.yaml:30:5
       |
    30 |     backendRef:
       |     ^^^^^^^^^^
       |
       = help: did you mean `backendRefs`?

    error[EK0015]: `2.5s` is not a duration
      --> gateway.yaml:33:16
       |
    33 |       request: 2.5s
       |                ^^^^
       |
       = help: write `2s500ms`

    error[EK0011]: expected a duration, found the number 30
      --> gateway.yaml:34:23
       |
    34 |       backendRequest: 30
       |                       ^^
       |
       = help: add a unit: `30s` or `30ms`

    error[EK0032]: there is no Backend `default/apii`
      --> gateway.yaml:36:13
       |
    36 |     - name: apii
       |             ^^^^
       |
       = help: did you mean `api`?

    error[EK0013]: 1000001 is out of range
      --> gateway.yaml:37:15
       |
    37 |       weight: 1000001
       |               ^^^^^^^
       |
       = help: use 0 to 1000000

    warning[EK0106]: no file says where the Service `default/web` is: requests to it are answered with 500
      --> gateway.yaml:39:7
       |
    39 |       port: 80
       |       ^^^^
       |
       = help: say it by `--backends web.default:80=HOST:PORT`, add its EndpointSlices, or refer to a Backend

    error[EK0028]: `Host` cannot be edited
      --> gateway.yaml:44:17
       |
    44 |         - name: Host
       |                 ^^^^
       |
       = help: use a filter of type `URLRewrite` with `hostname`

    error[EK0012]: `ip` has no `port`
      --> gateway.yaml:53:5
       |
    53 |   - ip:
       |     ^^
       |
       = help: add `port`: number, 1 to 65535

    warning[EK0105]: `Deployment` of `v1` is not for evenkeel: ignored
      --> gateway.yaml:57:7
       |
    57 | kind: Deployment
       |       ^^^^^^^^^^
       |
       = help: if evenkeel should read it, check `apiVersion` and `kind`

    14 errors, 2 warnings
    "#);
}

#[test]
fn a_broken_document_does_not_hide_the_mistakes_of_the_others() {
    let text = "a: [1, 2\n---\nb:\n\t- 1\n---\nkind: x\nkind: y\n--- # and one more\nspec: 5\n--- text\n";
    insta::assert_snapshot!(mistakes(text).render(false), @r##"
    error[EK0001]: this is not YAML: unclosed bracket '['
     --> gateway.yaml:1:4
      |
    1 | a: [1, 2
      |    ^

    error[EK0003]: a tab indents this line
     --> gateway.yaml:4:1
      |
    4 |     - 1
      | ^^^^
      |
      = help: YAML indents with spaces only

    error[EK0005]: this document has no `apiVersion`, so it is no resource
     --> gateway.yaml:6:1
      |
    6 | kind: x
      | ^^^^
      |
      = help: a resource has `apiVersion`, `kind`, `metadata` and `spec`

    error[EK0002]: duplicate mapping key: kind
     --> gateway.yaml:7:1
      |
    7 | kind: y
      | ^^^^
      |
      = help: remove one of the two; each key may be there once

    error[EK0005]: this document has no `kind`, so it is no resource
     --> gateway.yaml:9:1
      |
    9 | spec: 5
      | ^^^^
      |
      = help: a resource has `apiVersion`, `kind`, `metadata` and `spec`

    error[EK0005]: expected a resource, found the text `text`
      --> gateway.yaml:10:5
       |
    10 | --- text
       |     ^^^^
       |
       = help: a resource has `apiVersion`, `kind`, `metadata` and `spec`

    6 errors
    "##);
}

#[test]
fn filters_that_contradict_each_other_are_refused() {
    let text = with_rule(
        "matches: [{path: {type: Exact, value: /a}}]
backendRefs: [{name: api, filters: [{type: CORS, cors: {allowOrigins: ['*', 'https://a.example']}}]}]
filters:
- type: URLRewrite
  urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}
- type: URLRewrite
  requestRedirect: {statusCode: 304}
- type: RequestRedirect
  requestRedirect: {statusCode: 304, path: {type: ReplaceFullPath}}
- type: ExtensionRef
- type: RequestMirror
  requestMirror: {backendRef: {name: api}, percent: 5, fraction: {numerator: 5, denominator: 1}}
- type: ResponseHeaderModifier
  responseHeaderModifier:
    remove: [Content-Length]
    add: [{name: 'a b', value: x}, {name: c, value: \"d\\r\\ne\"}]",
    );
    insta::assert_snapshot!(mistakes(&text).render(false), @r##"
    error[EK0024]: a rule that redirects forwards nothing
      --> gateway.yaml:22:5
       |
    22 |     backendRefs: [{name: api, filters: [{type: CORS, cors: {allowOrigins: ['*', 'https://a.example']}}]}]
       |     ^^^^^^^^^^^
       |
       = help: remove `backendRefs`, or the redirect

    error[EK0024]: a filter of type `CORS` belongs to the rule
      --> gateway.yaml:22:48
       |
    22 |     backendRefs: [{name: api, filters: [{type: CORS, cors: {allowOrigins: ['*', 'https://a.example']}}]}]
       |                                                ^^^^
       |
       = help: move it to the `filters` of the rule

    error[EK0027]: `*` is all of `allowOrigins`, so it must be alone
      --> gateway.yaml:22:76
       |
    22 |     backendRefs: [{name: api, filters: [{type: CORS, cors: {allowOrigins: ['*', 'https://a.example']}}]}]
       |                                                                            ^^^
       |
       = help: remove the others, or the `*`

    error[EK0024]: a rule cannot both redirect and rewrite
      --> gateway.yaml:24:13
       |
    24 |     - type: URLRewrite
       |             ^^^^^^^^^^
    ...
    28 |     - type: RequestRedirect
       |             --------------- the redirect
       |
       = help: a redirect can change the path itself; remove the rewrite

    error[EK0027]: `ReplacePrefixMatch` needs matches of type `PathPrefix`
      --> gateway.yaml:24:13
       |
    24 |     - type: URLRewrite
       |             ^^^^^^^^^^
       |
       = help: use `ReplaceFullPath`, or match by `PathPrefix`

    error[EK0012]: a filter of type `URLRewrite` needs `urlRewrite`
      --> gateway.yaml:26:13
       |
    26 |     - type: URLRewrite
       |             ^^^^^^^^^^
       |
       = help: add `urlRewrite:` beside `type`

    error[EK0024]: there are two filters of type `URLRewrite`
      --> gateway.yaml:26:13
       |
    26 |     - type: URLRewrite
       |             ^^^^^^^^^^
       |
       = help: join them into one

    error[EK0024]: `requestRedirect` does not belong to type `URLRewrite`
      --> gateway.yaml:27:7
       |
    27 |       requestRedirect: {statusCode: 304}
       |       ^^^^^^^^^^^^^^^
       |
       = help: use one filter for each

    error[EK0014]: 304 is not a redirect with a target
      --> gateway.yaml:29:37
       |
    29 |       requestRedirect: {statusCode: 304, path: {type: ReplaceFullPath}}
       |                                     ^^^
       |
       = help: use 301, 302, 303, 307 or 308

    error[EK0012]: type `ReplaceFullPath` needs `replaceFullPath`
      --> gateway.yaml:29:55
       |
    29 |       requestRedirect: {statusCode: 304, path: {type: ReplaceFullPath}}
       |                                                       ^^^^^^^^^^^^^^^
       |
       = help: add `replaceFullPath: /new`

    error[EK0026]: `ExtensionRef` is not supported yet
      --> gateway.yaml:30:13
       |
    30 |     - type: ExtensionRef
       |             ^^^^^^^^^^^^
       |
       = help: filters of other groups come in a later release; remove the filter

    error[EK0024]: `percent` and `fraction` exclude each other
      --> gateway.yaml:32:60
       |
    32 |       requestMirror: {backendRef: {name: api}, percent: 5, fraction: {numerator: 5, denominator: 1}}
       |                                                -------     ^^^^^^^^
       |                                                |
       |                                                the other one
       |
       = help: remove one of them

    error[EK0027]: this is more than every request
      --> gateway.yaml:32:82
       |
    32 |       requestMirror: {backendRef: {name: api}, percent: 5, fraction: {numerator: 5, denominator: 1}}
       |                                                                                  ^
       |
       = help: keep `numerator` within `denominator`

    error[EK0028]: `Content-Length` cannot be edited
      --> gateway.yaml:35:18
       |
    35 |         remove: [Content-Length]
       |                  ^^^^^^^^^^^^^^
       |
       = help: it is set from how the body is sent

    error[EK0020]: `a b` is not a field name
      --> gateway.yaml:36:22
       |
    36 |         add: [{name: 'a b', value: x}, {name: c, value: "d\r\ne"}]
       |                      ^^^^^
       |
       = help: use letters, digits and ``!#$%&'*+-.^_`|~``

    error[EK0020]: `d\r\ne` is not a field value
      --> gateway.yaml:36:57
       |
    36 |         add: [{name: 'a b', value: x}, {name: c, value: "d\r\ne"}]
       |                                                         ^^^^^^^^
       |
       = help: use printable characters, with spaces and tabs only between them

    16 errors
    "##);
}

#[test]
fn a_variable_that_does_not_exist_is_told_with_its_place() {
    for (kind, value, word) in [
        (
            "RequestHeaderModifier",
            "'%CLIENT_IP%'",
            "there is no variable `%CLIENT_IP%` (at byte 1 of the value)",
        ),
        ("RequestHeaderModifier", "'a %RESP(x)%'", "not known yet"),
        ("ResponseHeaderModifier", "50%", "(at byte 3 of the value)"),
    ] {
        let field = format!("{}{}", kind[..1].to_lowercase(), &kind[1..]);
        let text = with_rule(&format!(
            "filters: [{{type: {kind}, {field}: {{set: [{{name: a, value: {value}}}]}}}}]"
        ));
        let told = mistakes(&text).to_string();
        assert!(told.contains("EK0048") && told.contains(word), "{told}");
    }
}

#[test]
fn machines_get_the_same_as_json() {
    let json = mistakes(&with_rule("backendRefs: [{name: ap}]\ncolour: blue")).to_json();
    insta::assert_snapshot!(format!("{json:#}"), @r##"
    [
      {
        "code": "EK0032",
        "column": 26,
        "file": "gateway.yaml",
        "help": "did you mean `api`?",
        "line": 21,
        "message": "there is no Backend `default/ap`",
        "severity": "error"
      },
      {
        "code": "EK0010",
        "column": 5,
        "file": "gateway.yaml",
        "help": "known fields: `name`, `matches`, `filters`, `backendRefs`, `timeouts` or `retry`",
        "line": 22,
        "message": "the rule has no field `colour`",
        "severity": "error"
      }
    ]
    "##);
}

#[test]
fn colours_are_there_only_if_asked_for() {
    let mistakes = mistakes("a: [");
    assert!(mistakes.render(true).contains("\u{1b}["));
    assert!(!mistakes.render(false).contains('\u{1b}'));
}

#[test]
fn text_of_a_file_cannot_steer_the_terminal() {
    let rendered = mistakes("\"\\e[31mred\": 1\nkind: \"\\e]0;x\\a\"\napiVersion: v1\n").render(false);
    assert!(
        !rendered.contains('\u{1b}') && !rendered.contains('\u{7}'),
        "{rendered}"
    );
}

#[test]
fn millions_of_mistakes_are_counted_and_not_kept() {
    let strangers: String = (0..2000).map(|n| format!("field{n}: 1\n")).collect();
    let mistakes = mistakes(&format!("{strangers}{GATEWAY}"));
    assert_eq!((mistakes.list().len(), mistakes.errors()), (500, 2000));
    assert!(
        mistakes
            .render(false)
            .ends_with("2000 errors (the last 1500 are not shown)\n")
    );
}

#[test]
fn files_that_are_too_large_are_refused_unread() {
    assert_eq!(codes(&mistakes(&" ".repeat((64 << 20) + 1))), ["EK0004"]);
    assert_eq!(codes(&mistakes(&"--- a\n".repeat(100_001))), ["EK0004"]);
    assert_eq!(codes(&mistakes(&"[".repeat(5000))), ["EK0001"]);
    let bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned()
        + &(b'b'..b'k').map(char::from).fold(String::new(), |text, c| {
            let before = char::from(c as u8 - 1);
            text + &format!("{c}: &{c} [{}]\n", vec![format!("*{before}"); 9].join(", "))
        });
    assert_eq!(codes(&mistakes(&bomb)), ["EK0001"]);
}

#[test]
fn a_line_too_long_to_be_shown_is_named_by_its_place() {
    let long = format!("# first\nkind: Gateway # {}\n", "x".repeat(1 << 20));
    let rendered = mistakes(&long).render(false);
    assert!(rendered.contains("gateway.yaml:2:1"), "{rendered}");
    assert!(rendered.len() < 1000);
}

#[test]
fn an_empty_configuration_is_answered_with_one_to_write() {
    assert_eq!(codes(&mistakes("# nothing\n---\n")), ["EK0030"]);
    let none = read(&[], &ReadOptions::default()).expect_err("there is no Gateway");
    assert!(none.render(false).contains("kind: Gateway"));
}

#[test]
fn the_address_given_to_run_is_explained_where_it_is_wrong() {
    let listen = "127.0.0.1:8080".parse().expect("an address");
    let wrong = [
        "https://a:1",
        "ftp://a",
        "http://a/b?c",
        "http://a:0",
        "a",
        "http://",
        "http://[::1",
        "a:99999",
        "http://a b:1",
    ];
    let codes: Vec<_> = wrong
        .map(|to| codes(&config::single(to, listen).expect_err(to)))
        .concat();
    assert_eq!(
        codes,
        [
            "EK0026", "EK0014", "EK0014", "EK0021", "EK0021", "EK0021", "EK0021", "EK0021", "EK0021"
        ]
    );
    let https = config::single("https://shop.example:8443", listen).expect_err("TLS comes later");
    insta::assert_snapshot!(https.render(false), @r##"
    error[EK0026]: `https` is not supported yet
     --> --to:1:1
      |
    1 | https://shop.example:8443
      | ^^^^^
      |
      = help: TLS to backends comes in a later release; use `http://`

    1 error
    "##);
}

#[test]
fn each_code_has_a_number_of_its_own_and_an_explanation() {
    let mut numbers: Vec<_> = Code::ALL.iter().map(|code| code.number()).collect();
    assert!(numbers.is_sorted());
    numbers.dedup();
    assert_eq!(numbers.len(), Code::ALL.len());
    assert!(Code::ALL.iter().all(|code| code.explain().ends_with('.')));
}
