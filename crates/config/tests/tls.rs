//! HTTPS listeners: where their certificates come from, and what is said of each that is broken.

mod common;

use std::collections::BTreeMap;
use std::path::PathBuf;

use common::{BACKEND, ROUTE, codes, source};
use config::model::Model;
use config::{Code, FileReader, Mistakes, ReadOptions, Unreadable, changes, read};
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};

/// A certificate for these names and its key, in PEM.
fn made(names: &[&str]) -> (String, String) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).expect("a certificate");
    (cert.pem(), signing_key.serialize_pem())
}

fn options(files: &[(&str, &str)]) -> ReadOptions {
    let files: BTreeMap<PathBuf, Vec<u8>> = files
        .iter()
        .map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec()))
        .collect();
    ReadOptions {
        files: FileReader::new(move |path| {
            files.get(path).cloned().ok_or_else(|| Unreadable {
                what: format!("{}: there is no such file", path.display()),
                next: "check the name".to_owned(),
            })
        }),
        now: Some(1_800_000_000),
        ..ReadOptions::default()
    }
}

fn gateway(listeners: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: edge}}\nspec:\n  listeners:\n{listeners}"
    )
}

fn secret(name: &str, (chain, key): &(String, String)) -> String {
    let block = |text: &str| {
        text.lines()
            .map(|line| format!("    {line}\n"))
            .collect::<String>()
    };
    format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\ntype: kubernetes.io/tls\nstringData:\n  tls.crt: \
         |\n{}  tls.key: |\n{}",
        block(chain),
        block(key)
    )
}

fn result(text: &str, files: &[(&str, &str)]) -> Result<Model, Mistakes> {
    let text = format!("{text}---\n{BACKEND}---\n{ROUTE}    backendRefs: [{{name: api}}]\n");
    read(&[source("gateway.yaml", &text)], &options(files))
}

fn wrong(text: &str, files: &[(&str, &str)]) -> Mistakes {
    result(text, files).expect_err("it is wrong")
}

fn messages(mistakes: &Mistakes) -> Vec<&str> {
    mistakes
        .list()
        .iter()
        .map(|mistake| mistake.message.as_str())
        .collect()
}

const BY_SECRET: &str = "  - name: https
    port: 443
    protocol: HTTPS
    hostname: shop.example.com
    tls: {certificateRefs: [{name: shop}]}
";
const BY_FILES: &str = "  - name: https
    port: 443
    protocol: HTTPS
    tls:
      certificateFiles:
      - certFile: /etc/tls/shop.pem
        keyFile: /etc/tls/shop.key
";

#[test]
fn certificates_come_from_secrets_and_from_files() {
    let shop = made(&["shop.example.com"]);
    let model = result(&(gateway(BY_SECRET) + &secret("shop", &shop)), &[]).expect("a model");
    let tls = model.listeners[0].tls.as_ref().expect("TLS");
    assert_eq!(&*tls.certificates[0].name, "Secret default/shop");
    assert_eq!(tls.certificates[0].hostnames, ["shop.example.com"]);
    assert!(model.warnings.is_empty(), "{}", model.warnings);

    let files = [
        ("/etc/tls/shop.pem", shop.0.as_str()),
        ("/etc/tls/shop.key", &shop.1),
    ];
    let model = result(&gateway(BY_FILES), &files).expect("a model");
    let tls = model.listeners[0].tls.as_ref().expect("TLS");
    assert_eq!(&*tls.certificates[0].name, "/etc/tls/shop.pem");
}

#[test]
fn data_is_base64_and_may_be_folded() {
    let (chain, key) = made(&["shop.example.com"]);
    let folded = |text: &str| {
        let letters = base64(text.as_bytes());
        let lines: Vec<&str> = letters
            .as_bytes()
            .chunks(76)
            .map(|line| std::str::from_utf8(line).expect("text"))
            .collect();
        format!("|\n    {}\n", lines.join("\n    "))
    };
    let secret = format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: shop}}\ntype: kubernetes.io/tls\ndata:\n  tls.crt: {}  tls.key: {}",
        folded(&chain),
        folded(&key)
    );
    let model = result(&(gateway(BY_SECRET) + &secret), &[]).expect("a model");
    assert!(model.listeners[0].tls.is_some());
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let held = (0..3).fold(0_u32, |held, at| {
            held << 8 | u32::from(three.get(at).copied().unwrap_or(0))
        });
        for at in 0..4 {
            let letter = LETTERS[(held >> (18 - 6 * at)) as usize & 63] as char;
            text.push(if at <= three.len() { letter } else { '=' });
        }
    }
    text
}

#[test]
fn every_broken_certificate_is_told_at_once_with_the_file_it_is_in() {
    let (chain, _) = made(&["shop.example.com"]);
    let (_, other_key) = made(&["other.example.com"]);
    let text = gateway(
        "  - name: absent
    port: 443
    protocol: HTTPS
    hostname: a.example.com
    tls: {certificateRefs: [{name: sohp}]}
  - name: files
    port: 443
    protocol: HTTPS
    hostname: b.example.com
    tls:
      certificateFiles:
      - {certFile: /etc/tls/shop.epm, keyFile: /etc/tls/shop.yek}
      - {certFile: /etc/tls/shop.pem, keyFile: /etc/tls/other.key}
      - {certFile: /etc/tls/other.key, keyFile: /etc/tls/shop.pem}
  - name: opaque
    port: 443
    protocol: HTTPS
    hostname: c.example.com
    tls: {certificateRefs: [{name: opaque}, {name: empty}]}
  - {name: bare, port: 444, protocol: HTTPS}
  - {name: none, port: 445, protocol: HTTPS, tls: {}}
  - {name: plain, port: 80, protocol: HTTP, tls: {certificateRefs: [{name: opaque}]}}
---
apiVersion: v1
kind: Secret
metadata: {name: opaque}
stringData: {a: b}
---
apiVersion: v1
kind: Secret
metadata: {name: empty}
type: kubernetes.io/tls
data: {tls.crt: '-----BEGIN CERTIFICATE-----'}
",
    );
    let files = [
        ("/etc/tls/shop.pem", chain.as_str()),
        ("/etc/tls/other.key", &other_key),
    ];
    let mistakes = wrong(&text, &files);
    assert_eq!(
        messages(&mistakes),
        [
            "there is no Secret `default/sohp`",
            "/etc/tls/shop.epm: there is no such file",
            "/etc/tls/shop.yek: there is no such file",
            "/etc/tls/other.key is not the key of the first certificate in /etc/tls/shop.pem, which is `CN=rcgen self signed cert`",
            "/etc/tls/other.key has no certificate, only a private key",
            "/etc/tls/shop.pem has no private key, only a certificate",
            "the Secret `default/opaque` is of type `Opaque`, not `kubernetes.io/tls`",
            "the Secret `default/empty` has no `tls.key`",
            "`tls.crt` of Secret `default/empty` is not base64",
            "a listener of `protocol: HTTPS` needs `tls`",
            "this listener has no certificate",
            "a listener of `protocol: HTTP` speaks no TLS",
        ]
    );
    let key_lines: Vec<&str> = other_key.lines().filter(|line| line.len() > 40).collect();
    let shown = mistakes.render(false);
    assert!(
        !key_lines.iter().any(|line| shown.contains(line)),
        "no key is shown"
    );
}

#[test]
fn what_a_secret_holds_is_shown_nowhere() {
    let shop = made(&["shop.example.com"]);
    let mut broken = shop.clone();
    broken.1 = made(&["shop.example.com"]).1;
    let shown = wrong(&(gateway(BY_SECRET) + &secret("shop", &broken)), &[]).render(false);
    let secret_lines = |key: &str| {
        key.lines()
            .filter(|line| line.len() > 40)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert!(
        secret_lines(&broken.1).iter().all(|line| !shown.contains(line)),
        "{shown}"
    );
    let model = result(&(gateway(BY_SECRET) + &secret("shop", &shop)), &[]).expect("a model");
    let dump = model.dump.to_json().to_string();
    assert!(dump.contains("[redacted]"));
    assert!(
        secret_lines(&shop.1).iter().all(|line| !dump.contains(line)),
        "{dump}"
    );
    assert!(!format!("{model:?}").contains("PRIVATE"), "Debug shows no key");
}

#[test]
fn a_secret_of_another_namespace_needs_a_grant() {
    let shop = made(&["shop.example.com"]);
    let secret = secret("shop", &shop).replace("{name: shop}", "{name: shop, namespace: certs}");
    let listeners = BY_SECRET.replace("{name: shop}", "{name: shop, namespace: certs}");
    let text = gateway(&listeners) + &secret;
    let mistakes = wrong(&text, &[]);
    assert_eq!(codes(&mistakes), ["EK0034"]);
    let help = mistakes.list()[0].help.clone().expect("help");
    let grant = help.split_once('\n').expect("an example").1;
    let text = format!("{text}---\n{grant}\n");
    let model = result(&text, &[]).expect("the help's grant is enough");
    assert!(model.listeners[0].tls.is_some());
}

#[test]
fn listeners_of_one_address_speak_one_protocol_and_may_have_different_certificates() {
    let listeners = "  - {name: http, port: 443, protocol: HTTP, hostname: a.test}\n".to_owned() + BY_FILES;
    let shop = made(&["shop.example.com"]);
    let files = [
        ("/etc/tls/shop.pem", shop.0.as_str()),
        ("/etc/tls/shop.key", &shop.1),
    ];
    assert_eq!(codes(&wrong(&gateway(&listeners), &files)), ["EK0039"]);

    let listeners = BY_SECRET.replace("name: https", "name: first") + BY_FILES;
    let text = gateway(&listeners) + &secret("shop", &made(&["shop.example.com"]));
    let model = result(&text, &files).expect("a model");
    assert_eq!(
        model
            .listeners
            .iter()
            .filter(|listener| listener.tls.is_some())
            .count(),
        2
    );
}

#[test]
fn a_certificate_that_is_not_for_the_hostname_is_warned_of() {
    let text = gateway(BY_SECRET) + &secret("shop", &made(&["www.example.com"]));
    let model = result(&text, &[]).expect("only a warning");
    let warning = &model.warnings.list()[0];
    assert_eq!(warning.code, Code::NameMismatch);
    assert_eq!(
        warning.help.as_deref(),
        Some("its certificates are for www.example.com")
    );
}

#[test]
fn a_renewed_certificate_is_a_change_of_its_own() {
    let of = |certificate: &(String, String)| {
        let files = [
            ("/etc/tls/shop.pem", certificate.0.as_str()),
            ("/etc/tls/shop.key", &certificate.1),
        ];
        result(&gateway(BY_FILES), &files).expect("a model")
    };
    let (old, new) = (made(&["shop.example.com"]), made(&["shop.example.com"]));
    assert_eq!(
        changes(&of(&old), &of(&new)),
        ["certificate /etc/tls/shop.pem changed"]
    );
    assert!(changes(&of(&old), &of(&old)).is_empty());
}

#[test]
fn versions_that_leave_nothing_are_a_mistake() {
    let policy = "---
apiVersion: evenkeel.dev/v1alpha1
kind: ClientTrafficPolicy
metadata: {name: tls}
spec:
  targetRefs: [{kind: Gateway, name: edge}]
  tls: {minVersion: \"1.3\", maxVersion: \"1.2\", alpnProtocols: [h2]}
";
    let shop = made(&["shop.example.com"]);
    let text = gateway(BY_SECRET) + &secret("shop", &shop) + policy;
    assert_eq!(codes(&wrong(&text, &[])), ["EK0027", "EK0026"]);
}

#[test]
fn a_key_of_another_kind_is_no_match() {
    let (chain, _) = made(&["a.test"]);
    let key = KeyPair::generate_for(&rcgen::PKCS_ED25519)
        .expect("a key")
        .serialize_pem();
    let files = [("/etc/tls/shop.pem", chain.as_str()), ("/etc/tls/shop.key", &key)];
    assert_eq!(codes(&wrong(&gateway(BY_FILES), &files)), ["EK0044"]);
}
