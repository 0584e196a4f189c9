//! Small configurations to make mistakes in.

#![allow(dead_code, reason = "each test file uses some of it")]

use config::{Mistakes, ReadOptions, Source, read};

pub(crate) fn source(name: &str, text: &str) -> Source {
    Source {
        name: name.to_owned(),
        text: text.to_owned(),
    }
}

pub(crate) fn mistakes(text: &str) -> Mistakes {
    read(&[source("gateway.yaml", text)], &ReadOptions::default()).expect_err("this is full of mistakes")
}

pub(crate) fn codes(mistakes: &Mistakes) -> Vec<&'static str> {
    mistakes
        .list()
        .iter()
        .map(|mistake| mistake.code.number())
        .collect()
}

/// A Gateway, a Backend and a route, with room for one more line in the rule.
pub(crate) fn with_rule(lines: &str) -> String {
    let rule: String = lines.lines().map(|line| format!("    {line}\n")).collect();
    format!("{GATEWAY}---\n{BACKEND}---\n{ROUTE}{rule}")
}

pub(crate) const GATEWAY: &str = "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  listeners:
  - {name: http, port: 80, protocol: HTTP}
";
pub(crate) const BACKEND: &str = "apiVersion: evenkeel.dev/v1alpha1
kind: Backend
metadata: {name: api}
spec:
  endpoints:
  - ip: {address: 10.0.0.1, port: 80}
";
pub(crate) const ROUTE: &str = "apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  rules:
  - name: only
";
