//! Versions and cipher suites: what is offered, in which order, and the rustls configuration that says so.

use std::sync::Arc;

use rustls::compress::CompressionCache;
use rustls::crypto::aws_lc_rs;
use rustls::crypto::aws_lc_rs::cipher_suite as suite;
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::server::{NoServerSessionStorage, ProducesTickets, ResolvesServerCertUsingSni};
use rustls::{CipherSuite, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion, version};

use super::settings::{MinVersion, Settings};

/// All suites there are, in our order: AES-128 first, because it is as safe in practice and cheaper. None without
/// forward secrecy, none without authenticated encryption.
static SUITES: [SupportedCipherSuite; 9] = [
    suite::TLS13_AES_128_GCM_SHA256,
    suite::TLS13_AES_256_GCM_SHA384,
    suite::TLS13_CHACHA20_POLY1305_SHA256,
    suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];

/// Our order of key exchange groups: the hybrid with ML-KEM first, then by cost.
static GROUPS: [&dyn SupportedKxGroup; 4] = [
    aws_lc_rs::kx_group::X25519MLKEM768,
    aws_lc_rs::kx_group::X25519,
    aws_lc_rs::kx_group::SECP256R1,
    aws_lc_rs::kx_group::SECP384R1,
];

/// Why nothing can be offered as the settings have it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The list of suites leaves an offered version without any.
    #[error("`cipher_suites` holds none for {}, which is offered; {}", version.label(), advice(*version))]
    NoSuite {
        /// The version.
        version: MinVersion,
    },
    /// The random source or the cryptography failed at the start.
    #[error("TLS cannot be set up: {reason}")]
    Setup {
        /// What it says.
        reason: String,
    },
}

fn advice(version: MinVersion) -> &'static str {
    match version {
        MinVersion::Tls12 => "add one such as ECDHE-ECDSA-AES128-GCM-SHA256, or set `min_version = \"1.3\"`",
        MinVersion::Tls13 => "add one such as TLS_AES_128_GCM_SHA256",
    }
}

impl MinVersion {
    /// The version's name: `TLS 1.2`, `TLS 1.3`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Tls12 => "TLS 1.2",
            Self::Tls13 => "TLS 1.3",
        }
    }

    /// This one and all above it.
    pub(super) fn and_above(self) -> &'static [&'static SupportedProtocolVersion] {
        static BOTH: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];
        match self {
            Self::Tls12 => &BOTH,
            Self::Tls13 => &BOTH[..1],
        }
    }
}

/// The suite's IANA name, which rustls spells otherwise for TLS 1.3.
pub(super) fn suite_name(suite: CipherSuite) -> &'static str {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        other => other.as_str().unwrap_or("other"),
    }
}

/// Holds the listener's suites against the versions it offers; empty means all, in our order.
pub(super) fn provider(settings: &Settings) -> Result<Arc<CryptoProvider>, PolicyError> {
    let cipher_suites: Vec<_> = if settings.cipher_suites.is_empty() {
        SUITES.to_vec()
    } else {
        let known = |wanted: CipherSuite| SUITES.iter().find(|suite| suite.suite() == wanted).copied();
        settings.cipher_suites.iter().filter_map(|wanted| known(wanted.0)).collect()
    };
    for (version, offered) in [(MinVersion::Tls12, &version::TLS12), (MinVersion::Tls13, &version::TLS13)] {
        let served = cipher_suites.iter().any(|suite| *suite.version() == *offered);
        if version >= settings.min_version && !served {
            return Err(PolicyError::NoSuite { version });
        }
    }
    Ok(Arc::new(CryptoProvider { cipher_suites, kx_groups: GROUPS.to_vec(), ..aws_lc_rs::default_provider() }))
}

/// What all identities of a listener share at one minimum version; it holds no certificate yet.
pub(super) fn template(
    provider: &Arc<CryptoProvider>,
    minimum: MinVersion,
    tickets: &Arc<dyn ProducesTickets>,
) -> Result<ServerConfig, PolicyError> {
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(minimum.and_above())
        .map_err(|error| PolicyError::Setup { reason: error.to_string() })?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(ResolvesServerCertUsingSni::new()));
    config.ignore_client_order = true;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // Tickets hold the session, so that any worker resumes it and nothing is remembered here. With them rustls accepts no early
    // data, which could be replayed.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = Arc::clone(tickets);
    config.max_early_data_size = 0;
    // A client needs one to come back; a second costs four percent of a handshake.
    config.send_tls13_tickets = 1;
    config.cert_compression_cache = Arc::new(CompressionCache::Disabled);
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::super::settings;
    use super::super::tests::support::at;
    use super::*;

    #[test]
    fn every_suite_of_rustls_has_its_place_and_name() {
        assert_eq!(SUITES.len(), aws_lc_rs::ALL_CIPHER_SUITES.len());
        for suite in aws_lc_rs::ALL_CIPHER_SUITES {
            assert!(SUITES.contains(suite));
            let name = suite_name(suite.suite());
            assert!(
                name.starts_with("TLS_AES_") || name.starts_with("TLS_CHACHA20_") || name.starts_with("TLS_ECDHE_")
            );
        }
    }

    #[test]
    fn every_offered_version_needs_a_suite() {
        let settings = |min_version, suites: &[CipherSuite]| {
            let cipher_suites = suites.iter().map(|suite| at(settings::CipherSuite(*suite))).collect();
            Settings { min_version, cipher_suites, default_certificate: None }
        };
        let new = CipherSuite::TLS13_AES_128_GCM_SHA256;
        let old = CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256;
        for (minimum, suites, missing) in [
            (MinVersion::Tls12, &[][..], None),
            (MinVersion::Tls12, &[new, old], None),
            (MinVersion::Tls13, &[new], None),
            (MinVersion::Tls12, &[new], Some(MinVersion::Tls12)),
            (MinVersion::Tls12, &[old], Some(MinVersion::Tls13)),
            (MinVersion::Tls13, &[old], Some(MinVersion::Tls13)),
        ] {
            let error = provider(&settings(minimum, suites)).err();
            assert_eq!(error, missing.map(|version| PolicyError::NoSuite { version }), "{minimum:?} {suites:?}");
        }
        let told = provider(&settings(MinVersion::Tls12, &[new])).unwrap_err().to_string();
        assert!(told.contains("TLS 1.2") && told.contains("min_version = \"1.3\""), "{told}");
    }
}
