//! `bind`: where a listener accepts connections.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use super::unix::LONGEST_PATH;
use crate::base::settings::{Node, Setting, Shape};

/// One place to accept connections.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Bind {
    /// An address and a port, of one family: `[::]` is IPv6 only. Port 0 takes a free one.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl FromStr for Bind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Tcp(address));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            let whole = SocketAddr::new(address, 443);
            return Err(format!("`{text}` has no port; add it: \"{whole}\""));
        }
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() || path.ends_with('/') || path.contains('\0') {
                let advice = "write the path of the socket: \"unix:/run/portcullis/http.sock\"";
                return Err(format!("`{text}` names no Unix socket; {advice}"));
            }
            return Ok(Self::Unix(path.into()));
        }
        let advice = match text.strip_prefix(':').or_else(|| text.strip_prefix("*:")) {
            Some(port) => format!("write \"0.0.0.0:{port}\" for IPv4, \"[::]:{port}\" for IPv6, or both in a list"),
            None if text.starts_with("localhost:") => {
                text.replacen("localhost", "write \"127.0.0.1", 1) + "\": names are not resolved here"
            }
            None if text.starts_with('/') => format!("write \"unix:{text}\" for a Unix socket"),
            None => "write an IP address and a port: \"0.0.0.0:443\", \"[::]:443\"".into(),
        };
        Err(format!("`{text}` is not an address to listen on; {advice}"))
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Setting for Bind {
    fn shape() -> Shape {
        Shape::text("an address with a port, or `unix:` and a path", "0.0.0.0:443")
    }

    /// A relative path of a Unix socket starts at the folder of the file it stands in.
    fn read(node: &Node<'_>) -> Option<Self> {
        let path = match node.parse()? {
            Self::Unix(path) => node.folder().join(path),
            tcp @ Self::Tcp(_) => return Some(tcp),
        };
        let length = path.as_os_str().len();
        if length > LONGEST_PATH {
            let message = format!("the path of this Unix socket is {length} bytes long");
            return node.problem(message, format!("choose one of {LONGEST_PATH} bytes at most: no kernel takes more"));
        }
        Some(Self::Unix(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_paths_are_read() {
        for (text, bind) in [
            ("[::]:443", Bind::Tcp("[::]:443".parse().unwrap())),
            ("unix:/run/gate.sock", Bind::Unix("/run/gate.sock".into())),
            ("unix:///run/gate.sock", Bind::Unix("/run/gate.sock".into())),
            ("unix:gate.sock", Bind::Unix("gate.sock".into())),
        ] {
            assert_eq!(text.parse::<Bind>().unwrap(), bind);
        }
    }

    #[test]
    fn an_address_that_cannot_be_bound_says_what_to_write() {
        for (text, advice) in [
            (":8443", "write \"0.0.0.0:8443\" for IPv4"),
            ("*:80", "\"[::]:80\" for IPv6"),
            ("unix:", "write the path of the socket"),
            ("unix:/run/", "write the path of the socket"),
            ("/run/gate.sock", "write \"unix:/run/gate.sock\""),
            ("::1", "add it: \"[::1]:443\""),
            ("localhost:80", "write \"127.0.0.1:80\""),
            ("example.com:80", "write an IP address and a port"),
            ("1.2.3.4:99999", "write an IP address and a port"),
        ] {
            let error = text.parse::<Bind>().unwrap_err();
            assert!(error.contains(advice), "{error}");
        }
    }
}
