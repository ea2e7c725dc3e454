//! The forms of a request target (RFC 9112 §3.2), reduced to one: path and query in the target, host and port apart.

use super::host;
use crate::proxy::fault::{Fault, Malformed};
use crate::proxy::message::{Name, Request, Span};

/// Settles target and authority of an HTTP/1.1 request. An absolute target must name the same host as `Host`: where they
/// differ, two readers would serve two different requests.
///
/// # Errors
/// No `Host` or several, a target of no known form or with a fragment, CONNECT and TRACE.
pub fn settle(request: &mut Request) -> Result<(), Fault> {
    if matches!(request.method(), b"CONNECT" | b"TRACE") {
        return Err(Fault::MethodRefused);
    }
    if memchr::memchr(b'#', request.target()).is_some() {
        // A fragment is never sent (RFC 9112 §3.2). Who cuts it off asks for another resource than who does not.
        return Err(Fault::Malformed(Malformed::Syntax));
    }
    let no_host = Fault::Malformed(Malformed::Host);
    let mut hosts = request.fields.all_spans(Name::Host);
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return Err(no_host) };
    drop(hosts);
    match request.target() {
        [b'/', ..] => {}
        b"*" if request.method() == b"OPTIONS" => {}
        _ => settle_absolute(request, host)?,
    }
    request.set_authority(host);
    Ok(())
}

fn settle_absolute(request: &mut Request, host: Span) -> Result<(), Fault> {
    let target = request.target();
    let scheme = [&b"http://"[..], b"https://"]
        .into_iter()
        .find(|scheme| target.get(..scheme.len()).is_some_and(|front| front.eq_ignore_ascii_case(scheme)))
        .ok_or(Fault::Malformed(Malformed::Syntax))?;
    let rest = &target[scheme.len()..];
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    host::same(&rest[..end], request.fields.bytes(host)).map_err(Fault::Malformed)?;
    let path = &rest[end..];
    let origin = if path.starts_with(b"/") { path.to_vec() } else { [b"/", path].concat() };
    request.rewrite_target(&origin);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(method: &str, target: &str, hosts: &[&str]) -> Result<(String, String), Fault> {
        let mut request = Request::default();
        let method = request.fields.store(method.as_bytes());
        request.set_method(method);
        request.rewrite_target(target.as_bytes());
        for host in hosts {
            request.fields.add(b"Host", host.as_bytes());
        }
        settle(&mut request)?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Ok((text(request.target()), text(request.authority())))
    }

    #[test]
    fn every_form_becomes_path_and_host() {
        for (target, path) in
            [("/a?b", "/a?b"), ("http://h:1/a?b", "/a?b"), ("HTTPS://H:1", "/"), ("http://h:1?b", "/?b")]
        {
            assert_eq!(settled("GET", target, &["h:1"]), Ok((path.into(), "h:1".into())), "{target}");
        }
        assert_eq!(settled("OPTIONS", "*", &["h"]), Ok(("*".into(), "h".into())));
    }

    #[test]
    fn doubtful_forms_are_refused() {
        let host = Err(Fault::Malformed(Malformed::Host));
        assert_eq!(settled("GET", "/", &[]), host);
        assert_eq!(settled("GET", "/", &["a", "a"]), host);
        assert_eq!(settled("GET", "http://a/", &["b"]), host);
        let syntax = Err(Fault::Malformed(Malformed::Syntax));
        for target in ["*", "a", "ftp://a/", "a:80", "?x", "/#", "/?#", "http://a#", "//a"] {
            let expected = if target == "//a" { Ok(("//a".into(), "a".into())) } else { syntax.clone() };
            assert_eq!(settled("GET", target, &["a"]), expected, "{target}");
        }
        assert_eq!(settled("CONNECT", "a:443", &["a:443"]), Err(Fault::MethodRefused));
    }
}
