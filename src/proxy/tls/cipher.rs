//! The names of cipher suites: IANA's, rustls's and OpenSSL's, for the suites that the crypto provider has.

use std::str::FromStr;

use rustls::CipherSuite as Iana;

use super::CipherSuite;
use crate::base::settings::{Node, Setting, Shape, suggest};

/// Every suite of the provider: the name it is shown by, OpenSSL's name.
const SUITES: [(Iana, &str, &str); 9] = [
    (Iana::TLS13_AES_256_GCM_SHA384, "TLS13_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384"),
    (Iana::TLS13_AES_128_GCM_SHA256, "TLS13_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"),
    (Iana::TLS13_CHACHA20_POLY1305_SHA256, "TLS13_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256"),
    (
        Iana::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
    ),
    (
        Iana::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
    ),
    (
        Iana::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
    ),
    (
        Iana::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
    ),
    (
        Iana::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
    ),
    (
        Iana::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        "ECDHE-RSA-CHACHA20-POLY1305",
    ),
];

impl CipherSuite {
    /// Whether it is a suite of TLS 1.3.
    pub fn is_tls13(self) -> bool {
        SUITES.iter().any(|(suite, name, _)| *suite == self.0 && name.starts_with("TLS13_"))
    }
}

impl FromStr for CipherSuite {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = |name: &str| name.eq_ignore_ascii_case(text);
        if let Some((suite, ..)) = SUITES.iter().find(|(_, iana, openssl)| named(iana) || named(openssl)) {
            return Ok(Self(*suite));
        }
        let names = SUITES.iter().flat_map(|(_, iana, openssl)| [*iana, *openssl]);
        let advice = match suggest::closest(text, names) {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None => {
                format!("only AEAD suites with forward secrecy are offered: {}", SUITES.map(|suite| suite.1).join(", "))
            }
        };
        Err(format!("`{text}` is not a cipher suite that is supported; {advice}"))
    }
}

impl Setting for CipherSuite {
    fn shape() -> Shape {
        Shape::Choice(SUITES.iter().flat_map(|(_, iana, openssl)| [*iana, *openssl]).collect())
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        node.parse()
    }

    fn shown(&self) -> serde_json::Value {
        SUITES.iter().find(|(suite, ..)| *suite == self.0).map_or(serde_json::Value::Null, |suite| suite.1.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_what_the_provider_has() {
        let mut had: Vec<Iana> =
            rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES.iter().map(rustls::SupportedCipherSuite::suite).collect();
        let mut named: Vec<Iana> = SUITES.iter().map(|suite| suite.0).collect();
        had.sort_by_key(|suite| u16::from(*suite));
        named.sort_by_key(|suite| u16::from(*suite));
        assert_eq!(had, named);
        assert!(SUITES.iter().all(|(suite, name, _)| suite.as_str() == Some(name)));
    }

    #[test]
    fn three_spellings_name_one_suite() {
        for text in ["TLS13_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256", "tls_aes_128_gcm_sha256"] {
            assert_eq!(text.parse::<CipherSuite>().unwrap().0, Iana::TLS13_AES_128_GCM_SHA256);
        }
        let openssl: CipherSuite = "ECDHE-RSA-AES128-GCM-SHA256".parse().unwrap();
        assert!(!openssl.is_tls13());
        assert!("ECDHE-RSA-AES129-GCM-SHA256".parse::<CipherSuite>().unwrap_err().contains("did you mean"));
        assert!("AES128-SHA".parse::<CipherSuite>().unwrap_err().contains("forward secrecy"));
    }
}
