//! Configuration texts, put together from their parts.

use std::net::SocketAddr;

/// A Gateway on 127.0.0.1 with one HTTP listener.
pub(crate) fn gateway(port: u16) -> String {
    gateway_with(&format!("  - {{name: http, protocol: HTTP, port: {port}}}\n"))
}

/// A Gateway on 127.0.0.1 with these listeners (YAML list items, indented by two).
pub(crate) fn gateway_with(listeners: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: edge}}\nspec:\n  \
         gatewayClassName: evenkeel\n  addresses: [{{type: IPAddress, value: 127.0.0.1}}]\n  listeners:\n{listeners}---\n"
    )
}

/// An HTTPRoute of the Gateway with these rules (YAML list items, indented by two).
pub(crate) fn route(name: &str, rules: &str) -> String {
    route_for(name, "[]", rules)
}

/// The same for these hostnames (a YAML list).
pub(crate) fn route_for(name: &str, hostnames: &str, rules: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}}}\nspec:\n  \
         parentRefs: [{{name: edge}}]\n  hostnames: {hostnames}\n  rules:\n{rules}---\n"
    )
}

/// A rule that sends every path to one Backend.
pub(crate) fn to(backend: &str) -> String {
    format!("  - backendRefs: [{}]\n", reference(backend))
}

/// A reference to a Backend.
pub(crate) fn reference(backend: &str) -> String {
    format!("{{group: evenkeel.dev, kind: Backend, name: {backend}}}")
}

/// The same with a weight.
pub(crate) fn weighted(backend: &str, weight: u32) -> String {
    format!("{{group: evenkeel.dev, kind: Backend, name: {backend}, weight: {weight}}}")
}

/// A Backend with these endpoints.
pub(crate) fn backend(name: &str, endpoints: &[SocketAddr]) -> String {
    let endpoints: String = endpoints
        .iter()
        .map(|at| format!("  - {{ip: {{address: {}, port: {}}}}}\n", at.ip(), at.port()))
        .collect();
    format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Backend\nmetadata: {{name: {name}}}\nspec:\n  endpoints:\n{endpoints}---\n"
    )
}

/// A BackendTrafficPolicy for a Backend; `spec` are its other lines, indented by two.
pub(crate) fn policy(backend: &str, spec: &str) -> String {
    format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: BackendTrafficPolicy\nmetadata: {{name: {backend}-policy}}\nspec:\n  \
         targetRefs: [{}]\n{spec}---\n",
        reference(backend)
    )
}

/// A route on `port` with these rules, and the Backend `app` for them, with these endpoints.
pub(crate) fn ruled(port: u16, rules: &str, endpoints: &[SocketAddr]) -> String {
    gateway(port) + &route("all", rules) + &backend("app", endpoints)
}

/// Everything on `port` to one Backend, `app`, with a policy if `spec` is not empty.
pub(crate) fn simple(port: u16, upstream: SocketAddr, spec: &str) -> String {
    let policy = if spec.is_empty() {
        String::new()
    } else {
        policy("app", spec)
    };
    ruled(port, &to("app"), &[upstream]) + &policy
}
