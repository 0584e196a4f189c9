//! Certificates and their keys: PEM text becomes a chain and a key that are known to belong together.

mod date;
mod key;
mod x509;

use std::net::IpAddr;
use std::sync::Arc;

use rustls_pki_types::pem::{PemObject as _, SectionKind};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::mistake::Code;
pub use date::date;
use date::span;
use x509::Parsed;

/// A certificate chain and its private key, which belong together.
#[derive(Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Where it was read from: `Secret shop/site`, or the path of the chain's file.
    pub name: Arc<str>,
    /// The certificate itself, then those that lead from it towards a root.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its private key. Its `Debug` form shows nothing of it.
    pub key: PrivateKeyDer<'static>,
    /// The DNS names and addresses it is for (`subjectAltName`), in lower case, `*.` for a first label.
    pub hostnames: Vec<String>,
    /// The first second at which one of the chain is no longer valid, counted from 1970 (UTC).
    pub not_after: i64,
}

/// Warnings begin so long before a certificate expires: ACME clients renew 30 days before.
pub const EXPIRY_WARNING_SECONDS: i64 = 21 * 24 * 3600;

/// More certificates in a chain than this are some other file: no public root is ten steps away.
const CHAIN_MAX: usize = 10;

impl Certificate {
    /// Whether it is for this host: one of its names is the same, or the same but for a first label that it
    /// leaves open (RFC 6125, 6.4.3).
    #[must_use]
    pub fn covers(&self, hostname: &str) -> bool {
        let parent = hostname.split_once('.').map(|(_, parent)| parent);
        self.hostnames.iter().any(|name| match name.strip_prefix("*.") {
            Some(rest) => parent.is_some_and(|parent| parent.eq_ignore_ascii_case(rest)),
            None => name.eq_ignore_ascii_case(hostname),
        })
    }
}

/// The two texts that a certificate is read from, with what the operator calls them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written<'a> {
    pub(crate) chain: &'a [u8],
    /// `/etc/tls/site.pem`, or ``data.`tls.crt` of Secret `shop/site` ``.
    pub(crate) chain_name: &'a str,
    pub(crate) key: &'a [u8],
    pub(crate) key_name: &'a str,
}

/// What is wrong with one of the two texts.
#[derive(Debug)]
pub(crate) struct Complaint {
    pub(crate) code: Code,
    /// Of the key's text, not the chain's.
    pub(crate) of_key: bool,
    pub(crate) message: String,
    pub(crate) help: String,
}

/// Reads a chain and its key; `now` counts seconds from 1970, and without it nothing is expired. What is
/// wrong is noted in `complaints`; `None` if an error is among it.
pub(crate) fn read(
    name: &str,
    written: Written<'_>,
    now: Option<i64>,
    complaints: &mut Vec<Complaint>,
) -> Option<Certificate> {
    let chain = chain(written, complaints);
    let key = private_key(written, complaints);
    let (chain, key) = (chain?, key?);
    let parsed: Vec<Parsed> = chain.iter().filter_map(|one| x509::parse(one).ok()).collect();
    let leaf = parsed.first()?;
    if let Err(why) = key::belongs(&key, leaf) {
        complaints.push(why.complaint(written, leaf));
        return None;
    }
    order(written, &parsed, complaints);
    if let Some(now) = now {
        validity(written, &parsed, now, complaints);
    }
    let not_after = parsed.iter().map(|one| one.not_after).min()?;
    let hostnames = leaf.hostnames.clone();
    Some(Certificate {
        name: name.into(),
        chain,
        key,
        hostnames,
        not_after,
    })
}

/// Reads certificates that others are checked by.
pub(crate) fn read_authorities(
    text: &[u8],
    name: &str,
    now: Option<i64>,
    complaints: &mut Vec<Complaint>,
) -> Option<Vec<CertificateDer<'static>>> {
    let written = Written {
        chain: text,
        chain_name: name,
        key: &[],
        key_name: "",
    };
    let all = certificates(written, complaints)?;
    let parsed: Vec<Parsed> = all.iter().filter_map(|one| x509::parse(one).ok()).collect();
    // Of a bundle, one that expires is no news; of a single authority it is.
    if let (Some(now), [only]) = (now, parsed.as_slice()) {
        validity(written, std::slice::from_ref(only), now, complaints);
    }
    Some(all)
}

fn chain(written: Written<'_>, complaints: &mut Vec<Complaint>) -> Option<Vec<CertificateDer<'static>>> {
    let chain = certificates(written, complaints)?;
    if chain.len() > CHAIN_MAX {
        complaints.push(Complaint {
            code: Code::BadCertificate,
            of_key: false,
            message: format!(
                "{} has {} certificates, more than any chain",
                written.chain_name,
                chain.len()
            ),
            help: "write the certificate first, then its intermediates only; no bundle of roots".to_owned(),
        });
        return None;
    }
    Some(chain)
}

fn certificates(
    written: Written<'_>,
    complaints: &mut Vec<Complaint>,
) -> Option<Vec<CertificateDer<'static>>> {
    let name = written.chain_name;
    let mut complain = |message: String, help: &str| {
        complaints.push(Complaint {
            code: Code::BadCertificate,
            of_key: false,
            message,
            help: help.to_owned(),
        });
    };
    let (mut chain, mut others) = (Vec::new(), Vec::new());
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(written.chain) {
        match section {
            Ok((SectionKind::Certificate, der)) => chain.push(CertificateDer::from(der)),
            Ok((other, _)) => others.push(kind_words(other)),
            Err(why) => {
                complain(
                    format!("{name} is not PEM: {}", pem_words(&why)),
                    "each part is base64 between `-----BEGIN CERTIFICATE-----` and `-----END CERTIFICATE-----`",
                );
                return None;
            }
        }
    }
    if chain.is_empty() {
        let what = match others.first() {
            Some(other) => format!("{name} has no certificate, only {other}"),
            None if looks_like_der(written.chain) => format!("{name} is DER, not PEM"),
            None => format!("{name} has no certificate"),
        };
        let help = match others.first() {
            Some(_) => "are chain and key exchanged? The chain begins with `-----BEGIN CERTIFICATE-----`",
            None if looks_like_der(written.chain) => {
                "convert it: `openssl x509 -inform der -in FILE -out chain.pem`"
            }
            None => "write the certificate, then its intermediates, in PEM: `-----BEGIN CERTIFICATE-----` …",
        };
        complain(what, help);
        return None;
    }
    let mut well = true;
    for (at, one) in chain.iter().enumerate() {
        if let Err(why) = x509::parse(one) {
            complain(
                format!("certificate {} of {name} is broken: {why}", at + 1),
                "get it anew from its issuer; `openssl x509 -in FILE -noout -text` shows what can be read",
            );
            well = false;
        }
    }
    well.then_some(chain)
}

fn private_key(written: Written<'_>, complaints: &mut Vec<Complaint>) -> Option<PrivateKeyDer<'static>> {
    let name = written.key_name;
    let mut complain = |message: String, help: &str| {
        complaints.push(Complaint {
            code: Code::BadCertificate,
            of_key: true,
            message,
            help: help.to_owned(),
        });
    };
    let mut others = Vec::new();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(written.key) {
        match section {
            Ok((SectionKind::PrivateKey, der)) => return Some(PrivateKeyDer::Pkcs8(der.into())),
            Ok((SectionKind::RsaPrivateKey, der)) => return Some(PrivateKeyDer::Pkcs1(der.into())),
            Ok((SectionKind::EcPrivateKey, der)) => return Some(PrivateKeyDer::Sec1(der.into())),
            Ok((other, _)) => others.push(kind_words(other)),
            Err(why) => {
                complain(
                    format!("{name} is not PEM: {}", pem_words(&why)),
                    "the key is base64 between `-----BEGIN PRIVATE KEY-----` and `-----END PRIVATE KEY-----`",
                );
                return None;
            }
        }
    }
    let holds = |words: &[u8]| written.key.windows(words.len()).any(|part| part == words);
    if holds(b"BEGIN ENCRYPTED PRIVATE KEY") || holds(b"Proc-Type: 4,ENCRYPTED") {
        complain(
            format!("{name} is encrypted with a passphrase, and nobody is here to type it"),
            "decrypt it: `openssl pkey -in FILE -out key.pem`, and let only evenkeel's user read the result",
        );
        return None;
    }
    let what = match others.first() {
        Some(other) => format!("{name} has no private key, only {other}"),
        None if looks_like_der(written.key) => format!("{name} is DER, not PEM"),
        None => format!("{name} has no private key"),
    };
    let help = match others.first() {
        Some(_) => "are chain and key exchanged? The key begins with `-----BEGIN PRIVATE KEY-----`",
        None if looks_like_der(written.key) => "convert it: `openssl pkey -inform der -in FILE -out key.pem`",
        None => "write the key in PEM: `-----BEGIN PRIVATE KEY-----` …",
    };
    complain(what, help);
    None
}

/// Each certificate is issued by the one behind it (RFC 5246, 7.4.2); RFC 8446 lets clients bear another order,
/// but not all do.
fn order(written: Written<'_>, parsed: &[Parsed], complaints: &mut Vec<Complaint>) {
    let broken = parsed
        .windows(2)
        .position(|pair| pair[0].issuer != pair[1].subject);
    let Some(at) = broken else { return };
    complaints.push(Complaint {
        code: Code::ChainOrder,
        of_key: false,
        message: format!(
            "certificate {} of {} is issued by `{}`, but the one behind it is `{}`",
            at + 1,
            written.chain_name,
            parsed[at].issuer_words,
            parsed[at + 1].subject_words
        ),
        help: "write the certificate first, then the one that issued it, and so on; leave out the root"
            .to_owned(),
    });
}

fn validity(written: Written<'_>, parsed: &[Parsed], now: i64, complaints: &mut Vec<Complaint>) {
    for (at, one) in parsed.iter().enumerate() {
        let which = match at {
            0 => written.chain_name.to_owned(),
            at => format!(
                "certificate {} of {} (`{}`)",
                at + 1,
                written.chain_name,
                one.subject_words
            ),
        };
        let (message, help) = if now >= one.not_after {
            let message = format!(
                "{which} expired {} ago, on {}: clients refuse it",
                span(now - one.not_after),
                date(one.not_after)
            );
            (
                message,
                "renew it; evenkeel takes the new files as soon as they are there",
            )
        } else if now < one.not_before {
            let message = format!(
                "{which} is not valid yet, but in {}, from {} on: clients refuse it",
                span(one.not_before - now),
                date(one.not_before)
            );
            (
                message,
                "check this machine's clock, or wait with the new certificate",
            )
        } else if one.not_after - now < EXPIRY_WARNING_SECONDS {
            let message = format!(
                "{which} expires in {}, on {}",
                span(one.not_after - now),
                date(one.not_after)
            );
            (
                message,
                "renew it; if that should happen by itself, look whether it still does",
            )
        } else {
            continue;
        };
        complaints.push(Complaint {
            code: Code::CertificateExpiry,
            of_key: false,
            message,
            help: help.to_owned(),
        });
    }
}

fn kind_words(kind: SectionKind) -> &'static str {
    match kind {
        SectionKind::Certificate => "a certificate",
        SectionKind::PublicKey => "a public key",
        SectionKind::RsaPrivateKey | SectionKind::PrivateKey | SectionKind::EcPrivateKey => "a private key",
        SectionKind::Crl => "a revocation list",
        SectionKind::Csr => "a certificate request",
        _ => "something else",
    }
}

fn pem_words(why: &rustls_pki_types::pem::Error) -> String {
    use rustls_pki_types::pem::Error;
    match why {
        Error::MissingSectionEnd { end_marker } => {
            format!(
                "the line `-----END {}-----` is missing",
                String::from_utf8_lossy(end_marker)
            )
        }
        Error::IllegalSectionStart { .. } => "a line that begins with `-----BEGIN` is cut short".to_owned(),
        Error::Base64Decode(_) => "what is between two markers is not base64".to_owned(),
        other => other.to_string(),
    }
}

/// A SEQUENCE whose length takes two bytes, as all certificates and keys are.
fn looks_like_der(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x30, 0x82]) || bytes.starts_with(&[0x30, 0x81])
}

/// A name of a certificate for an address.
fn address(bytes: &[u8]) -> Option<String> {
    let address = match bytes.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
        16 => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?),
        _ => return None,
    };
    Some(address.to_string())
}

#[cfg(test)]
mod tests;
