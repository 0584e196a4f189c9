//! The certificates of HTTPS listeners: from Secrets, and from files.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::ReadOptions;
use crate::certificate::{self, Complaint, Written};
use crate::mistake::{Code, Report};
use crate::model::{Certificate, ListenerTls};
use crate::node::{Spot, quoted};
use crate::shape::ResourceKind;
use crate::units;

use super::gateway::Gateways;
use super::reference::{Grants, grant_example};
use super::resource::{Resource, Resources};
use super::view::View;

/// The type of Secrets with a certificate.
const TLS_TYPE: &str = "kubernetes.io/tls";

/// Gives every HTTPS listener its certificates.
pub(super) fn resolve(
    resources: &Resources<'_>,
    grants: &Grants,
    options: &ReadOptions,
    gateways: &mut Gateways,
    report: &mut Report,
) {
    let mut certificates = Certificates {
        resources,
        grants,
        options,
        known: BTreeMap::new(),
    };
    for (gateway, resource) in resources.of(ResourceKind::Gateway).enumerate() {
        let listeners = resource.spec.map(|spec| spec.objects("listeners"));
        for (section, listener) in listeners.unwrap_or_default().into_iter().enumerate() {
            if let Some(tls) = certificates.of_listener(listener, resource, report) {
                gateways.secure((gateway, section), &Arc::new(tls));
            }
        }
    }
}

/// All certificates that were read, each once.
struct Certificates<'w, 'a> {
    resources: &'w Resources<'a>,
    grants: &'w Grants,
    options: &'w ReadOptions,
    /// By name; `None` is one that is broken, which has been told.
    known: BTreeMap<String, Option<Arc<Certificate>>>,
}

/// A text of a certificate or key, and what it is called.
struct Text {
    bytes: Vec<u8>,
    name: String,
}

impl Certificates<'_, '_> {
    fn of_listener(
        &mut self,
        listener: View<'_>,
        gateway: &Resource<'_>,
        report: &mut Report,
    ) -> Option<ListenerTls> {
        let protocol = listener.text("protocol")?;
        if protocol != "HTTPS" {
            if listener.has("tls") {
                report
                    .error(
                        Code::Inconsistent,
                        listener.key_spot("tls"),
                        "a listener of `protocol: HTTP` speaks no TLS",
                    )
                    .help("write `protocol: HTTPS`, or remove `tls`");
            }
            return None;
        }
        let Some(tls) = listener.object("tls") else {
            if !listener.has("tls") && !listener.has_strangers() {
                report
                    .error(
                        Code::Missing,
                        listener.value_spot("protocol"),
                        "a listener of `protocol: HTTPS` needs `tls`",
                    )
                    .help(TLS_EXAMPLE);
            }
            return None;
        };
        let (refs, files) = (tls.objects("certificateRefs"), tls.objects("certificateFiles"));
        if refs.is_empty() && files.is_empty() {
            let later = tls.has("options") || tls.text("mode") == Some("Passthrough");
            if !later && !tls.has_strangers() {
                report
                    .error(
                        Code::Missing,
                        listener.key_spot("tls"),
                        "this listener has no certificate",
                    )
                    .help(TLS_EXAMPLE);
            }
            return None;
        }
        let count = refs.len() + files.len();
        let mut certificates: Vec<Arc<Certificate>> = Vec::with_capacity(count);
        certificates.extend(
            refs.into_iter()
                .filter_map(|one| self.by_reference(one, gateway, report)),
        );
        certificates.extend(files.into_iter().filter_map(|one| self.by_files(one, report)));
        if certificates.len() == count {
            check_hostname(listener, &certificates, report);
        }
        (!certificates.is_empty()).then_some(ListenerTls { certificates })
    }

    fn by_reference(
        &mut self,
        view: View<'_>,
        gateway: &Resource<'_>,
        report: &mut Report,
    ) -> Option<Arc<Certificate>> {
        let name = view.word("name")?;
        if let Some(group) = view
            .word("group")
            .filter(|group| !["", "core"].contains(&group.text))
        {
            let message = format!("{} has no kind `Secret`", quoted(group.text));
            report
                .error(Code::SecretNotFound, group.spot, message)
                .help("leave `group` out: Secrets are of the core group");
            return None;
        }
        if view.has("namespace") && view.text("namespace").is_none() {
            return None;
        }
        let namespace = view.text("namespace").unwrap_or(&gateway.namespace);
        let Some(secret) = self.resources.find(ResourceKind::Secret, namespace, name.text) else {
            if report.complete(ResourceKind::Secret) {
                let message = format!("there is no Secret `{namespace}/{}`", name.text);
                let help = self
                    .resources
                    .instead(ResourceKind::Secret, namespace, name.text, report);
                report.error(Code::SecretNotFound, name.spot, message).help(help);
            }
            return None;
        };
        let from = ("Gateway", gateway.namespace.as_str());
        if from.1 != namespace && !self.grants.allow(from, namespace, "Secret", name.text) {
            if report.complete(ResourceKind::ReferenceGrant) {
                let message = format!("`{namespace}` does not allow this reference");
                report
                    .error(Code::NotGranted, view.value_spot("namespace"), message)
                    .help(grant_example(from, namespace, "Secret"));
            }
            return None;
        }
        let called = format!("Secret {}", secret.full_name());
        if let Some(known) = self.known.get(&called) {
            return known.clone();
        }
        let certificate = texts(secret, name.spot, report).and_then(|(chain, key)| {
            // A line of the Secret would be shown, and be the key's.
            self.read(&called, &chain, &key, (name.spot, name.spot), report)
        });
        self.known.insert(called, certificate.clone());
        certificate
    }

    fn by_files(&mut self, view: View<'_>, report: &mut Report) -> Option<Arc<Certificate>> {
        let mut text = |field: &str| {
            let path = view.word(field)?;
            match self.options.files.read(Path::new(path.text)) {
                Ok(bytes) => Some((
                    Text {
                        bytes,
                        name: path.text.to_owned(),
                    },
                    path.spot,
                )),
                Err(why) => {
                    report
                        .error(Code::UnreadableFile, path.spot, why.what)
                        .help(why.next);
                    None
                }
            }
        };
        let (chain, key) = (text("certFile"), text("keyFile"));
        let ((chain, chain_spot), (key, key_spot)) = (chain?, key?);
        let called = format!("{}\0{}", chain.name, key.name);
        if let Some(known) = self.known.get(&called) {
            return known.clone();
        }
        let certificate = self.read(&chain.name.clone(), &chain, &key, (chain_spot, key_spot), report);
        self.known.insert(called, certificate.clone());
        certificate
    }

    fn read(
        &self,
        called: &str,
        chain: &Text,
        key: &Text,
        (chain_spot, key_spot): (Spot, Spot),
        report: &mut Report,
    ) -> Option<Arc<Certificate>> {
        let written = Written {
            chain: &chain.bytes,
            chain_name: &chain.name,
            key: &key.bytes,
            key_name: &key.name,
        };
        let mut complaints = Vec::new();
        let certificate = certificate::read(called, written, self.options.now, &mut complaints);
        for Complaint {
            code,
            of_key,
            message,
            help,
        } in complaints
        {
            let spot = if of_key { key_spot } else { chain_spot };
            report.error(code, spot, message).help(help);
        }
        certificate.map(Arc::new)
    }
}

/// The two texts of a Secret; a mistake for each that is not there.
fn texts(secret: &Resource<'_>, spot: Spot, report: &mut Report) -> Option<(Text, Text)> {
    let root = secret.root?;
    let full_name = secret.full_name();
    let secret_type = root.text("type").unwrap_or("Opaque");
    if secret_type != TLS_TYPE {
        report
            .error(
                Code::SecretNotFound,
                spot,
                format!(
                    "the Secret `{full_name}` is of type {}, not `{TLS_TYPE}`",
                    quoted(secret_type)
                ),
            )
            .also(secret.spot, "this Secret")
            .help(format!("write `type: {TLS_TYPE}`, with `tls.crt` and `tls.key`"));
        return None;
    }
    let (data, plain) = (root.labels("data"), root.labels("stringData"));
    let mut text = |field: &str| {
        let name = format!("`{field}` of Secret `{full_name}`");
        if let Some(text) = plain.get(field) {
            let bytes = text.clone().into_bytes();
            return Some(Text { bytes, name });
        }
        let Some(text) = data.get(field) else {
            report
                .error(Code::Missing, spot, format!("the Secret `{full_name}` has no `{field}`"))
                .also(secret.spot, "this Secret")
                .help("`data` has `tls.crt` and `tls.key`, PEM in base64: `base64 -w0 FILE`; `stringData` takes PEM as it is");
            return None;
        };
        // A folded block has line breaks.
        let letters: String = text
            .chars()
            .filter(|letter| !letter.is_ascii_whitespace())
            .collect();
        let Some(bytes) = units::base64(&letters) else {
            let help = if text.trim_start().starts_with("-----BEGIN") {
                "it is PEM: put it into `stringData` instead of `data`"
            } else {
                "encode it: `base64 -w0 FILE`; `stringData` takes PEM as it is"
            };
            report
                .error(Code::BadBase64, spot, format!("{name} is not base64"))
                .also(secret.spot, "this Secret")
                .help(help);
            return None;
        };
        Some(Text { bytes, name })
    };
    let (chain, key) = (text("tls.crt"), text("tls.key"));
    Some((chain?, key?))
}

/// Warns of a listener whose hostname no certificate is for.
fn check_hostname(listener: View<'_>, certificates: &[Arc<Certificate>], report: &mut Report) {
    let Some(hostname) = listener.word("hostname") else {
        return;
    };
    if certificates.iter().any(|one| one.covers(hostname.text)) {
        return;
    }
    /// More names would bury the sentence.
    const SHOWN: usize = 8;
    let names: Vec<&str> = certificates
        .iter()
        .flat_map(|one| one.hostnames.iter().map(String::as_str))
        .collect();
    let mut shown = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN {
        shown += &format!(" and {} more", names.len() - SHOWN);
    }
    let help = if names.is_empty() {
        "its certificates have no name at all in `subjectAltName`, which is where clients look".to_owned()
    } else {
        format!("its certificates are for {shown}")
    };
    report
        .error(
            Code::NameMismatch,
            hostname.spot,
            format!(
                "no certificate of this listener is for `{}`: clients refuse it",
                hostname.text
            ),
        )
        .help(help);
}

const TLS_EXAMPLE: &str = "name a certificate and its key:
tls:
  certificateFiles:
  - certFile: /etc/letsencrypt/live/example.com/fullchain.pem
    keyFile: /etc/letsencrypt/live/example.com/privkey.pem
or a Secret:
tls:
  certificateRefs:
  - name: example-com";
