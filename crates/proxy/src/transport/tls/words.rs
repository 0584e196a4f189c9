//! What rustls says, in the words of the log.

use std::borrow::Cow;

use policy::outcome::TlsFault;
use rustls::{
    AlertDescription, CertificateError, CipherSuite, Error, PeerIncompatible, ProtocolVersion,
    SupportedCipherSuite,
};

/// Why TLS failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reason {
    /// A whole sentence that says what was wrong.
    pub(crate) what: &'static str,
    /// More of it, as a sentence or nothing.
    pub(crate) more: Cow<'static, str>,
}

/// The sentence of an error; `name` is the one that the client asked for.
#[cold]
pub(super) fn reason(error: &Error, name: Option<&str>) -> Reason {
    let plain = |what| Reason {
        what,
        more: "".into(),
    };
    match error {
        Error::General(text) if text.starts_with("no server certificate chain resolved") => Reason {
            what: "No HTTPS listener of this address is for the name that the client asked for.",
            more: match name {
                Some(name) => format!("It asked for '{}'.", shown(name)).into(),
                None => "It asked for none (no SNI).".into(),
            },
        },
        Error::PeerIncompatible(why) => incompatible(why),
        Error::NoApplicationProtocol => {
            plain("The client and this listener share no protocol (ALPN): the listener speaks http/1.1.")
        }
        Error::AlertReceived(alert) => alert_received(*alert),
        Error::DecryptError => plain("A TLS record of the client could not be decrypted."),
        Error::InvalidMessage(why) => Reason {
            what: "What the client sent is not TLS, or malformed.",
            more: format!("rustls: {why:?}.").into(),
        },
        Error::PeerMisbehaved(why) => Reason {
            what: "The client broke a rule of TLS.",
            more: format!("rustls: {why:?}.").into(),
        },
        other => Reason {
            what: "The TLS handshake failed.",
            more: format!("rustls: {other}.").into(),
        },
    }
}

fn incompatible(why: &PeerIncompatible) -> Reason {
    let what = match why {
        PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled
        | PeerIncompatible::Tls13RequiredForQuic
        | PeerIncompatible::SupportedVersionsExtensionRequired
        | PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig => {
            "The client and this listener share no version of TLS."
        }
        PeerIncompatible::NoCipherSuitesInCommon => "The client and this listener share no cipher suite.",
        PeerIncompatible::NoKxGroupsInCommon | PeerIncompatible::NamedGroupsExtensionRequired => {
            "The client and this listener share no key exchange."
        }
        PeerIncompatible::NoSignatureSchemesInCommon
        | PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon
        | PeerIncompatible::SignatureAlgorithmsExtensionRequired => {
            "The client accepts no signature that the certificate's key can make."
        }
        _ => "The client and this listener share no way to speak TLS.",
    };
    Reason {
        what,
        more: format!("rustls: {why:?}.").into(),
    }
}

/// Why the handshake with an endpoint failed: for the table of failures, and in words for the operational log.
#[cold]
pub(super) fn fault(error: &Error) -> (TlsFault, String) {
    let fault = match error {
        Error::InvalidCertificate(why) => match why {
            // An authority of the same name with another key is another one.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => TlsFault::UnknownAuthority,
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsFault::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                TlsFault::NotYetValid
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                TlsFault::WrongName
            }
            _ => TlsFault::BadCertificate,
        },
        Error::InvalidMessage(_) => TlsFault::NotTls,
        Error::PeerIncompatible(_) | Error::NoApplicationProtocol => TlsFault::NothingShared,
        Error::AlertReceived(AlertDescription::ProtocolVersion | AlertDescription::NoApplicationProtocol) => {
            TlsFault::NothingShared
        }
        Error::AlertReceived(_) => TlsFault::Alert,
        _ => TlsFault::Other,
    };
    (fault, format!("the TLS handshake failed: {error}"))
}

fn alert_received(alert: AlertDescription) -> Reason {
    let what = match alert {
        AlertDescription::UnknownCA => "The client does not know the authority that issued the certificate.",
        AlertDescription::CertificateExpired => "The client refused the certificate as expired.",
        AlertDescription::CertificateRevoked => "The client refused the certificate as revoked.",
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate => "The client refused the certificate.",
        AlertDescription::ProtocolVersion => "The client speaks no version of TLS that this listener speaks.",
        AlertDescription::UserCanceled => "The client gave the handshake up.",
        _ => "The client ended the handshake with an alert.",
    };
    Reason {
        what,
        more: format!("Its alert: {alert:?}.").into(),
    }
}

/// A stranger's name, cut to what a line bears.
fn shown(name: &str) -> String {
    name.chars()
        .filter(|letter| letter.is_ascii_graphic() && *letter != '\'')
        .take(100)
        .collect()
}

/// What a connection speaks. Small, since every record of an exchange has one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spoken {
    /// Places in the tables below; 0 in the first is no TLS.
    version: u8,
    cipher: u8,
}

/// Versions as Envoy's log has them.
const VERSIONS: [&str; 4] = ["", "-", "TLSv1.2", "TLSv1.3"];

/// Cipher suites by OpenSSL's names, as Envoy's log has them.
const CIPHERS: [(CipherSuite, &str); 10] = [
    (CipherSuite::TLS_NULL_WITH_NULL_NULL, "-"),
    (CipherSuite::TLS13_AES_128_GCM_SHA256, "TLS_AES_128_GCM_SHA256"),
    (CipherSuite::TLS13_AES_256_GCM_SHA384, "TLS_AES_256_GCM_SHA384"),
    (
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
        "TLS_CHACHA20_POLY1305_SHA256",
    ),
    (
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-ECDSA-AES128-GCM-SHA256",
    ),
    (
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-ECDSA-AES256-GCM-SHA384",
    ),
    (
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        "ECDHE-ECDSA-CHACHA20-POLY1305",
    ),
    (
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-RSA-AES128-GCM-SHA256",
    ),
    (
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-RSA-AES256-GCM-SHA384",
    ),
    (
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        "ECDHE-RSA-CHACHA20-POLY1305",
    ),
];

impl Spoken {
    pub(super) fn of(version: Option<ProtocolVersion>, suite: Option<SupportedCipherSuite>) -> Self {
        let version = match version {
            Some(ProtocolVersion::TLSv1_3) => 3,
            Some(ProtocolVersion::TLSv1_2) => 2,
            _ => 1,
        };
        let suite = suite.map(|suite| suite.suite());
        let cipher = CIPHERS.iter().position(|(known, _)| Some(*known) == suite);
        Self {
            version,
            cipher: cipher.and_then(|place| u8::try_from(place).ok()).unwrap_or(0),
        }
    }

    /// Whether it is TLS at all.
    pub(crate) fn is_tls(self) -> bool {
        self.version > 0
    }

    /// The version, by Envoy's name; `-` before there is one.
    pub(crate) fn version(self) -> &'static str {
        VERSIONS[usize::from(self.version)]
    }

    /// The cipher suite, by OpenSSL's name; `-` before there is one.
    pub(crate) fn cipher(self) -> &'static str {
        CIPHERS[usize::from(self.cipher)].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cipher_that_is_spoken_has_a_name() {
        for suite in rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES {
            assert_ne!(Spoken::of(None, Some(*suite)).cipher(), "-", "{suite:?}");
        }
    }

    #[test]
    fn a_strangers_name_is_cut_to_what_a_line_bears() {
        assert_eq!(shown("a.te'st\n"), "a.test");
        assert_eq!(shown(&"x".repeat(300)).len(), 100);
    }
}
