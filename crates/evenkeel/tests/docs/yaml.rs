//! Blocks of YAML: each is a configuration without a mistake.

use super::{Block, blocks, evenkeel, succeeds};
use crate::harness::tls::Authority;
use crate::harness::yaml;

/// A part of a resource, in the resource that its first field belongs to.
fn in_its_resource(part: &str) -> String {
    let first = part.split([':', '\n']).next().unwrap_or_default().trim();
    let indented = |by: usize| -> String {
        let by = " ".repeat(by);
        part.lines().map(|line| format!("{by}{line}\n")).collect()
    };
    let policy = |kind: &str, target: &str| {
        let lines = format!("  targetRefs: [{target}]\n{}", indented(2));
        resource("evenkeel.dev/v1alpha1", kind, "part", &lines)
    };
    let of_clients = ["requestHeadersReceivedTimeout", "{idleTimeout", ", idleTimeout"];
    match first {
        "filters" | "matches" | "backendRefs" | "timeouts" => in_a_rule(&indented(4), part),
        "retry" if part.contains("attempts") => in_a_rule(&indented(4), part),
        "hostnames" => {
            let lines = format!("{}  rules:\n{}", indented(2), yaml::to("app"));
            resource("gateway.networking.k8s.io/v1", "HTTPRoute", "part", &lines)
        }
        "listeners" => resource("gateway.networking.k8s.io/v1", "Gateway", "edge", &indented(2)),
        "addresses" => {
            let listeners = "  listeners: [{name: http, protocol: HTTP, port: 8080}]\n";
            let lines = indented(2) + listeners;
            resource("gateway.networking.k8s.io/v1", "Gateway", "edge", &lines)
        }
        "endpoints" | "appProtocols" => resource("evenkeel.dev/v1alpha1", "Backend", "app", &indented(2)),
        "accessLog" => resource("evenkeel.dev/v1alpha1", "Telemetry", "part", &indented(2)),
        "timeout" if of_clients.iter().any(|field| part.contains(field)) => policy(
            "ClientTrafficPolicy",
            "{group: gateway.networking.k8s.io, kind: Gateway, name: edge}",
        ),
        "clientIPDetection" | "headers" | "path" | "proxyProtocol" => policy(
            "ClientTrafficPolicy",
            "{group: gateway.networking.k8s.io, kind: Gateway, name: edge}",
        ),
        "connection" if part.contains("connectionLimit") => policy(
            "ClientTrafficPolicy",
            "{group: gateway.networking.k8s.io, kind: Gateway, name: edge}",
        ),
        "rateLimit" => policy(
            "BackendTrafficPolicy",
            "{group: gateway.networking.k8s.io, kind: HTTPRoute, name: app}",
        ),
        _ => policy(
            "BackendTrafficPolicy",
            "{group: evenkeel.dev, kind: Backend, name: app}",
        ),
    }
}

/// A resource with these lines of its `spec`, indented by two.
fn resource(version: &str, kind: &str, name: &str, lines: &str) -> String {
    format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n{lines}")
}

/// A rule with these lines, indented by four.
fn in_a_rule(lines: &str, part: &str) -> String {
    let answers = part.contains("backendRefs") || part.contains("RequestRedirect");
    let rest = if answers {
        String::new()
    } else {
        format!("    backendRefs: [{}]\n", yaml::reference("app"))
    };
    yaml::route("part", &format!("  - name: part\n{lines}{rest}"))
}

/// A fragment, with what is missing of a whole configuration.
fn completed(text: &str) -> String {
    let text = if text.contains("kind:") {
        text.to_owned()
    } else {
        in_its_resource(text)
    };
    let mut whole = text.clone() + "\n---\n";
    let resources: Vec<&str> = text.split("\n---").collect();
    let has = |kind: &str, name: &str| {
        resources.iter().any(|one| {
            one.contains(&format!("kind: {kind}\n"))
                && (name.is_empty()
                    || one.contains(&format!("name: {name}}}"))
                    || one.contains(&format!("name: {name}\n")))
        })
    };
    if !has("Gateway", "") {
        whole += &yaml::gateway(8080);
    }
    for name in ["app", "api", "cart", "cart-next"] {
        let is_wanted = name == "app" || text.contains(name);
        if is_wanted && !has("Backend", name) {
            whole += &yaml::backend(name, &[([127, 0, 0, 1], 3000).into()]);
        }
    }
    for name in secrets(&text) {
        whole += &Authority::new()
            .issue(&["*.example.com", "shop.example.com"])
            .secret(name);
    }
    if !has("HTTPRoute", "") {
        whole += &yaml::route("app", &yaml::to("app"));
    }
    whole
}

/// The Secrets that a text refers to.
fn secrets(text: &str) -> impl Iterator<Item = &str> {
    let references = text.split("certificateRefs: [{name: ").skip(1);
    references.filter_map(|behind| behind.split('}').next())
}

#[track_caller]
fn is_accepted(block: &Block, text: &str) {
    let arguments = ["check", "-c", "-"].map(str::to_owned);
    let place = format!("{}\n{text}", block.place);
    succeeds(&place, &evenkeel(&arguments, text));
}

/// What a page says evenkeel can not do yet is refused; when it can, the page has to change.
#[track_caller]
fn is_refused(block: &Block, code: &str) {
    let text = completed(&block.text);
    let output = evenkeel(&["check", "-c", "-"].map(str::to_owned), &text);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains(&format!("error[{code}]")),
        "{}: it is not refused with {code}: does the page still hold?\n{said}",
        block.place
    );
}

#[test]
fn every_block_of_yaml_in_the_manual_is_a_configuration_without_a_mistake() {
    let (mut whole, mut fragments) = (0, 0);
    for block in blocks().iter().filter(|block| block.language == "yaml") {
        if let Some(code) = block.mark.strip_prefix("refused: ") {
            is_refused(block, code);
        } else if block.mark == "fragment" {
            fragments += 1;
            is_accepted(block, &completed(&block.text));
        } else {
            whole += 1;
            is_accepted(block, &block.text);
        }
    }
    assert!(
        whole >= 15 && fragments >= 7,
        "{whole} whole, {fragments} fragments"
    );
}

/// Migrations say what each directive becomes: the right-hand side of such a table is loaded as well.
#[test]
fn every_fragment_of_yaml_in_a_table_of_a_migration_is_accepted() {
    for page in ["docs/migrate-from-nginx.md", "docs/migrate-from-haproxy.md"] {
        let page = super::repository().join(page);
        let mut count = 0;
        for (number, line) in super::read(&page).lines().enumerate() {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").collect();
            let [_, becomes, ..] = cells[..] else { continue };
            let spans = becomes.split('`').skip(1).step_by(2);
            // `FIELD: VALUE` is a fragment; a lone name or command is none.
            for span in spans.filter(|span| span.contains(": ")) {
                count += 1;
                let block = Block {
                    place: format!("{}:{}", super::name(&page), number + 1),
                    language: "yaml".to_owned(),
                    mark: "fragment".to_owned(),
                    text: format!("{span}\n"),
                };
                is_accepted(&block, &completed(&block.text));
            }
        }
        assert!(count >= 10, "{}: {count} fragments", page.display());
    }
}
