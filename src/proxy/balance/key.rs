//! What of a request decides where it goes, and the number that is made of it.

use std::net::IpAddr;

use super::HashBy;
use super::asking::Asking;
use crate::base::stable;
use crate::proxy::message::{Fields, Name};

/// What is looked for in a request.
#[derive(Debug)]
pub(super) enum Key {
    Address,
    Path,
    Host,
    Field(Box<[u8]>),
    Cookie(Box<[u8]>),
}

impl Key {
    pub(super) fn of(by: &HashBy) -> Self {
        match by {
            HashBy::Ip => Self::Address,
            HashBy::Path => Self::Path,
            // Over HTTP/2 there may be no field of that name.
            HashBy::Header(name) if name.eq_ignore_ascii_case("host") => Self::Host,
            HashBy::Header(name) => Self::Field(name.as_bytes().into()),
            HashBy::Cookie(name) => Self::Cookie(name.as_bytes().into()),
        }
    }

    /// The number of a request's key; none where it has no key, or an empty one.
    pub(super) fn hash(&self, asking: &Asking<'_>) -> Option<u64> {
        let request = asking.request;
        let value = match self {
            Self::Address => {
                return Some(match asking.client {
                    IpAddr::V4(address) => stable::hash(&address.octets()),
                    IpAddr::V6(address) => stable::hash(&address.octets()),
                });
            }
            Self::Path => request.path(),
            Self::Host => request.authority(),
            Self::Field(name) => request.fields.values(name).next()?,
            Self::Cookie(name) => cookie(&request.fields, name)?,
        };
        (!value.is_empty()).then(|| stable::hash(value))
    }
}

/// The value of the first cookie of that name (RFC 6265 §4.2.1). Names of cookies have a case.
pub(super) fn cookie<'f>(fields: &'f Fields, name: &[u8]) -> Option<&'f [u8]> {
    let pairs = fields.all(Name::Cookie).flat_map(|list| list.split(|byte| *byte == b';'));
    pairs.map(<[u8]>::trim_ascii).find_map(|pair| pair.strip_prefix(name)?.strip_prefix(b"="))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::proxy::message::Request;

    fn hash(by: &HashBy, client: &str, fields: &[(&str, &str)]) -> Option<u64> {
        let mut request = Request::default();
        let target = request.fields.store(b"/a/b?c=d");
        request.set_target(target);
        let authority = request.fields.store(b"example.com");
        request.set_authority(authority);
        fields.iter().for_each(|(name, value)| request.fields.add(name.as_bytes(), value.as_bytes()));
        let client = client.parse().unwrap();
        Key::of(by).hash(&Asking { tried: &[], client, request: &request, now: Instant::now() })
    }

    #[test]
    fn a_key_is_found_where_the_pool_says() {
        let of = |by: &HashBy, fields: &[(&str, &str)]| hash(by, "192.0.2.1", fields);
        let value = |text: &str| Some(stable::hash(text.as_bytes()));
        let header = HashBy::Header("x-user".into());
        assert_eq!(of(&HashBy::Path, &[]), value("/a/b"));
        assert_eq!(of(&HashBy::Header("host".into()), &[]), value("example.com"));
        assert_eq!(of(&header, &[("X-Other", "a"), ("X-User", "b"), ("X-User", "c")]), value("b"));
        assert_eq!((of(&header, &[]), of(&header, &[("X-User", "")])), (None, None));
        let cookie = HashBy::Cookie("id".into());
        assert_eq!(of(&cookie, &[("Cookie", "xid=1; ID=2;id=3; id=4")]), value("3"));
        assert_eq!(of(&cookie, &[("Cookie", "a=1"), ("Cookie", "id=5=6")]), value("5=6"));
        assert_eq!((of(&cookie, &[("Cookie", "id; id=")]), of(&cookie, &[])), (None, None));
    }

    #[test]
    fn an_address_is_its_bytes() {
        assert_eq!(hash(&HashBy::Ip, "192.0.2.1", &[]), Some(stable::hash(&[192, 0, 2, 1])));
        assert_ne!(hash(&HashBy::Ip, "2001:db8::1", &[]), hash(&HashBy::Ip, "2001:db8::2", &[]));
    }
}
