use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PKCS_ED25519};

use super::*;

const NOW: i64 = 1_800_000_000;
const DAY: i64 = 24 * 3600;

/// A certificate for some names, valid for so many days around `NOW`, with its key, in PEM.
fn made(names: &[&str], days: std::ops::Range<i64>) -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let certificate = params(names, days).self_signed(&key).expect("a certificate");
    (certificate.pem(), key.serialize_pem())
}

fn params(names: &[&str], days: std::ops::Range<i64>) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names");
    let day = |days: i64| {
        let date = date(NOW + days * DAY);
        let parts: Vec<i32> = date
            .split('-')
            .map(|part| part.parse().expect("a number"))
            .collect();
        rcgen::date_time_ymd(parts[0], parts[1] as u8, parts[2] as u8)
    };
    (params.not_before, params.not_after) = (day(days.start), day(days.end));
    params
}

fn read_all(chain: &str, key: &str) -> (Option<Certificate>, Vec<(Code, String)>) {
    let written = Written {
        chain: chain.as_bytes(),
        chain_name: "site.pem",
        key: key.as_bytes(),
        key_name: "key.pem",
    };
    let mut complaints = Vec::new();
    let certificate = read("site.pem", written, Some(NOW), &mut complaints);
    let told = complaints.into_iter().map(|one| (one.code, one.message));
    (certificate, told.collect())
}

#[test]
fn a_chain_and_its_key_are_read() {
    let (chain, key) = made(&["Shop.example.com", "*.example.com", "192.0.2.1"], -1..90);
    let (certificate, told) = read_all(&chain, &key);
    assert_eq!(told, []);
    let certificate = certificate.expect("a certificate");
    assert_eq!(
        certificate.hostnames,
        ["shop.example.com", "*.example.com", "192.0.2.1"]
    );
    assert_eq!(certificate.not_after, (NOW + 90 * DAY).div_euclid(DAY) * DAY);
    for name in [
        "shop.example.com",
        "SHOP.example.com",
        "other.example.com",
        "192.0.2.1",
    ] {
        assert!(certificate.covers(name), "{name}");
    }
    for name in ["example.com", "a.b.example.com", "example.org"] {
        assert!(!certificate.covers(name), "{name}");
    }
}

#[test]
fn keys_of_every_form_and_kind_are_read() {
    let rsa = "-----BEGIN RSA PRIVATE KEY-----";
    let ed25519 = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
    let certificate = params(&["a"], -1..90)
        .self_signed(&ed25519)
        .expect("a certificate");
    let (certificate, told) = read_all(&certificate.pem(), &ed25519.serialize_pem());
    assert!(certificate.is_some(), "{told:?}");
    // A form that rcgen does not write is at least told apart from no key.
    let (none, told) = read_all(
        &made(&["a"], -1..90).0,
        &format!("{rsa}\nAAAA\n-----END RSA PRIVATE KEY-----\n"),
    );
    assert!(none.is_none());
    assert_eq!(told[0].0, Code::BadCertificate);
    assert!(told[0].1.starts_with("key.pem cannot be used"), "{told:?}");
}

#[test]
fn what_is_broken_is_told_of_both_texts_at_once() {
    let (none, told) = read_all(
        "no certificate",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    assert!(none.is_none());
    let messages: Vec<&str> = told.iter().map(|(_, message)| message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "site.pem has no certificate",
            "key.pem is encrypted with a passphrase, and nobody is here to type it"
        ]
    );
}

#[test]
fn chain_and_key_that_are_exchanged_are_told_apart() {
    let (chain, key) = made(&["a"], -1..90);
    let (_, told) = read_all(&key, &chain);
    let messages: Vec<&str> = told.iter().map(|(_, message)| message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "site.pem has no certificate, only a private key",
            "key.pem has no private key, only a certificate"
        ]
    );
}

#[test]
fn a_text_that_is_cut_short_or_no_base64_is_no_pem() {
    let (chain, key) = made(&["a"], -1..90);
    let cut = &chain[..chain.len() - 30];
    assert!(
        read_all(cut, &key).1[0]
            .1
            .contains("`-----END CERTIFICATE-----` is missing")
    );
    let spoilt = chain.replacen("MII", "M!I", 1);
    assert!(
        read_all(&spoilt, &key).1[0].1.contains("not base64"),
        "{:?}",
        read_all(&spoilt, &key).1
    );
    let broken = chain.replacen("MII", "MIJ", 1);
    assert!(
        read_all(&broken, &key).1[0]
            .1
            .starts_with("certificate 1 of site.pem is broken")
    );
}

#[test]
fn another_certificates_key_is_refused() {
    let ((chain, _), (_, key)) = (made(&["a"], -1..90), made(&["a"], -1..90));
    let (none, told) = read_all(&chain, &key);
    assert!(none.is_none());
    assert_eq!(told[0].0, Code::KeyMismatch);
    assert!(
        told[0]
            .1
            .starts_with("key.pem is not the key of the first certificate in site.pem")
    );
}

#[test]
fn what_clients_refuse_for_its_date_is_told_and_presented_all_the_same() {
    for (days, begin) in [
        (-90..-3, "site.pem expired 3 days ago, on "),
        (2..90, "site.pem is not valid yet, but in 1 day, from "),
        (-90..20, "site.pem expires in 19 days, on "),
    ] {
        let (chain, key) = made(&["a"], days);
        let (certificate, told) = read_all(&chain, &key);
        assert!(certificate.is_some());
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].0, Code::CertificateExpiry);
        assert!(told[0].1.starts_with(begin), "{}", told[0].1);
    }
}

#[test]
fn certificates_out_of_order_are_told() {
    let authority = |name: &str| {
        let mut params = params(&[], -1..900);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority")
    };
    let (issuer, other) = (authority("issuer"), authority("other"));
    let key = KeyPair::generate().expect("a key");
    let leaf = params(&["a"], -1..90)
        .signed_by(&key, &issuer)
        .expect("a certificate");
    let right = leaf.pem() + &issuer.as_ref().pem();
    assert_eq!(read_all(&right, &key.serialize_pem()).1, []);
    let wrong = leaf.pem() + &other.as_ref().pem();
    let (certificate, told) = read_all(&wrong, &key.serialize_pem());
    assert!(certificate.is_some());
    assert_eq!(told[0].0, Code::ChainOrder);
    let exchanged = issuer.as_ref().pem() + &leaf.pem();
    assert_eq!(
        read_all(&exchanged, &key.serialize_pem()).1[0].0,
        Code::KeyMismatch
    );
}
