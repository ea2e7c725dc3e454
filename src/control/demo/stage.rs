//! The demo's directory: config, certificates and state, gone when the demo ends.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::net::{SocketAddr as UnixAddress, UnixListener};
use std::path::{Path, PathBuf};

use time::OffsetDateTime;

use crate::base::clock;

use super::Failure;
use super::authority::{Authority, Pair};
use super::backends::Backends;

/// How many ports after the usual one are tried.
const PORTS: u16 = 100;

/// The config that is written, but for addresses.
const CONFIG: &str = include_str!("portcullis.toml");

/// A directory with everything the gateway needs. Dropping it removes the directory.
pub(super) struct Stage {
    directory: PathBuf,
    /// HTTPS.
    pub(super) https: u16,
    /// Plain HTTP.
    pub(super) http: u16,
    /// The admin listener.
    pub(super) admin: u16,
    /// Keeps other demos off the ports until the gateway has them.
    _reserved: [Reserved; 3],
}

/// A name that one process holds until it ends. It says nothing to anyone but another demo.
type Reserved = UnixListener;

impl Stage {
    /// Makes the directory, its certificates and its config.
    pub(super) fn set(backends: &Backends) -> Result<Self, Failure> {
        let addresses = loopback();
        let directory = std::env::temp_dir().join(format!("portcullis-demo-{:08x}", fastrand::u32(..)));
        let (https, reserved_https) = free_port(&addresses, 8443)?;
        let (http, reserved_http) = free_port(&addresses, 8080)?;
        let (admin, reserved_admin) = free_port(&addresses[..1], 9901)?;
        make_directory(&directory)?;
        // From here on dropping it clears up, also when a later step fails.
        let stage = Self { directory, https, http, admin, _reserved: [reserved_https, reserved_http, reserved_admin] };
        stage.write_certificates()?;
        stage.write("portcullis.toml", &stage.config(&addresses, backends), 0o644)?;
        Ok(stage)
    }

    /// The config, to be served and edited.
    pub(super) fn config_file(&self) -> PathBuf {
        self.directory.join("portcullis.toml")
    }

    /// What clients trust.
    pub(super) fn ca_file(&self) -> PathBuf {
        self.directory.join("ca.crt")
    }

    /// The directory that the served certificate is in.
    pub(super) fn certificates(&self) -> PathBuf {
        self.directory.join("certs")
    }

    /// A second pair under the same file names, to be moved over the first.
    pub(super) fn spare_certificates(&self) -> PathBuf {
        self.directory.join("spare")
    }

    /// The admin listener's bearer token; the gateway writes it.
    pub(super) fn token_file(&self) -> PathBuf {
        self.directory.join("state").join("admin.token")
    }

    fn write_certificates(&self) -> Result<(), Failure> {
        let authority = Authority::new(OffsetDateTime::from(clock::now()))?;
        self.write("ca.crt", &authority.certificate(), 0o644)?;
        for (directory, title) in
            [("certs", "Portcullis demo, certificate 1"), ("spare", "Portcullis demo, certificate 2")]
        {
            make_directory(&self.directory.join(directory))?;
            let Pair { certificate, key } = authority.issue(title)?;
            self.write(&format!("{directory}/localhost.crt"), &certificate, 0o644)?;
            self.write(&format!("{directory}/localhost.key"), &key, 0o600)?;
        }
        Ok(())
    }

    fn config(&self, addresses: &[IpAddr], backends: &Backends) -> String {
        let bind = |port| {
            let binds: Vec<_> = addresses.iter().map(|ip| format!("\"{}\"", SocketAddr::new(*ip, port))).collect();
            format!("[{}]", binds.join(", "))
        };
        let list: String = backends
            .list()
            .iter()
            .map(|one| format!("  {{ url = \"http://{}\", weight = {} }}, # {}\n", one.address, one.weight, one.name))
            .collect();
        CONFIG
            .replace("\"@https@\"", &bind(self.https))
            .replace("\"@http@\"", &bind(self.http))
            .replace("@https_port@", &self.https.to_string())
            .replace("@admin@", &SocketAddr::new(addresses[0], self.admin).to_string())
            .replace("  \"@backends@\",\n", &list)
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> Result<(), Failure> {
        let path = self.directory.join(name);
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| Failure::Write { path, error })
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.directory) {
            eprintln!("portcullis demo: cannot remove {}: {error}; remove it by hand", self.directory.display());
        }
    }
}

/// Only for its owner, and never one that is there already: the name is in a directory that others write to.
fn make_directory(path: &Path) -> Result<(), Failure> {
    DirBuilder::new().mode(0o700).create(path).map_err(|error| Failure::Write { path: path.to_owned(), error })
}

/// The loopback addresses of this machine, IPv4 first. Containers often have no IPv6.
fn loopback() -> Vec<IpAddr> {
    let mut addresses = vec![IpAddr::V4(Ipv4Addr::LOCALHOST)];
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
        addresses.push(IpAddr::V6(Ipv6Addr::LOCALHOST));
    }
    addresses
}

/// The first port from `usual` on that is free on every address and that no other demo has chosen.
fn free_port(addresses: &[IpAddr], usual: u16) -> Result<(u16, Reserved), Failure> {
    let free = |port: &u16| addresses.iter().all(|ip| TcpListener::bind((*ip, *port)).is_ok());
    let last = usual.saturating_add(PORTS - 1);
    let choice = (usual..=last).find_map(|port| {
        let reserved = reserve(port).ok()?;
        free(&port).then_some((port, reserved))
    });
    choice.ok_or(Failure::Ports { first: usual, last })
}

/// Between the look and the gateway's bind another demo may look too. An abstract socket is no file to clear up.
fn reserve(port: u16) -> io::Result<Reserved> {
    UnixListener::bind_addr(&UnixAddress::from_abstract_name(format!("portcullis-demo-{port}"))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::settings::Environment;
    use crate::control::config::{Config, Overrides};

    #[test]
    fn a_taken_port_is_passed_over() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let addresses = [IpAddr::V4(Ipv4Addr::LOCALHOST)];
        let (found, _reserved) = free_port(&addresses, port).unwrap();
        assert!(found > port);
        let (another, _reserved) = free_port(&addresses, port).unwrap();
        assert!(another > found, "another demo's choice is passed over too");
    }

    #[test]
    fn there_is_no_port_after_the_last() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, u16::MAX));
        let chosen = free_port(&[IpAddr::V4(Ipv4Addr::LOCALHOST)], u16::MAX);
        // Where another program has it, there is none.
        assert!(taken.is_err() || matches!(chosen, Err(Failure::Ports { first: u16::MAX, last: u16::MAX })));
    }

    #[test]
    fn the_directory_is_private_complete_and_goes_away() {
        use std::os::unix::fs::PermissionsExt;

        let backends = Backends::start().unwrap();
        let stage = Stage::set(&backends).unwrap();
        let directory = stage.directory.clone();
        let mode = |path: PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(directory.clone()), 0o700);
        assert_eq!(mode(stage.certificates().join("localhost.key")), 0o600);
        assert_eq!(mode(stage.spare_certificates().join("localhost.key")), 0o600);

        let config = std::fs::read_to_string(stage.config_file()).unwrap();
        assert!(!config.contains('@'), "{config}");
        assert!(config.contains(&format!("127.0.0.1:{}", stage.https)), "{config}");
        for backend in backends.list() {
            assert!(
                config.contains(&format!("{{ url = \"http://{}\", weight = {} }}", backend.address, backend.weight))
            );
        }
        let loaded = Config::load(&stage.config_file(), &Environment::default(), &Overrides::default()).unwrap();
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);

        drop(stage);
        assert!(!directory.exists());
    }
}
