//! Whether a private key is the one of a certificate.

use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair,
};
use rustls_pki_types::PrivateKeyDer;

use super::x509::Parsed;
use super::{Complaint, Written};
use crate::mistake::Code;

/// Why a key does not serve a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It is of no kind that is known, or broken.
    Unreadable,
    /// It is another's.
    Other,
}

impl Unfit {
    pub(super) fn complaint(self, written: Written<'_>, leaf: &Parsed) -> Complaint {
        let (key, chain) = (written.key_name, written.chain_name);
        let (code, message, help) = match self {
            Self::Unreadable => (
                Code::BadCertificate,
                format!(
                    "{key} cannot be used: it is broken, or of another kind than RSA (2048 bits or more), ECDSA (P-256, P-384, P-521) and Ed25519"
                ),
                "make one that clients know: `openssl ecparam -name prime256v1 -genkey -noout -out key.pem`, and ask for \
                 a certificate for it",
            ),
            Self::Other => (
                Code::KeyMismatch,
                format!(
                    "{key} is not the key of the first certificate in {chain}, which is `{}`",
                    leaf.subject_words
                ),
                "name the key that the certificate was made with; if the chain's file has an intermediate first, put the \
                 certificate itself before it",
            ),
        };
        Complaint {
            code,
            of_key: true,
            message,
            help: help.to_owned(),
        }
    }
}

/// Whether the certificate is for this key.
pub(super) fn belongs(key: &PrivateKeyDer<'_>, certificate: &Parsed) -> Result<(), Unfit> {
    let public = public(key).ok_or(Unfit::Unreadable)?;
    (public == certificate.public_key)
        .then_some(())
        .ok_or(Unfit::Other)
}

/// The public half, as a certificate has it; `None` of keys that cannot be used.
fn public(key: &PrivateKeyDer<'_>) -> Option<Vec<u8>> {
    let der = key.secret_der();
    let curves = [
        &ECDSA_P256_SHA256_ASN1_SIGNING,
        &ECDSA_P384_SHA384_ASN1_SIGNING,
        &ECDSA_P521_SHA512_ASN1_SIGNING,
    ];
    let ecdsa = || {
        let pair = |curve| EcdsaKeyPair::from_private_key_der(curve, der).ok();
        let pair = curves.into_iter().find_map(pair)?;
        Some(pair.public_key().as_ref().to_vec())
    };
    let rsa = |pair: RsaKeyPair| {
        let large = rsa::KeyPair::public_modulus_len(&pair) >= 256;
        large.then(|| pair.public_key().as_ref().to_vec())
    };
    match key {
        PrivateKeyDer::Pkcs1(_) => rsa(RsaKeyPair::from_der(der).ok()?),
        PrivateKeyDer::Sec1(_) => ecdsa(),
        PrivateKeyDer::Pkcs8(_) => ecdsa()
            .or_else(|| rsa(RsaKeyPair::from_pkcs8(der).ok()?))
            .or_else(|| {
                let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok()?;
                Some(pair.public_key().as_ref().to_vec())
            }),
        _ => None,
    }
}
