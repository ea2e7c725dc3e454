//! Who the client is, and what a backend is told: against a plain reading of the rules, and against a backend that, like CGI,
//! takes underscores for dashes.

use std::net::IpAddr;

use portcullis::base::cidr::Cidr;
use portcullis::proxy::http::Host;
use portcullis::proxy::http::forwarded::{Client, Forwarding, MOST_HOPS, RequestIds, apply};
use portcullis::proxy::message::{Name, Request};

use super::oracle::meaning::List;

/// Whom the gateway believes.
const TRUSTED: [&str; 3] = ["10.0.0.0/8", "2001:db8::/32", "::ffff:192.168.0.0/112"];

/// Who calls: strangers and trusted proxies, some of them on a socket of both families.
const PEERS: [&str; 6] =
    ["192.0.2.1", "10.0.0.1", "2001:db8::1", "2001:db9::1", "::ffff:10.0.0.1", "::ffff:192.168.0.1"];

/// The first byte is the peer, and whether there is TLS; the lines that follow are fields, `name: value`.
pub fn run(bytes: &[u8]) {
    let Some((choice, rest)) = bytes.split_first() else { return };
    let peer: IpAddr = PEERS[usize::from(*choice) % PEERS.len()].parse().unwrap();
    let tls = choice & 0x80 != 0;
    let trusted: Vec<Cidr> = TRUSTED.iter().map(|text| text.parse().unwrap()).collect();
    let fields = lines(rest);
    let mut request = Request::default();
    let authority = request.fields.store(b"example.com:8443");
    request.set_authority(authority);
    request.set_authority_field(Name::Host);
    fields.iter().for_each(|(name, value)| request.fields.add(name, value));

    let client = Client::resolve(peer, &request.fields, &trusted);
    assert_eq!(client, expected_client(peer, &fields));
    apply(&mut request, &Forwarding { client, tls }, &mut RequestIds::new(fastrand::Rng::with_seed(1)));
    let sent: List = request.fields.iter().map(|(_, name, value)| (name.to_vec(), value.to_vec())).collect();
    is_told_once(&sent, &client, tls);
    believes_only_proxies(&sent, &fields, &client);
    nothing_else_changes(&sent, &fields);
}

/// Fields as a codec lets them pass: names are tokens, values have no control bytes and no blanks around them.
fn lines(bytes: &[u8]) -> List {
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let field = |line: &[u8]| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        let good = !name.is_empty()
            && name.iter().all(token)
            && !name.eq_ignore_ascii_case(b"host")
            && value.iter().all(|byte| *byte == b'\t' || !byte.is_ascii_control());
        good.then(|| (name.to_vec(), value.to_vec()))
    };
    bytes.split(|byte| *byte == b'\n').filter_map(field).collect()
}

fn believed(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => matches!(address.octets(), [10, ..] | [192, 168, ..]),
        IpAddr::V6(address) => matches!(address.segments(), [0x2001, 0xdb8, ..]),
    }
}

fn expected_client(peer: IpAddr, fields: &List) -> Client {
    let peer = peer.to_canonical();
    let mut client = Client { address: peer, peer, trusted_peer: believed(peer) };
    let values = fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"x-forwarded-for"));
    let list = values.map(|(_, value)| value.as_slice()).collect::<Vec<_>>().join(&b","[..]);
    let mut elements: Vec<&[u8]> = list.split(|byte| *byte == b',').collect();
    for _ in 0..MOST_HOPS {
        let Some(element) = elements.pop().filter(|_| believed(client.address)) else { break };
        let Some(hop) = hop(element) else { break };
        client.address = hop;
    }
    client
}

/// The address of one element, with or without brackets and port.
fn hop(element: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(element.trim_ascii()).ok()?;
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            host.contains(':').then_some((host, rest.strip_prefix(':').or_else(|| rest.is_empty().then_some("0"))?))?
        }
        None if text.matches(':').count() == 1 => text.split_once(':')?,
        None => (text, "0"),
    };
    // A port is digits alone, and no scope stands behind an address.
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    port.parse::<u16>().ok().filter(|_| digits)?;
    host.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// The values that a backend of CGI's habits finds under a name.
fn values<'a>(fields: &'a List, name: &str) -> Vec<&'a [u8]> {
    let read = |raw: &[u8]| raw.iter().map(|byte| if *byte == b'_' { b'-' } else { *byte }).collect::<Vec<u8>>();
    let named = fields.iter().filter(|(raw, _)| read(raw).eq_ignore_ascii_case(name.as_bytes()));
    named.map(|(_, value)| value.as_slice()).collect()
}

/// What the gateway says, it says once, and a client cannot say it instead, however it spells the name.
fn is_told_once(sent: &List, client: &Client, tls: bool) {
    let chain = values(sent, "x-forwarded-for");
    assert_eq!(chain.len(), 1, "{sent:?}");
    let last = chain[0].rsplit(|byte| *byte == b',').next().unwrap_or_default().trim_ascii();
    assert_eq!(last, client.peer.to_string().as_bytes(), "{sent:?}");
    let schemes = values(sent, "x-forwarded-proto");
    let own: &[u8] = if tls { b"https" } else { b"http" };
    let good = |scheme: &[u8]| scheme == own || (client.trusted_peer && matches!(scheme, b"http" | b"https"));
    assert!(schemes.len() == 1 && good(schemes[0]), "{sent:?}");
    let hosts = values(sent, "x-forwarded-host");
    assert!(hosts.len() == 1 && Host::parse(hosts[0]).is_ok(), "{sent:?}");
    assert_eq!(values(sent, "traceparent").len(), 1, "{sent:?}");
    let ids = values(sent, "x-request-id");
    assert!(ids.len() == 1 && (1..=128).contains(&ids[0].len()), "{sent:?}");
    assert!(ids[0].iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte)), "{sent:?}");
    for name in ["proxy", "client-cert", "client-cert-chain", "x-client-cert-subject", "x-forwarded-client-cert"] {
        assert!(values(sent, name).is_empty(), "{name} {sent:?}");
    }
}

/// A stranger's word on forwarding is gone; a trusted proxy's chain is kept whole.
fn believes_only_proxies(sent: &List, fields: &List, client: &Client) {
    let chain = values(sent, "x-forwarded-for")[0];
    let said = fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"x-forwarded-for"));
    let mut said: Vec<&[u8]> = said.map(|(_, value)| value.as_slice()).collect();
    let peer = client.peer.to_string();
    if client.trusted_peer {
        said.push(peer.as_bytes());
        assert_eq!(chain, said.join(&b", "[..]), "{sent:?}");
        return;
    }
    assert_eq!((chain, client.address), (peer.as_bytes(), client.peer), "{sent:?}");
    assert_eq!(values(sent, "x-forwarded-host"), [&b"example.com:8443"[..]], "{sent:?}");
    assert_eq!(values(sent, "x-request-id")[0].len(), 32, "{sent:?}");
    assert!(values(sent, "forwarded").is_empty() && values(sent, "x-real-ip").is_empty(), "{sent:?}");
    let ours = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"];
    for (name, _) in sent {
        let name = String::from_utf8_lossy(name).to_lowercase().replace('_', "-");
        assert!(!name.starts_with("x-forwarded-") || ours.contains(&name.as_str()), "{name} {sent:?}");
    }
}

/// Fields that have nothing to do with it pass, in their order.
fn nothing_else_changes(sent: &List, fields: &List) {
    let foreign = |(raw, _): &&(Vec<u8>, Vec<u8>)| {
        let name = String::from_utf8_lossy(raw).to_lowercase().replace('_', "-");
        let ours = [
            "host",
            "proxy",
            "client-cert",
            "client-cert-chain",
            "x-client-cert-subject",
            "x-real-ip",
            "x-request-id",
            "traceparent",
            "tracestate",
        ];
        let twin = raw.contains(&b'_') && Name::of_twin(raw) != Name::Other;
        !twin && name != "forwarded" && !name.starts_with("x-forwarded-") && !ours.contains(&name.as_str())
    };
    let before: Vec<_> = fields.iter().filter(foreign).collect();
    let after: Vec<_> = sent.iter().filter(foreign).collect();
    assert_eq!(after, before);
}
