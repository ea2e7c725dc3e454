//! Hop-by-hop fields: what belongs to one connection and must not travel on (RFC 9110 §7.6.1). They are stripped before
//! ours are added, so that a `Connection: X-Forwarded-For` cannot take ours away.

use crate::proxy::fault::Malformed;
use crate::proxy::message::{Fields, Name, NameSet, list_members};

/// The most bytes of `Connection` values in one message: each option they name is held against every field.
pub const LONGEST_CONNECTION: usize = 1024;

const HOP_BY_HOP: NameSet = NameSet::of(&[
    Name::Connection,
    Name::KeepAlive,
    Name::ProxyConnection,
    Name::ProxyAuthenticate,
    Name::ProxyAuthorization,
    Name::Te,
    Name::TransferEncoding,
    Name::Upgrade,
    Name::Http2Settings,
]);

/// Strips a request on its way to a backend. `TE` stays where, and as far as, it says `trailers`; `Trailer` stays.
///
/// `Connection` cannot take away a field that the gateway itself reads or sets ([`Name`]): those are end-to-end or
/// dealt with here. Whatever else it names goes.
///
/// # Errors
/// [`Malformed::Syntax`] where `Connection` is longer than [`LONGEST_CONNECTION`].
pub fn strip_request(fields: &mut Fields) -> Result<(), Malformed> {
    let trailers = fields.all(Name::Te).flat_map(list_members).any(|coding| coding.eq_ignore_ascii_case(b"trailers"));
    strip(fields)?;
    if trailers {
        fields.add(b"te", b"trailers");
    }
    Ok(())
}

/// Strips a response on its way to the client; the same rules.
///
/// # Errors
/// [`Malformed::Syntax`] where `Connection` is longer than [`LONGEST_CONNECTION`].
pub fn strip_response(fields: &mut Fields) -> Result<(), Malformed> {
    strip(fields)
}

fn strip(fields: &mut Fields) -> Result<(), Malformed> {
    let length: usize = fields.all(Name::Connection).map(<[u8]>::len).sum();
    if length > LONGEST_CONNECTION {
        return Err(Malformed::Syntax);
    }
    if length > 0 {
        fields.remove_listed(Name::Connection, |name| name == Name::Other);
    }
    fields.remove_all(HOP_BY_HOP);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(list: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut fields = Fields::default();
        for (name, value) in list {
            fields.add(name.as_bytes(), value.as_bytes());
        }
        strip_request(&mut fields).unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        fields.iter().map(|(_, name, value)| (text(name).to_lowercase(), text(value))).collect()
    }

    fn names(list: &[(&str, &str)]) -> Vec<String> {
        stripped(list).into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn what_belongs_to_the_connection_goes() {
        let left = names(&[
            ("Host", "a"),
            ("Connection", "keep-alive, Upgrade, HTTP2-Settings"),
            ("Keep-Alive", "timeout=5"),
            ("Proxy-Connection", "keep-alive"),
            ("Proxy-Authorization", "Basic x"),
            ("Transfer-Encoding", "chunked"),
            ("Upgrade", "h2c"),
            ("HTTP2-Settings", "AAA"),
            ("Trailer", "x-sum"),
            ("Accept", "*/*"),
        ]);
        assert_eq!(left, ["host", "trailer", "accept"]);
    }

    #[test]
    fn what_connection_names_goes_from_every_connection_field() {
        let left =
            names(&[("X-A", "1"), ("Connection", "x-a"), ("x-b", "2"), ("CONNECTION", " close ,X-B"), ("x-c", "3")]);
        assert_eq!(left, ["x-c"]);
    }

    #[test]
    fn a_client_cannot_have_our_fields_taken_away() {
        let essential = ["host", "content-length", "x-forwarded-for", "x-request-id", "cookie", "trailer", "expect"];
        let mut list: Vec<(&str, &str)> = essential.iter().map(|name| (*name, "1")).collect();
        let named = essential.join(", ");
        list.push(("connection", &named));
        assert_eq!(names(&list), essential);
    }

    #[test]
    fn te_is_cut_down_to_trailers() {
        for (value, kept) in [
            ("trailers", true),
            ("gzip, Trailers", true),
            ("gzip;q=0.5,trailers , deflate", true),
            ("gzip", false),
            ("", false),
            ("xtrailers", false),
        ] {
            let left = stripped(&[("TE", value), ("Connection", "te")]);
            let expected: Vec<(String, String)> = if kept { vec![("te".into(), "trailers".into())] } else { vec![] };
            assert_eq!(left, expected, "{value}");
        }
    }

    #[test]
    fn an_endless_connection_field_is_refused() {
        for (length, result) in [(LONGEST_CONNECTION, Ok(())), (LONGEST_CONNECTION + 1, Err(Malformed::Syntax))] {
            let mut fields = Fields::default();
            fields.add(b"connection", &vec![b','; length - 5]);
            fields.add(b"connection", b"close");
            assert_eq!(strip_response(&mut fields.clone()), result, "{length}");
            assert_eq!(strip_request(&mut fields), result, "{length}");
        }
    }
}
