//! Who the client is, and what a backend is told about it: `X-Forwarded-For`, `-Proto`, `-Host` and `X-Request-Id`.

use std::net::{IpAddr, SocketAddr};

use super::{Host, trace};
use crate::base::cidr::{Cidr, any_contains};
use crate::base::{decimal, hex::hex};
use crate::proxy::message::{Fields, Name, Request};

/// The most elements of `X-Forwarded-For` that are walked.
pub const MOST_HOPS: usize = 64;

/// The client of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// The one address that limits, lists, hashing and the log go by. Never an IPv4-mapped one.
    pub address: IpAddr,
    /// The other end of the connection, or whom its PROXY header named.
    pub peer: IpAddr,
    /// Whether the peer is a trusted proxy, so that its forwarding fields are believed and extended.
    pub trusted_peer: bool,
}

impl Client {
    /// Finds the client: the peer, or, where that is a trusted proxy, the first address of `X-Forwarded-For` from the
    /// right that is not one. An element that is no address ends the walk at the one before it.
    pub fn resolve(peer: IpAddr, fields: &Fields, trusted: &[Cidr]) -> Self {
        let peer = peer.to_canonical();
        let trusted_peer = any_contains(trusted, peer);
        let mut address = peer;
        if trusted_peer {
            // The members of all fields of the name are one list (RFC 9110 §5.3), read from its end.
            let hops = fields.all(Name::XForwardedFor).rev().flat_map(|value| value.rsplit(|byte| *byte == b','));
            for hop in hops.take(MOST_HOPS).map_while(hop_address) {
                address = hop;
                if !any_contains(trusted, hop) {
                    break;
                }
            }
        }
        Self { address, peer, trusted_peer }
    }
}

/// The address of one element: bare, or with a port; IPv6 with or without brackets. A scope means nothing to another host.
fn hop_address(element: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(element.trim_ascii()).ok().filter(|text| !text.contains('%'))?;
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<std::net::Ipv6Addr>().ok().map(IpAddr::V6);
    let address = text.parse().ok().or_else(bracketed);
    let address = address.or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))?;
    Some(address.to_canonical())
}

/// What a backend is told about a request, beside what the request itself says.
#[derive(Clone, Copy, Debug)]
pub struct Forwarding {
    /// The client.
    pub client: Client,
    /// Whether the request came over TLS.
    pub tls: bool,
}

/// Rewrites the forwarding fields of a request whose hop-by-hop fields are stripped already.
///
/// Taken away whoever sent them: client certificates, `Proxy` (which CGI turns into `HTTP_PROXY`), and every name
/// spelled with underscores that some backend would read as one of [`Name`]. Taken away unless the peer is a trusted
/// proxy: `Forwarded`, `X-Real-IP` and every other `X-Forwarded-…`.
///
/// Then ours: the peer is appended to a trusted proxy's `X-Forwarded-For` or replaces the client's; `-Proto` and
/// `-Host` stay as a trusted proxy said them, where it did once and well, and so does `X-Request-Id`. `traceparent` is passed on
/// from anybody, or started.
pub fn apply(request: &mut Request, forwarding: &Forwarding, ids: &mut RequestIds) {
    let Forwarding { client, tls } = *forwarding;
    let trusted = client.trusted_peer;
    request.fields.retain(|name, raw, _| keeps(name, raw, trusted));
    let append_peer = |list: &mut Vec<u8>| decimal::address(list, client.peer);
    request.fields.extend_list(Name::XForwardedFor, append_peer);
    if !says_once(&request.fields, Name::XForwardedProto, |value| matches!(value, b"http" | b"https")) {
        let scheme: &[u8] = if tls { b"https" } else { b"http" };
        request.fields.set(Name::XForwardedProto, scheme);
    }
    if !says_once(&request.fields, Name::XForwardedHost, |value| Host::parse(value).is_ok()) {
        request.fields.remove(Name::XForwardedHost);
        if !request.authority().is_empty() {
            request.set_authority_field(Name::XForwardedHost);
        }
    }
    if !says_once(&request.fields, Name::XRequestId, is_request_id) {
        request.fields.set(Name::XRequestId, &ids.next_id());
    }
    trace::pass_on_or_start(&mut request.fields, ids);
}

/// Whether a field stays. What an untrusted peer said of the names we set is gone after this.
fn keeps(name: Name, raw: &[u8], trusted: bool) -> bool {
    match name {
        Name::ClientCert
        | Name::ClientCertChain
        | Name::XClientCertSubject
        | Name::XForwardedClientCert
        | Name::Proxy => false,
        Name::Forwarded
        | Name::XRealIp
        | Name::XForwardedFor
        | Name::XForwardedProto
        | Name::XForwardedHost
        | Name::XRequestId => trusted,
        Name::Other if raw.contains(&b'_') => Name::of_twin(raw) == Name::Other && !Name::twin_begins(raw, FORWARDED),
        Name::Other => trusted || !Name::twin_begins(raw, FORWARDED),
        _ => true,
    }
}

/// What the names of forwarding fields begin with.
const FORWARDED: &[u8] = b"x-forwarded-";

/// Whether there is exactly one field of that name and `good` thinks well of its value.
fn says_once(fields: &Fields, name: Name, good: impl Fn(&[u8]) -> bool) -> bool {
    let mut values = fields.all(name);
    values.next().is_some_and(good) && values.next().is_none()
}

/// 1 to 128 of the characters that no log, shell or query language gives a meaning to.
fn is_request_id(value: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=128).contains(&value.len()) && value.iter().all(plain)
}

/// Makes request ids: 128 random bits each. They are unique, not secret.
#[derive(Debug)]
pub struct RequestIds {
    random: fastrand::Rng,
}

impl RequestIds {
    /// One worker's generator.
    pub fn new(random: fastrand::Rng) -> Self {
        Self { random }
    }

    /// 64 random bits.
    pub fn number(&mut self) -> u64 {
        self.random.u64(..)
    }

    /// 64 random bits, in 16 hex digits.
    pub fn next_half(&mut self) -> [u8; 16] {
        hex(self.number())
    }

    /// The next id, in 32 hex digits.
    pub fn next_id(&mut self) -> [u8; 32] {
        let mut id = [0; 32];
        for half in id.chunks_exact_mut(16) {
            half.copy_from_slice(&self.next_half());
        }
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(list: &[(&str, &str)]) -> Request {
        let mut request = Request::default();
        let authority = request.fields.store(b"example.com:8443");
        request.set_authority(authority);
        list.iter().for_each(|(name, value)| request.fields.add(name.as_bytes(), value.as_bytes()));
        request
    }

    fn trusted() -> Vec<Cidr> {
        ["10.0.0.0/8", "2001:db8::/32"].iter().map(|text| text.parse().unwrap()).collect()
    }

    fn client(peer: &str, forwarded_for: &[&str]) -> String {
        let list: Vec<_> = forwarded_for.iter().map(|value| ("X-Forwarded-For", *value)).collect();
        Client::resolve(peer.parse().unwrap(), &request(&list).fields, &trusted()).address.to_string()
    }

    #[test]
    fn the_client_is_the_first_untrusted_address_from_the_right() {
        for (peer, fields, expected) in [
            ("192.0.2.1", &["1.1.1.1"][..], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["1.1.1.1"], "1.1.1.1"),
            ("10.0.0.1", &["6.6.6.6, 1.1.1.1"], "1.1.1.1"),
            ("10.0.0.1", &["6.6.6.6, 1.1.1.1, 10.0.0.2"], "1.1.1.1"),
            ("10.0.0.1", &["6.6.6.6", "1.1.1.1,10.0.0.3", "10.0.0.2"], "1.1.1.1"),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1", &["1.1.1.1, unknown, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["1.1.1.1, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["1.1.1.1,"], "10.0.0.1"),
            ("10.0.0.1", &[""], "10.0.0.1"),
            ("10.0.0.1", &["1.1.1.1:4711"], "1.1.1.1"),
            ("10.0.0.1", &["[2001:db9::1]:4711"], "2001:db9::1"),
            ("10.0.0.1", &["[2001:db9::1]"], "2001:db9::1"),
            ("10.0.0.1", &["2001:db9::1"], "2001:db9::1"),
            ("10.0.0.1", &["1.1.1.1, 2001:db8::7"], "1.1.1.1"),
            ("10.0.0.1", &["::ffff:1.1.1.1"], "1.1.1.1"),
            ("10.0.0.1", &["1.1.1.1, [::ffff:10.0.0.2]:80"], "1.1.1.1"),
            ("::ffff:10.0.0.1", &["1.1.1.1"], "1.1.1.1"),
            ("::ffff:192.0.2.1", &["1.1.1.1"], "192.0.2.1"),
            ("10.0.0.1", &["1.1.1.1, 10.0.0.2:x"], "10.0.0.1"),
            ("10.0.0.1", &["1.1.1.1:99999"], "10.0.0.1"),
            ("10.0.0.1", &["\"1.1.1.1\""], "10.0.0.1"),
            ("10.0.0.1", &["1.1.1"], "10.0.0.1"),
            ("10.0.0.1", &["2001:db9::1%2"], "10.0.0.1"),
            ("10.0.0.1", &["[2001:db9::1%2]:80"], "10.0.0.1"),
        ] {
            assert_eq!(client(peer, fields), expected, "{peer} {fields:?}");
        }
    }

    #[test]
    fn the_walk_is_bounded() {
        let hops = format!("1.1.1.1{}", ", 10.0.0.2".repeat(MOST_HOPS));
        assert_eq!(client("10.0.0.1", &[&hops]), "10.0.0.2");
        let hops = format!("1.1.1.1{}", ", 10.0.0.2".repeat(MOST_HOPS - 1));
        assert_eq!(client("10.0.0.1", &[&hops]), "1.1.1.1");
    }

    fn applied(peer: &str, list: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut request = request(list);
        let client = Client::resolve(peer.parse().unwrap(), &request.fields, &trusted());
        let mut ids = RequestIds::new(fastrand::Rng::with_seed(5));
        apply(&mut request, &Forwarding { client, tls: true }, &mut ids);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut all: Vec<_> =
            request.fields.iter().map(|(_, name, value)| (text(name).to_lowercase(), text(value))).collect();
        all.sort();
        all
    }

    /// What an applied request has beside these five.
    fn others(peer: &str, list: &[(&str, &str)]) -> Vec<String> {
        let ours = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-request-id", "traceparent"];
        let names = applied(peer, list).into_iter().map(|(name, _)| name);
        names.filter(|name| !ours.contains(&name.as_str())).collect()
    }

    fn value(fields: &[(String, String)], name: &str) -> String {
        let values: Vec<_> = fields.iter().filter(|(other, _)| other == name).collect();
        assert_eq!(values.len(), 1, "{name} {fields:?}");
        values[0].1.clone()
    }

    const CLAIMS: &[(&str, &str)] = &[
        ("X-Forwarded-For", "6.6.6.6"),
        ("x-forwarded-for", "7.7.7.7"),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Host", "public.example"),
        ("X-Request-Id", "abc.1_2-3"),
    ];

    #[test]
    fn what_a_client_claims_is_replaced() {
        let fields = applied("192.0.2.1", CLAIMS);
        assert_eq!(fields.len(), 5);
        assert_eq!(value(&fields, "x-forwarded-for"), "192.0.2.1");
        assert_eq!(value(&fields, "x-forwarded-proto"), "https");
        assert_eq!(value(&fields, "x-forwarded-host"), "example.com:8443");
        let id = value(&fields, "x-request-id");
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    }

    #[test]
    fn what_a_trusted_proxy_says_is_extended() {
        let fields = applied("10.0.0.1", CLAIMS);
        assert_eq!(fields.len(), 5);
        assert_eq!(value(&fields, "x-forwarded-for"), "6.6.6.6, 7.7.7.7, 10.0.0.1");
        assert_eq!(value(&fields, "x-forwarded-proto"), "http");
        assert_eq!(value(&fields, "x-forwarded-host"), "public.example");
        assert_eq!(value(&fields, "x-request-id"), "abc.1_2-3");
    }

    #[test]
    fn what_a_trusted_proxy_says_badly_or_twice_is_replaced() {
        let long = "a".repeat(129);
        for (name, bad) in [
            ("x-forwarded-proto", &["ftp"][..]),
            ("x-forwarded-proto", &["https, http"]),
            ("x-forwarded-proto", &["http", "http"]),
            ("x-forwarded-host", &["a.example, b.example"]),
            ("x-forwarded-host", &["a/b"]),
            ("x-forwarded-host", &["a.example", "b.example"]),
            ("x-request-id", &[""]),
            ("x-request-id", &["a b"]),
            ("x-request-id", &["${jndi}"]),
            ("x-request-id", &[&long]),
            ("x-request-id", &["a", "b"]),
        ] {
            let list: Vec<_> = bad.iter().map(|bad| (name, *bad)).collect();
            let found = value(&applied("10.0.0.1", &list), name);
            assert!(!bad.contains(&found.as_str()), "{name} {bad:?} {found}");
        }
        let longest = "a".repeat(128);
        assert_eq!(value(&applied("10.0.0.1", &[("X-Request-ID", &longest)]), "x-request-id"), longest);
    }

    #[test]
    fn identities_and_twins_never_come_from_outside() {
        let list = [
            ("X-Forwarded-Client-Cert", "x"),
            ("Client-Cert", "x"),
            ("client-cert-chain", "x"),
            ("X-Client-Cert-Subject", "x"),
            ("Proxy", "http://evil.example"),
            ("X_Forwarded_For", "6.6.6.6"),
            ("X-Forwarded_For", "6.6.6.6"),
            ("x_request_id", "x"),
            ("X_Forwarded_Proto", "x"),
            ("x_real_ip", "x"),
            ("client_cert", "x"),
            ("X_Client_Cert_Subject", "x"),
            ("X_Forwarded_Prefix", "x"),
            ("Content_Length", "5"),
            ("Transfer_Encoding", "chunked"),
            ("X_Forwarded_Client_Cert", "x"),
        ];
        for peer in ["192.0.2.1", "10.0.0.1"] {
            assert_eq!(others(peer, &list), [""; 0], "{peer}");
        }
    }

    #[test]
    fn other_forwarding_fields_come_from_trusted_proxies_only() {
        let list =
            [("forwarded", "for=x"), ("x-forwarded-port", "1"), ("x-forwarded-prefix", "/"), ("x-real-ip", "6.6.6.6")];
        assert_eq!(others("192.0.2.1", &list), [""; 0]);
        assert_eq!(others("10.0.0.1", &list), list.map(|(name, _)| name));
    }

    #[test]
    fn everything_else_is_left_alone() {
        let list = [("accept", "*/*"), ("cookie", "a=b"), ("my_field", "1"), ("proxy-x", "1"), ("x-forwarded", "1")];
        assert_eq!(others("192.0.2.1", &list), list.map(|(name, _)| name));
    }

    #[test]
    fn without_a_host_there_is_none_to_tell() {
        let mut request = Request::default();
        let client = Client::resolve("192.0.2.1".parse().unwrap(), &request.fields, &[]);
        apply(&mut request, &Forwarding { client, tls: false }, &mut RequestIds::new(fastrand::Rng::with_seed(6)));
        assert_eq!(request.fields.all(Name::XForwardedHost).count(), 0);
    }

    #[test]
    fn stripping_first_leaves_our_fields_in_place() {
        let mut request = request(&[("Connection", "X-Forwarded-For, x-forwarded-proto, x-request-id, close")]);
        let client = Client::resolve("192.0.2.1".parse().unwrap(), &request.fields, &[]);
        crate::proxy::http::hop_by_hop::strip_request(&mut request.fields).unwrap();
        apply(&mut request, &Forwarding { client, tls: false }, &mut RequestIds::new(fastrand::Rng::with_seed(6)));
        assert_eq!(request.fields.len(), 5);
        assert_eq!(request.fields.first(Name::XForwardedProto), Some(&b"http"[..]));
    }

    #[test]
    fn ids_do_not_repeat() {
        let mut ids = RequestIds::new(fastrand::Rng::with_seed(7));
        let mut seen = std::collections::HashSet::new();
        assert!((0..10_000).all(|_| seen.insert(ids.next_id())));
    }

    #[test]
    fn any_fields_are_read_without_panic() {
        let mut random = fastrand::Rng::with_seed(8);
        let names = ["x-forwarded-for", "x_forwarded-", "connection", "te", "proxy", "x-request-id", "_"];
        let alphabet = b"1.:[], \xff\0ax%";
        for _ in 0..20_000 {
            let mut request = Request::default();
            for _ in 0..random.usize(0..6) {
                let value: Vec<u8> =
                    (0..random.usize(0..20)).map(|_| alphabet[random.usize(0..alphabet.len())]).collect();
                request.fields.add(names[random.usize(0..names.len())].as_bytes(), &value);
            }
            let client = Client::resolve("10.0.0.1".parse().unwrap(), &request.fields, &trusted());
            let _ = crate::proxy::http::hop_by_hop::strip_request(&mut request.fields);
            apply(&mut request, &Forwarding { client, tls: false }, &mut RequestIds::new(random.fork()));
            assert_eq!(request.fields.all(Name::XForwardedFor).count(), 1);
        }
    }
}
