//! Hosts of requests, names of handshakes and names in configs: one name has one spelling and one certificate everywhere.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, UNIX_EPOCH};

use portcullis::base::host as written;
use portcullis::proxy::http::Host;
use portcullis::proxy::http::host::{LONGEST, same};
use portcullis::proxy::tls::{Allowed, CertSlot, Frontend, Pair, Settings};
use rustls_pki_types::DnsName;

use super::oracle::meaning::shown;

/// The names of three certificates.
const CERTIFICATES: [&[&str]; 3] = [
    &["example.com", "*.example.com", "192.0.2.1", "2001:db8::1"],
    &["a.example.com", "*.b.example.com", "xn--bcher-kva.example"],
    &["localhost", "*.c", "example.com"],
];

/// `bytes` are a host as a request, a handshake and a config may bring it.
pub fn run(bytes: &[u8]) {
    if let Ok(host) = Host::parse(bytes) {
        has_one_spelling(bytes, &host);
        has_one_certificate(&host);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        shakes_hands(text);
        is_written(text);
    }
}

fn has_one_spelling(bytes: &[u8], host: &Host<'_>) {
    let name = host.name();
    let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':');
    assert!(!name.is_empty() && !name.ends_with('.') && name.bytes().all(plain), "{}", shown(bytes));
    let bracketed = if name.contains(':') { format!("[{name}]") } else { name.to_owned() };
    let printed = match host.port() {
        Some(port) => format!("{bracketed}:{port}"),
        None => bracketed,
    };
    assert_eq!(Host::parse(printed.as_bytes()).as_ref(), Ok(host), "{}", shown(bytes));
    // An absolute target may say the same, in any case and with the dot that makes a name absolute.
    assert_eq!(same(printed.to_uppercase().as_bytes(), bytes), Ok(()), "{}", shown(bytes));
    let address = name.parse::<IpAddr>();
    assert_eq!(host.is_address(), address.is_ok(), "{}", shown(bytes));
    if let Ok(address) = address {
        assert_eq!(address.to_string(), name, "{}", shown(bytes));
    } else if name.len() < LONGEST {
        let dotted = format!("{name}.");
        assert_eq!(Host::parse(dotted.as_bytes()).map(|host| host.name().to_owned()), Ok(name.to_owned()));
        assert!(name.split('.').all(|label| !label.is_empty()), "{}", shown(bytes));
    }
}

/// The certificate that the directory finds for a host is the first that covers it by the rules, and covers it by itself.
fn has_one_certificate(host: &Host<'_>) {
    let directory = FRONTEND.directory();
    let covering: Vec<usize> =
        (0..CERTIFICATES.len()).filter(|index| covers(CERTIFICATES[*index], host.name())).collect();
    for (index, identity) in directory.identities().iter().enumerate() {
        assert_eq!(identity.pair.names.covers(host.name()), covering.contains(&index), "{host:?}");
    }
    if let Ok(address) = host.name().parse::<IpAddr>() {
        let found = directory.by_address(address).map(|identity| identity.name.to_string());
        assert_eq!(found, covering.first().map(|index| index.to_string()), "{host:?}");
        return;
    }
    let exact = covering.iter().find(|index| CERTIFICATES[**index].contains(&host.name()));
    let expected = exact.or_else(|| covering.first()).map(|index| index.to_string());
    for spelling in [host.name().to_owned(), host.name().to_uppercase(), format!("{}.", host.name())] {
        let found = directory.by_name(&spelling).map(|identity| identity.name.to_string());
        assert_eq!(found, expected, "{spelling}");
    }
}

/// Whether a client that asks for `host` would accept a certificate with `names` (RFC 9525 §6.3).
fn covers(names: &[&str], host: &str) -> bool {
    let host_address = host.parse::<IpAddr>().map(|address| address.to_canonical());
    names.iter().any(|name| match (name.parse::<IpAddr>(), &host_address) {
        (Ok(name), Ok(host)) => name == *host,
        (Err(_), Err(_)) => match name.strip_prefix("*.") {
            Some(parent) => host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == parent),
            None => *name == host,
        },
        _ => false,
    })
}

/// A name that a client may send in its handshake is a host, and one that finds the same certificate.
fn shakes_hands(text: &str) {
    let Ok(sent) = DnsName::try_from(text) else { return };
    let directory = FRONTEND.directory();
    let by_sni = directory.by_name(sent.as_ref()).map(|identity| identity.name.to_string());
    match Host::parse(text.as_bytes()) {
        Ok(host) => {
            assert!(host.port().is_none() && !host.is_address(), "{text}");
            let by_host = directory.by_name(host.name()).map(|identity| identity.name.to_string());
            assert_eq!(by_sni, by_host, "{text}");
        }
        // Names that end in a number are addresses to some readers: no certificate has them either.
        Err(_) => assert_eq!(by_sni, None, "{text}"),
    }
}

/// A name that a config may write is one that a request may bring, in the same spelling.
fn is_written(text: &str) {
    let Ok((name, wildcard)) = written::parse(text) else { return };
    assert_eq!(written::parse(&name), Ok((name.clone(), false)), "{text}");
    let asked = match (name.parse::<Ipv6Addr>(), wildcard) {
        (Ok(_), _) => format!("[{name}]"),
        (Err(_), true) => format!("label.{name}"),
        (Err(_), false) => name.clone(),
    };
    match Host::parse(asked.as_bytes()) {
        Ok(host) => {
            let expected = if wildcard { asked.as_str() } else { name.as_str() };
            assert_eq!((host.name(), host.port()), (expected, None), "{text}");
        }
        Err(_) => assert!(asked.len() > 253 || ends_in_number(&asked), "a request can never bring {text}"),
    }
}

fn ends_in_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    last.bytes().all(|byte| byte.is_ascii_digit()) && name.parse::<Ipv4Addr>().is_err()
}

static FRONTEND: LazyLock<Arc<Frontend>> = LazyLock::new(|| {
    let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let allowed = CERTIFICATES.iter().enumerate().map(|(index, names)| {
        let key = rcgen::KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let cert = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        let (cert, key) = (cert.pem(), key.serialize_pem());
        let pair = Pair::parse((Path::new("crt"), cert.as_bytes()), (Path::new("key"), key.as_bytes()), now).unwrap();
        Allowed { slot: Arc::new(CertSlot::new(index.to_string(), Arc::new(pair))), default: false }
    });
    Frontend::build(&Settings::default(), &[], allowed.collect(), None).unwrap()
});
