//! The field names the gateway itself reads, removes or sets.

macro_rules! names {
    ($($variant:ident = $text:literal),+ $(,)?) => {
        /// A field name that the gateway knows. Told once when a field is stored; after that, compared as a number.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[allow(missing_docs, reason = "each variant is the name its text says")]
        pub enum Name {
            $($variant,)+
            /// Any other name: compare the bytes.
            Other,
        }

        const KNOWN: &[(Name, &[u8])] = &[$((Name::$variant, $text.as_bytes())),+];
    };
}

names! {
    Te = "te",
    Age = "age",
    Via = "via",
    Date = "date",
    Host = "host",
    Allow = "allow",
    Proxy = "proxy",
    Cookie = "cookie",
    Expect = "expect",
    Server = "server",
    Referer = "referer",
    Trailer = "trailer",
    Upgrade = "upgrade",
    Location = "location",
    Forwarded = "forwarded",
    XRealIp = "x-real-ip",
    Connection = "connection",
    KeepAlive = "keep-alive",
    UserAgent = "user-agent",
    SetCookie = "set-cookie",
    RetryAfter = "retry-after",
    Traceparent = "traceparent",
    ClientCert = "client-cert",
    ContentType = "content-type",
    ProxyStatus = "proxy-status",
    XRequestId = "x-request-id",
    ContentLength = "content-length",
    Http2Settings = "http2-settings",
    XForwardedFor = "x-forwarded-for",
    ProxyConnection = "proxy-connection",
    XForwardedHost = "x-forwarded-host",
    XForwardedProto = "x-forwarded-proto",
    TransferEncoding = "transfer-encoding",
    ClientCertChain = "client-cert-chain",
    SecWebSocketKey = "sec-websocket-key",
    ProxyAuthenticate = "proxy-authenticate",
    ProxyAuthorization = "proxy-authorization",
    SecWebSocketAccept = "sec-websocket-accept",
    XClientCertSubject = "x-client-cert-subject",
    XForwardedClientCert = "x-forwarded-client-cert",
    StrictTransportSecurity = "strict-transport-security",
}

impl Name {
    /// Which known name `raw` is, compared without case.
    pub fn of(raw: &[u8]) -> Self {
        let Some(candidates) = BY_LENGTH.get(raw.len()) else { return Self::Other };
        // Folded once, all of the block at one go: there are a dozen names a request to be told.
        let mut folded = [0; 32];
        folded[..raw.len()].copy_from_slice(raw);
        folded.make_ascii_lowercase();
        let known = &KNOWN[candidates.0 as usize..candidates.1 as usize];
        known.iter().find(|(_, text)| *text == &folded[..raw.len()]).map_or(Self::Other, |(name, _)| *name)
    }

    /// Which known name `raw` is to a reader that takes underscores for dashes, as CGI and its heirs do.
    pub fn of_twin(raw: &[u8]) -> Self {
        let mut dashed = [0; LONGEST];
        let Some(dashed) = dashed.get_mut(..raw.len()) else { return Self::Other };
        dashed.copy_from_slice(raw);
        dashed.iter_mut().filter(|byte| **byte == b'_').for_each(|byte| *byte = b'-');
        Self::of(dashed)
    }

    /// Whether `raw` begins with `front`, compared without case, to such a reader. `front` has no underscores.
    pub fn twin_begins(raw: &[u8], front: &[u8]) -> bool {
        let same =
            |(byte, expected): (&u8, &u8)| byte.eq_ignore_ascii_case(expected) || (*byte == b'_' && *expected == b'-');
        raw.len() >= front.len() && raw.iter().zip(front).all(same)
    }
}

const LONGEST: usize = 25;

/// For each length, the stretch of `KNOWN` (which is sorted by length) that has it.
const BY_LENGTH: [(u8, u8); LONGEST + 2] = stretches();

const fn stretches() -> [(u8, u8); LONGEST + 2] {
    let mut table = [(0, 0); LONGEST + 2];
    let mut index = 0;
    while index < KNOWN.len() {
        let length = KNOWN[index].1.len();
        assert!(index == 0 || KNOWN[index - 1].1.len() <= length, "KNOWN is sorted by length");
        if table[length].1 == 0 {
            table[length].0 = index as u8;
        }
        table[length].1 = index as u8 + 1;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_is_found_in_any_case() {
        for (name, text) in KNOWN {
            assert_eq!(Name::of(text), *name);
            assert_eq!(Name::of(&text.to_ascii_uppercase()), *name);
        }
    }

    #[test]
    fn underscores_are_dashes_to_some() {
        for text in ["x_forwarded_for", "X-Forwarded_For", "x-forwarded-for", "X_FORWARDED-FOR"] {
            assert_eq!(Name::of_twin(text.as_bytes()), Name::XForwardedFor);
        }
        for text in ["", "x_forwarded_fo", "_", "a_name_that_is_longer_than_any_of_those_known"] {
            assert_eq!(Name::of_twin(text.as_bytes()), Name::Other);
        }
    }

    #[test]
    fn a_front_is_told_with_either() {
        for text in ["x-forwarded-", "X_Forwarded-Port", "x_forwarded_"] {
            assert!(Name::twin_begins(text.as_bytes(), b"x-forwarded-"), "{text}");
        }
        for text in ["", "x-forwarded", "xx-forwarded-", "x.forwarded-"] {
            assert!(!Name::twin_begins(text.as_bytes(), b"x-forwarded-"), "{text}");
        }
    }

    #[test]
    fn others_are_other() {
        for text in ["", "x", "hosts", "x-forwarded-fo", "a-name-that-is-longer-than-any-of-those-known"] {
            assert_eq!(Name::of(text.as_bytes()), Name::Other);
        }
    }
}
