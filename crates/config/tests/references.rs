//! What refers to something else: Gateways, Backends, policies, and what is there twice.

mod common;

use common::{BACKEND, codes, mistakes, source, with_rule};
use config::{ReadOptions, read};

#[test]
fn references_that_lead_nowhere_are_reported_with_what_is_there() {
    let text = "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  listeners:
  - {name: public, port: 80, protocol: HTTP, hostname: '*.example.com'}
  - {name: again, port: 80, protocol: HTTP, hostname: '*.example.com'}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: a}
spec:
  parentRefs:
  - {name: edge, sectionName: pubilc}
  - {name: edge, port: 81}
  rules:
  - backendRefs: [{name: api, namespace: other}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: b, namespace: team}
spec:
  parentRefs: [{name: edge, namespace: default}]
  rules: [{backendRefs: [{name: api}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: c}
spec:
  hostnames: [example.org]
  rules: [{name: one, backendRefs: [{kind: Service, name: api, port: 8080}]}]
---
apiVersion: evenkeel.dev/v1alpha1
kind: Backend
metadata: {name: api, namespace: other}
spec: {endpoints: [{fqdn: {hostname: api.internal, port: 80}}]}
---
apiVersion: evenkeel.dev/v1alpha1
kind: BackendTrafficPolicy
metadata: {name: p}
spec:
  targetRefs:
  - {kind: HTTPRoute, name: c, sectionName: two}
  - {kind: HTTPRoute, name: a}
  - {kind: Gateway, name: egde}
---
apiVersion: evenkeel.dev/v1alpha1
kind: BackendTrafficPolicy
metadata: {name: q}
spec:
  targetRef: {kind: HTTPRoute, name: a}
";
    insta::assert_snapshot!(mistakes(text).render(false), @r"
    error[EK0039]: two listeners take *.example.com on 0.0.0.0:80
     --> gateway.yaml:7:6
      |
    6 |   - {name: public, port: 80, protocol: HTTP, hostname: '*.example.com'}
      |      ---- the first one
    7 |   - {name: again, port: 80, protocol: HTTP, hostname: '*.example.com'}
      |      ^^^^
      |
      = help: give one of them another `port` or `hostname`

    error[EK0031]: Gateway `edge` has no listener `pubilc`
      --> gateway.yaml:14:31
       |
    14 |   - {name: edge, sectionName: pubilc}
       |                               ^^^^^^
       |
       = help: did you mean `public`?

    error[EK0031]: Gateway `edge` has no such listener on port 81
      --> gateway.yaml:15:24
       |
    15 |   - {name: edge, port: 81}
       |                        ^^
       |
       = help: use `80`

    error[EK0034]: `other` does not allow this reference
      --> gateway.yaml:17:42
       |
    17 |   - backendRefs: [{name: api, namespace: other}]
       |                                          ^^^^^
       |
       = help: add a ReferenceGrant there:
               apiVersion: gateway.networking.k8s.io/v1beta1
               kind: ReferenceGrant
               metadata:
                 name: from-default
                 namespace: other
               spec:
                 from:
                 - group: gateway.networking.k8s.io
                   kind: HTTPRoute
                   namespace: default
                 to:
                 - group: evenkeel.dev
                   kind: Backend

    error[EK0038]: Gateway `edge` takes no HTTPRoute of namespace `team`
      --> gateway.yaml:23:23
       |
    23 |   parentRefs: [{name: edge, namespace: default}]
       |                       ^^^^
       |
       = help: set `allowedRoutes.namespaces.from: All` on the listener `public` or `again`

    error[EK0032]: there is no Backend `team/api`
      --> gateway.yaml:24:33
       |
    24 |   rules: [{backendRefs: [{name: api}]}]
       |                                 ^^^
       |
       = help: there is one in namespace `other`

    error[EK0038]: no listener of Gateway `edge` has a hostname of this route
      --> gateway.yaml:28:18
       |
    28 | metadata: {name: c}
       |                  ^
       |
       = help: the listeners take `*.example.com`

    warning[EK0106]: no file says where the Service `default/api` is: requests to it are answered with 500
      --> gateway.yaml:31:44
       |
    31 |   rules: [{name: one, backendRefs: [{kind: Service, name: api, port: 8080}]}]
       |                                            ^^^^^^^
       |
       = help: say it by `--backends api.default:8080=HOST:PORT`, add its EndpointSlices, or refer to a Backend

    error[EK0035]: HTTPRoute `default/c` has no rule called `two`
      --> gateway.yaml:43:45
       |
    43 |   - {kind: HTTPRoute, name: c, sectionName: two}
       |                                             ^^^
       |
       = help: give a rule of the route `name: two`

    error[EK0035]: there is no Gateway `default/egde`
      --> gateway.yaml:45:27
       |
    45 |   - {kind: Gateway, name: egde}
       |                           ^^^^
       |
       = help: did you mean `edge`?

    error[EK0036]: another BackendTrafficPolicy has the same target
      --> gateway.yaml:51:38
       |
    44 |   - {kind: HTTPRoute, name: a}
       |                             - here
    ...
    51 |   targetRef: {kind: HTTPRoute, name: a}
       |                                      ^
       |
       = help: policies are not merged: join the two

    10 errors, 1 warning
    ");
}

#[test]
fn what_a_lost_document_may_hold_is_not_called_missing() {
    let text = with_rule("backendRefs: [{name: gone}]");
    assert_eq!(codes(&mistakes(&text)), ["EK0032"]);
    assert_eq!(codes(&mistakes(&format!("{text}---\na: [\n"))), ["EK0001"]);
    assert_eq!(
        codes(&mistakes(&format!(
            "{text}---\n{}",
            BACKEND.replace("Backend", "Backnd")
        ))),
        ["EK0006"]
    );
}

#[test]
fn a_service_is_answered_with_the_backend_to_write() {
    let text = with_rule("backendRefs: [{name: api, port: 8080}, {kind: Service, name: web}]");
    insta::assert_snapshot!(mistakes(&text).render(false), @r"
    error[EK0033]: this names a Service `default/api`, and there is only a Backend of that name
      --> gateway.yaml:21:31
       |
    21 |     backendRefs: [{name: api, port: 8080}, {kind: Service, name: web}]
       |                               ^^^^
       |
       = help: to refer to the Backend:
               backendRefs:
               - group: evenkeel.dev
                 kind: Backend
                 name: api

    error[EK0012]: a reference to a Service needs `port`
      --> gateway.yaml:21:51
       |
    21 |     backendRefs: [{name: api, port: 8080}, {kind: Service, name: web}]
       |                                                   ^^^^^^^
       |
       = help: add the `port` of the Service; to name a Backend, write `group: evenkeel.dev` and `kind: Backend`

    2 errors
    ");
}

#[test]
fn a_duplicate_in_another_file_is_shown_there() {
    let sources = [
        source("a.yaml", &with_rule("backendRefs: [{name: api}]")),
        source("b.yaml", BACKEND),
    ];
    let mistakes = read(&sources, &ReadOptions::default()).expect_err("api is there twice");
    insta::assert_snapshot!(mistakes.render(false), @r##"
    error[EK0025]: Backend `default/api` is there twice
      --> b.yaml:3:18
       |
     3 | metadata: {name: api}
       |                  ^^^
       |
      ::: a.yaml:10:18
       |
    10 | metadata: {name: api}
       |                  --- the first one
       |
       = help: rename one of them, or remove it

    1 error
    "##);
}

#[test]
fn two_policies_that_mean_one_thing_differently_are_refused() {
    let policy = "---
apiVersion: evenkeel.dev/v1alpha1
kind: BackendTrafficPolicy
metadata: {name: p}
spec:
  targetRefs: [{kind: Backend, name: api}]
  targetRef: {kind: Backend, name: api}
  keepAlive: {idleTimeout: 5s}
  timeout: {http: {connectionIdleTimeout: 6s, perTryTimeout: 2s, requestTimeout: 1s}}
  retry: {perRetry: {timeout: 1s, backOff: {baseInterval: 2s, maxInterval: 1s}}}
";
    let text = with_rule("backendRefs: [{name: api}]") + policy;
    assert_eq!(
        codes(&mistakes(&text)),
        ["EK0108", "EK0024", "EK0024", "EK0027", "EK0024", "EK0027"]
    );
}

#[test]
fn warnings_do_not_refuse_a_configuration() {
    let text = with_rule("backendRefs: [{name: api, port: 80, kind: Backend, weight: 0}]")
        .replace("k8s.io/v1\nkind: HTTPRoute", "k8s.io/v1beta1\nkind: HTTPRoute");
    let model = read(&[source("gateway.yaml", &text)], &ReadOptions::default()).expect("only warnings");
    insta::assert_snapshot!(model.warnings.render_list(false).trim_end(), @r##"
    warning[EK0100]: `gateway.networking.k8s.io/v1beta1` is an old version
      --> gateway.yaml:15:13
       |
    15 | apiVersion: gateway.networking.k8s.io/v1beta1
       |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
       |
       = help: write `gateway.networking.k8s.io/v1`

    warning[EK0102]: every weight is 0: this rule answers with 500
      --> gateway.yaml:21:5
       |
    21 |     backendRefs: [{name: api, port: 80, kind: Backend, weight: 0}]
       |     ^^^^^^^^^^^
       |
       = help: give one of them a `weight` above 0

    warning[EK0101]: `port` has no effect on a Backend
      --> gateway.yaml:21:31
       |
    21 |     backendRefs: [{name: api, port: 80, kind: Backend, weight: 0}]
       |                               ^^^^
       |
       = help: its endpoints have their own; remove it
    "##);
}
