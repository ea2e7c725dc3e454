//! Listening Unix sockets: one for each path, shared by all workers, since the kernel spreads nothing over several.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

use super::tcp::BACKLOG;

/// The longest path that an address of the kernel can hold.
pub const LONGEST_PATH: usize = 107;

/// Who may connect: the process's user and group. To connect is to write, so that everybody else is refused.
const MODE: u32 = 0o660;

/// A listening socket and its file, which is removed with it.
#[derive(Debug)]
pub struct Bound {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode, so that a file that somebody else has put there is left alone.
    file: (u64, u64),
}

/// Listens at `path`. The file of a socket that nobody listens on any more is replaced.
///
/// # Errors
/// `AddrInUse` where somebody listens there, `AlreadyExists` where the file is no socket, and what the kernel says.
pub fn bind(path: &Path) -> io::Result<Bound> {
    remove_stale(path)?;
    let socket = socket()?;
    socket.bind(&SockAddr::unix(path)?)?;
    let file = identity(path)?;
    // Nobody can connect before it listens, so that nobody gets in under another mode.
    let listening = fs::set_permissions(path, Permissions::from_mode(MODE)).and_then(|()| socket.listen(BACKLOG));
    match listening {
        Ok(()) => Ok(Bound { listener: socket.into(), path: path.to_owned(), file }),
        Err(error) => {
            let _ = remove(path, file);
            Err(error)
        }
    }
}

impl Bound {
    /// Where it listens.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// One more descriptor of the same socket.
    ///
    /// # Errors
    /// What the kernel says: no descriptor left.
    pub fn share(&self) -> io::Result<UnixListener> {
        self.listener.try_clone()
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.path, self.file) {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the file of a Unix socket; the next start replaces it");
        }
    }
}

/// Makes way for a new socket.
fn remove_stale(path: &Path) -> io::Result<()> {
    let stale = match fs::symlink_metadata(path) {
        Ok(file) if !file.file_type().is_socket() => return Err(io::ErrorKind::AlreadyExists.into()),
        Ok(file) => (file.dev(), file.ino()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    match socket()?.connect(&SockAddr::unix(path)?).map_err(|error| error.kind()) {
        Err(io::ErrorKind::ConnectionRefused) => remove(path, stale),
        Err(io::ErrorKind::NotFound) => Ok(()),
        Err(io::ErrorKind::PermissionDenied) => Err(io::ErrorKind::PermissionDenied.into()),
        // It may be so busy that it cannot be asked.
        Ok(()) | Err(_) => Err(io::ErrorKind::AddrInUse.into()),
    }
}

fn socket() -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Removes a file, unless another one stands there by now.
fn remove(path: &Path, file: (u64, u64)) -> io::Result<()> {
    match identity(path) {
        Ok(found) if found == file => fs::remove_file(path),
        _ => Ok(()),
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_socket_lives_as_long_as_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let bound = bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        assert!(UnixStream::connect(&path).is_ok());
        let _shared = bound.share().unwrap();
        drop(bound);
        assert!(!path.exists());
    }

    #[test]
    fn one_that_somebody_listens_on_is_taken_and_a_stale_one_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let other = UnixListener::bind(&path).unwrap();
        assert_eq!(bind(&path).err().map(|error| error.kind()), Some(io::ErrorKind::AddrInUse));
        drop(other);
        assert!(path.exists());
        assert!(bind(&path).is_ok());
    }

    #[test]
    fn one_that_is_too_busy_to_answer_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let other = socket().unwrap();
        other.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        other.listen(0).unwrap();
        let _waiting = UnixStream::connect(&path).unwrap();
        assert_eq!(bind(&path).err().map(|error| error.kind()), Some(io::ErrorKind::AddrInUse));
    }

    #[test]
    fn what_is_no_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("f"), folder.path().join("l"));
        fs::write(&file, "precious").unwrap();
        std::os::unix::fs::symlink(folder.path().join("s"), &link).unwrap();
        for path in [file.as_path(), link.as_path(), folder.path()] {
            assert_eq!(bind(path).err().map(|error| error.kind()), Some(io::ErrorKind::AlreadyExists));
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    }

    #[test]
    fn only_the_file_that_was_looked_at_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let [path, other] = ["s", "o"].map(|name| folder.path().join(name));
        let _listening = [UnixListener::bind(&path).unwrap(), UnixListener::bind(&other).unwrap()];
        remove(&path, identity(&other).unwrap()).unwrap();
        assert!(path.exists());
        remove(&path, identity(&path).unwrap()).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn the_file_of_another_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let bound = bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let _other = UnixListener::bind(&path).unwrap();
        drop(bound);
        assert!(path.exists());
    }
}
