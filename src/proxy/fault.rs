//! Every reason for refusing or failing a request, a stream or a connection: one type, one table. The answer's status and
//! `Proxy-Status`, the access log and `refused_total` all print from here.

/// Who is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The client sent something that cannot be served.
    Downstream,
    /// A backend failed.
    Upstream,
    /// The gateway itself.
    Internal,
}

/// Why a request was refused or failed, or a stream or a connection was ended before there was one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The request is malformed, ambiguous or smuggled.
    Malformed(Malformed),
    /// The request line or `:path` is longer than the limit.
    UriTooLong,
    /// The header fields are more or larger than the limits.
    HeadersTooLarge,
    /// The body is larger than the route's limit.
    BodyTooLarge,
    /// The client did not send its body in time.
    BodyTimeout,
    /// The client did not finish its headers in time.
    HeaderTimeout,
    /// An expectation other than `100-continue`.
    ExpectationFailed,
    /// CONNECT or TRACE: this is no forward proxy, and TRACE shows what fields were added.
    MethodRefused,
    /// The host is not covered by the certificate of the connection.
    Misdirected,
    /// The list that decides on the client denies it.
    AclDenied,
    /// No route matches.
    NoRoute,
    /// The method is none of those that its route takes.
    MethodNotAllowed,
    /// The body is none of what its route takes.
    ContentTypeRefused,
    /// Its header fields are not what its route asks for.
    HeaderRefused,
    /// There are no credentials, or they are not good.
    Unauthenticated,
    /// The service that decides who may come does not let it in.
    AuthDenied,
    /// More passwords are being checked than may be.
    AuthBusy,
    /// The service that decides who may come cannot be asked.
    AuthUnavailable,
    /// The service that decides who may come failed.
    AuthFailed,
    /// The service that decides who may come took too long.
    AuthTimeout,
    /// A rate limit has no token left for it.
    RateLimited,
    /// The client went away or stopped reading.
    ClientGone,
    /// HTTP without TLS on a port that speaks TLS.
    PlainHttp,
    /// A PROXY header is wanted, and the peer is none that may send one.
    ProxyHeaderUntrusted,
    /// A PROXY header is wanted, and the connection begins with none, or with a malformed one.
    ProxyHeaderMalformed,
    /// The PROXY header did not come in time.
    ProxyHeaderTimeout,
    /// The listener has as many connections as it may.
    TooManyConnections,
    /// The client has as many connections to the listener as it may.
    TooManyOfPeer,
    /// The client opened more HTTP/2 streams at once than it was told it may.
    TooManyStreams,
    /// The client broke the rules of HTTP/2, so that its connection or a stream of it was ended without an answer.
    Http2Protocol,
    /// The client's HTTP/2 frames cost more than its requests are worth.
    Http2Flood,
    /// The pool has no backend that may be asked.
    NoBackend,
    /// Every backend has as many requests as it may have, and as many wait as may.
    QueueFull,
    /// No backend had room for it in time.
    QueueTimeout,
    /// The backend answered with a status after which the request was sent again.
    BackendStatus,
    /// The breakers of all backends of the pool are open.
    BreakerOpen,
    /// The backend refused the connection or could not be reached.
    ConnectFailed,
    /// The backend did not accept the connection, or not finish the TLS handshake, in time.
    ConnectTimeout,
    /// TLS to the backend could not be established, so that nothing of the request was sent.
    BackendTls(TlsFault),
    /// The backend closed or reset the connection before its answer was complete.
    BackendReset,
    /// The backend's answer is malformed.
    BackendMalformed,
    /// The header fields of the backend's answer are larger than the limit.
    BackendHeadersTooLarge,
    /// The backend does not carry a WebSocket, or accepted one without having understood.
    NoTunnel,
    /// The backend did not start its answer in time.
    ResponseTimeout,
    /// The backend stopped in the middle of its answer.
    StreamTimeout,
    /// The whole exchange took longer than the route allows.
    TotalTimeout,
    /// The gateway failed: a bug, always logged.
    Internal,
}

/// What makes a request malformed, for the log and `Proxy-Status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Malformed {
    /// The request line, a field or their line ends break the grammar of RFC 9112.
    Syntax,
    /// No host, more than one, or one that is no host.
    Host,
    /// `Content-Length` or `Transfer-Encoding` do not frame the body in one clear way.
    Framing,
    /// The path has a spelling that means different things to different readers.
    Path,
    /// The rewrite's prefix is spelled differently in the raw path than in the deciding one.
    Rewrite,
}

/// Why there is no TLS connection to a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlsFault {
    /// Its certificate has expired.
    CertificateExpired,
    /// Its certificate is for another name.
    WrongName,
    /// Its certificate was issued by nobody whom the pool trusts.
    UnknownIssuer,
    /// Its certificate cannot be accepted for another reason.
    Certificate,
    /// It has no HTTP version in common with what the pool offers.
    NoSharedProtocol,
    /// It does not speak TLS, or not as we do.
    Protocol,
    /// It refused, most often for want of a client certificate.
    AlertReceived,
    /// It closed or reset the connection within the handshake.
    Closed,
}

/// What the table says of one fault.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// The status of the answer; where there is none, what the log says in its place.
    pub status: u16,
    /// Who is at fault.
    pub side: Side,
    /// The name in metrics and logs: bounded, never a client's value.
    pub reason: &'static str,
    /// The `error` of `Proxy-Status` (RFC 9209 §2.3).
    pub proxy_status: &'static str,
    /// Whether the connection cannot be used again, so that it is closed after the answer.
    pub closes: bool,
}

const fn facts(status: u16, side: Side, reason: &'static str, proxy_status: &'static str, closes: bool) -> Facts {
    Facts { status, side, reason, proxy_status, closes }
}

impl Fault {
    /// The table.
    pub const fn facts(self) -> Facts {
        use Side::{Downstream, Internal, Upstream};
        match self {
            Self::Malformed(malformed) => malformed.facts(),
            Self::UriTooLong => facts(414, Downstream, "uri_too_long", "http_request_error", true),
            Self::HeadersTooLarge => facts(431, Downstream, "headers_too_large", "http_request_error", true),
            Self::BodyTooLarge => facts(413, Downstream, "body_too_large", "http_request_error", true),
            Self::BodyTimeout => facts(408, Downstream, "body_timeout", "http_request_error", true),
            Self::HeaderTimeout => facts(408, Downstream, "header_timeout", "http_request_error", true),
            Self::ExpectationFailed => facts(417, Downstream, "expectation_failed", "http_request_error", true),
            Self::MethodRefused => facts(501, Downstream, "method_refused", "http_request_denied", true),
            Self::Misdirected => facts(421, Downstream, "misdirected", "http_request_denied", false),
            Self::AclDenied => facts(403, Downstream, "acl", "http_request_denied", false),
            Self::NoRoute => facts(404, Downstream, "no_route", "destination_not_found", false),
            Self::MethodNotAllowed => facts(405, Downstream, "method_not_allowed", "http_request_denied", false),
            Self::ContentTypeRefused => facts(415, Downstream, "content_type", "http_request_denied", false),
            Self::HeaderRefused => facts(400, Downstream, "header_rule", "http_request_denied", false),
            Self::Unauthenticated => facts(401, Downstream, "unauthenticated", "http_request_denied", false),
            Self::AuthDenied => facts(403, Downstream, "auth_denied", "http_request_denied", false),
            Self::AuthBusy => facts(503, Downstream, "auth_busy", "http_request_denied", false),
            Self::AuthUnavailable => facts(503, Internal, "auth_unavailable", "destination_unavailable", false),
            Self::AuthFailed => facts(502, Internal, "auth_failed", "destination_unavailable", false),
            Self::AuthTimeout => facts(504, Internal, "auth_timeout", "http_response_timeout", false),
            Self::RateLimited => facts(429, Downstream, "rate_limited", "http_request_denied", false),
            Self::ClientGone => facts(499, Downstream, "client_gone", "http_request_error", true),
            Self::PlainHttp => facts(400, Downstream, "plain_http", "http_request_error", true),
            Self::ProxyHeaderUntrusted => facts(403, Downstream, "proxy_header_untrusted", "http_request_denied", true),
            Self::ProxyHeaderMalformed => facts(400, Downstream, "proxy_header_malformed", "http_request_error", true),
            Self::ProxyHeaderTimeout => facts(408, Downstream, "proxy_header_timeout", "http_request_error", true),
            Self::TooManyConnections => facts(503, Downstream, "max_connections", "http_request_denied", true),
            Self::TooManyOfPeer => facts(429, Downstream, "max_connections_per_ip", "http_request_denied", true),
            Self::TooManyStreams => facts(429, Downstream, "h2_streams", "http_request_denied", false),
            Self::Http2Protocol => facts(400, Downstream, "http2_protocol", "http_request_error", true),
            Self::Http2Flood => facts(429, Downstream, "http2_flood", "http_request_denied", true),
            Self::NoBackend => facts(503, Upstream, "no_backend", "destination_unavailable", false),
            Self::QueueFull => facts(503, Upstream, "queue_full", "destination_unavailable", false),
            Self::QueueTimeout => facts(503, Upstream, "queue_timeout", "destination_unavailable", false),
            Self::BackendStatus => facts(503, Upstream, "backend_status", "http_response_incomplete", false),
            Self::BreakerOpen => facts(503, Upstream, "breaker_open", "destination_unavailable", false),
            Self::ConnectFailed => facts(502, Upstream, "connect_failed", "connection_refused", false),
            Self::ConnectTimeout => facts(504, Upstream, "connect_timeout", "connection_timeout", false),
            Self::BackendTls(fault) => fault.facts(),
            Self::BackendReset => facts(502, Upstream, "backend_reset", "connection_terminated", false),
            Self::BackendMalformed => facts(502, Upstream, "backend_malformed", "http_protocol_error", false),
            Self::BackendHeadersTooLarge => {
                facts(502, Upstream, "backend_headers_too_large", "http_response_header_section_size", false)
            }
            Self::NoTunnel => facts(502, Upstream, "no_tunnel", "http_upgrade_failed", false),
            Self::ResponseTimeout => facts(504, Upstream, "response_timeout", "http_response_timeout", false),
            Self::StreamTimeout => facts(504, Upstream, "stream_timeout", "http_response_timeout", false),
            Self::TotalTimeout => facts(504, Upstream, "total_timeout", "http_response_timeout", false),
            Self::Internal => facts(500, Internal, "internal", "proxy_internal_error", true),
        }
    }

    /// The status of the answer.
    pub const fn status(self) -> u16 {
        self.facts().status
    }

    /// The name in metrics and logs.
    pub const fn reason(self) -> &'static str {
        self.facts().reason
    }
}

impl Malformed {
    /// Its part of the table.
    const fn facts(self) -> Facts {
        let (reason, closes) = match self {
            Self::Syntax => ("malformed_syntax", true),
            Self::Host => ("malformed_host", true),
            Self::Framing => ("malformed_framing", true),
            Self::Path => ("ambiguous_path", false),
            Self::Rewrite => ("ambiguous_rewrite", false),
        };
        facts(400, Side::Downstream, reason, "http_request_error", closes)
    }
}

impl TlsFault {
    /// Its part of the table.
    const fn facts(self) -> Facts {
        let (reason, proxy_status) = match self {
            Self::CertificateExpired => ("backend_certificate_expired", "tls_certificate_error"),
            Self::WrongName => ("backend_certificate_wrong_name", "tls_certificate_error"),
            Self::UnknownIssuer => ("backend_certificate_unknown_issuer", "tls_certificate_error"),
            Self::Certificate => ("backend_certificate_invalid", "tls_certificate_error"),
            Self::NoSharedProtocol => ("backend_no_shared_protocol", "tls_protocol_error"),
            Self::Protocol => ("backend_tls_protocol", "tls_protocol_error"),
            Self::AlertReceived => ("backend_tls_alert", "tls_alert_received"),
            Self::Closed => ("backend_tls_closed", "connection_terminated"),
        };
        facts(502, Side::Upstream, reason, proxy_status, false)
    }
}
