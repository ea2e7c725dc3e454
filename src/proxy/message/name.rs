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
    Origin = "origin",
    Server = "server",
    Referer = "referer",
    Trailer = "trailer",
    Upgrade = "upgrade",
    Location = "location",
    Forwarded = "forwarded",
    XRealIp = "x-real-ip",
    Connection = "connection",
    KeepAlive = "keep-alive",
    Tracestate = "tracestate",
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
        let (Some(candidates), [first, .., last]) = (BY_LENGTH.get(raw.len()), raw) else { return Self::Other };
        let known = &KNOWN[candidates.0 as usize..candidates.1 as usize];
        // There are a dozen names a request to be told: the ends rule nearly every candidate out, and a bit folds their case. It
        // leaves digits and dashes as they are; what else it changes fails the comparison.
        let ends = (first | 0x20, last | 0x20);
        let fits = |text: &[u8]| (text[0], text[text.len() - 1]) == ends && is_text(raw, text);
        known.iter().find(|(_, text)| fits(text)).map_or(Self::Other, |(name, _)| *name)
    }

    /// The name in lower case; empty for [`Other`](Self::Other).
    pub fn text(self) -> &'static [u8] {
        KNOWN.get(self as usize).map_or(b"", |(_, text)| text)
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

/// Whether `raw` is `text`, which is in lower case and as long, compared without case: eight bytes at a time.
fn is_text(raw: &[u8], text: &[u8]) -> bool {
    let (Some(raw_end), Some(text_end)) = (raw.last_chunk(), text.last_chunk()) else {
        return raw.eq_ignore_ascii_case(text);
    };
    let blocks = raw.as_chunks().0.iter().zip(text.as_chunks().0);
    // The last block lies over what the one before it has, where the length is no multiple.
    blocks.fold(differ(raw_end, text_end), |different, (raw, text)| different | differ(raw, text)) == 0
}

/// Zero where both are the same but for the case of letters, which alone among the bytes of names have the bit 0x40.
fn differ(raw: &[u8; 8], text: &[u8; 8]) -> u64 {
    let (raw, text) = (u64::from_ne_bytes(*raw), u64::from_ne_bytes(*text));
    (raw ^ text) & !((text & 0x4040_4040_4040_4040) >> 1)
}

const LONGEST: usize = 25;

// What a message has of known names is remembered in the bits of one number.
const _: () = assert!(KNOWN.len() < u64::BITS as usize);

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
