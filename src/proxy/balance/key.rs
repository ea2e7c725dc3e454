//! What of a request decides where it goes, and the number that is made of it.

use std::net::IpAddr;

use super::HashBy;
use super::asking::Asking;
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
                    IpAddr::V4(address) => stable(&address.octets()),
                    IpAddr::V6(address) => stable(&address.octets()),
                });
            }
            Self::Path => request.path(),
            Self::Host => request.authority(),
            Self::Field(name) => request.fields.values(name).next()?,
            Self::Cookie(name) => cookie(&request.fields, name)?,
        };
        (!value.is_empty()).then(|| stable(value))
    }
}

/// The value of the first cookie of that name (RFC 6265 §4.2.1). Names of cookies have a case.
fn cookie<'f>(fields: &'f Fields, name: &[u8]) -> Option<&'f [u8]> {
    let pairs = fields.all(Name::Cookie).flat_map(|list| list.split(|byte| *byte == b';'));
    pairs.map(<[u8]>::trim_ascii).find_map(|pair| pair.strip_prefix(name)?.strip_prefix(b"="))
}

/// Of the same bytes the same number, in every process, of every version and on every machine: changed, it would move every
/// client of everybody to another backend.
pub(super) fn stable(bytes: &[u8]) -> u64 {
    let (blocks, rest) = bytes.as_chunks::<8>();
    let start = mix(bytes.len() as u64 + 1);
    let hash = blocks.iter().fold(start, |hash, block| mix(hash ^ u64::from_le_bytes(*block)));
    let mut last = [0; 8];
    last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    mix(hash ^ u64::from_le_bytes(last))
}

/// Spreads every bit over all (Stafford's variant 13 of MurmurHash3's finalizer). Different numbers stay different.
pub(super) fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
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
    fn the_number_of_a_key_never_changes() {
        for (key, number) in [
            (&b""[..], 0x7ab4_0e09_0f36_3a7d_u64),
            (b"a", 0xe2a0_9a98_04f6_3bff),
            (b"12345678", 0xd9f6_920f_221a_755b),
            (b"a longer key than one block", 0xf427_5189_9f01_db01),
        ] {
            assert_eq!(stable(key), number, "{key:?} is {:#x}", stable(key));
        }
    }

    #[test]
    fn a_key_is_found_where_the_pool_says() {
        let of = |by: &HashBy, fields: &[(&str, &str)]| hash(by, "192.0.2.1", fields);
        let value = |text: &str| Some(stable(text.as_bytes()));
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
        assert_eq!(hash(&HashBy::Ip, "192.0.2.1", &[]), Some(stable(&[192, 0, 2, 1])));
        assert_ne!(hash(&HashBy::Ip, "2001:db8::1", &[]), hash(&HashBy::Ip, "2001:db8::2", &[]));
    }
}
