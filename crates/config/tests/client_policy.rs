//! ClientTrafficPolicies: which listeners each of them treats, and what excludes itself.

mod common;

use common::{codes, mistakes, source};
use config::model::Model;
use config::{ReadOptions, read};

const GATEWAYS: &str = "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: public}
spec:
  listeners:
  - {name: web, port: 80, protocol: HTTP}
  - {name: api, port: 81, protocol: HTTP}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: internal}
spec:
  listeners:
  - {name: one, port: 82, protocol: HTTP, hostname: one.test}
  - {name: two, port: 82, protocol: HTTP, hostname: two.test}
";

fn policy(name: &str, targets: &str, hops: u32) -> String {
    format!(
        "---\napiVersion: gateway.envoyproxy.io/v1alpha1\nkind: ClientTrafficPolicy\nmetadata: {{name: {name}}}\nspec:\n  \
         targetRefs: [{targets}]\n  clientIPDetection: {{xForwardedFor: {{numTrustedHops: {hops}}}}}\n"
    )
}

fn with(policies: &str) -> String {
    format!("{GATEWAYS}{policies}")
}

#[track_caller]
fn model(policies: &str) -> Model {
    read(
        &[source("gateway.yaml", &with(policies))],
        &ReadOptions::default(),
    )
    .expect("no mistakes")
}

fn hops(model: &Model) -> Vec<(&str, u32)> {
    model
        .listeners
        .iter()
        .map(|listener| (&*listener.name, listener.downstream.trusted_hops))
        .collect()
}

#[test]
fn a_policy_treats_the_listeners_that_it_names_and_no_others() {
    let internal = model(&policy("a", "{kind: Gateway, name: internal}", 1));
    let expected = [
        ("default/public/web", 0),
        ("default/public/api", 0),
        ("default/internal/one", 1),
        ("default/internal/two", 1),
    ];
    assert_eq!(hops(&internal), expected);
    assert!(internal.warnings.is_empty(), "{:?}", internal.warnings);
}

#[test]
fn the_policy_of_a_listener_beats_that_of_its_gateway_in_any_order() {
    let whole = policy("whole", "{kind: Gateway, name: public}", 2);
    let part = policy("part", "{kind: Gateway, name: public, sectionName: api}", 3);
    for policies in [format!("{whole}{part}"), format!("{part}{whole}")] {
        let expected = [
            ("default/public/web", 2),
            ("default/public/api", 3),
            ("default/internal/one", 0),
            ("default/internal/two", 0),
        ];
        assert_eq!(hops(&model(&policies)), expected);
    }
}

#[test]
fn one_policy_may_name_several_gateways_and_listeners() {
    let targets = "{kind: Gateway, name: internal}, {kind: Gateway, name: public, sectionName: web}";
    let expected = [
        ("default/public/web", 4),
        ("default/public/api", 0),
        ("default/internal/one", 4),
        ("default/internal/two", 4),
    ];
    assert_eq!(hops(&model(&policy("a", targets, 4))), expected);
}

#[test]
fn listeners_that_share_an_address_cannot_differ() {
    let part = policy("part", "{kind: Gateway, name: internal, sectionName: two}", 1);
    insta::assert_snapshot!(mistakes(&with(&part)).render(false), @r"
    error[EK0040]: the listeners `internal/one` and `internal/two` share 0.0.0.0:82, so their clients cannot be treated differently
      --> gateway.yaml:21:61
       |
    15 |   - {name: two, port: 82, protocol: HTTP, hostname: two.test}
       |      ---- one of them
    ...
    21 |   targetRefs: [{kind: Gateway, name: internal, sectionName: two}]
       |                                                             ^^^
       |
       = help: a connection is accepted before its first request names a host: give one of the listeners another `port`, or let the policy target them all

    1 error
    ");
    // Both of them, one by one, are treated alike.
    let other = policy("other", "{kind: Gateway, name: internal, sectionName: one}", 1);
    let expected = [("default/internal/one", 1), ("default/internal/two", 1)];
    assert_eq!(hops(&model(&format!("{part}{other}")))[2..], expected);
    // Gateways share addresses, too.
    let third = "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: third}\nspec:\n  \
                 listeners: [{name: api, port: 81, protocol: HTTP, hostname: third.test}]\n";
    let of_public = policy("a", "{kind: Gateway, name: public}", 1);
    assert_eq!(
        codes(&mistakes(&with(&format!("{third}{of_public}")))),
        ["EK0040"]
    );
}

#[test]
fn what_excludes_itself_or_does_not_exist_is_told() {
    let twice = [
        policy("a", "{kind: Gateway, name: public}", 1),
        policy("b", "{kind: Gateway, name: public}", 2),
        policy("c", "{kind: Gateway, name: public, sectionName: apis}", 2),
        policy("d", "{kind: Gateway, name: publik}", 2),
        policy("e", "{kind: Gateway, name: public, sectionName: Web}", 2),
    ];
    insta::assert_snapshot!(mistakes(&with(&twice.concat())).render(false), @r"
    error[EK0036]: another ClientTrafficPolicy has the same target, Gateway `default/public`
      --> gateway.yaml:28:38
       |
    21 |   targetRefs: [{kind: Gateway, name: public}]
       |                                      ------ here
    ...
    28 |   targetRefs: [{kind: Gateway, name: public}]
       |                                      ^^^^^^
       |
       = help: policies are not merged: join the two, or name one listener by `sectionName`

    error[EK0035]: Gateway `public` has no listener `apis`
      --> gateway.yaml:35:59
       |
    35 |   targetRefs: [{kind: Gateway, name: public, sectionName: apis}]
       |                                                           ^^^^
       |
       = help: did you mean `api`?

    error[EK0035]: there is no Gateway `default/publik`
      --> gateway.yaml:42:38
       |
    42 |   targetRefs: [{kind: Gateway, name: publik}]
       |                                      ^^^^^^
       |
       = help: did you mean `public`?

    error[EK0016]: `Web` is not a name
      --> gateway.yaml:49:59
       |
    49 |   targetRefs: [{kind: Gateway, name: public, sectionName: Web}]
       |                                                           ^^^
       |
       = help: write it in lower case: `web`

    4 errors
    ");
    let both = policy("a", "{kind: Gateway, name: public}", 1).replace(
        "numTrustedHops: 1",
        "numTrustedHops: 1, trustedCIDRs: [10.0.0.0/8]",
    );
    assert_eq!(codes(&mistakes(&with(&both))), ["EK0024"]);
}

#[test]
fn trusted_networks_are_read_and_bits_past_the_prefix_are_noted() {
    let networks = policy("a", "{kind: Gateway, name: public}", 1)
        .replace("numTrustedHops: 1", "trustedCIDRs: [10.1.0.0/8, '2001:db8::/32']");
    let model = model(&networks);
    let expected = [
        ([10, 0, 0, 0].into(), 8),
        ("2001:db8::".parse().expect("an address"), 32),
    ];
    assert_eq!(model.listeners[0].downstream.trusted_networks, expected);
    assert!(model.listeners[2].downstream.trusted_networks.is_empty());
    assert_eq!(model.warnings.list().len(), 1, "{:?}", model.warnings);
}
