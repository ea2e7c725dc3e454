//! The messages of the event log that tests wait for. Operators' alerts may wait for them too: a change here is a change for users.

/// A listener accepts: `listener`, `address`.
pub(crate) const LISTENING: &str = "listening";
/// The admin listener accepts: `address`.
pub(crate) const ADMIN_LISTENING: &str = "admin listening";
/// A snapshot is live, the first one or a later one: `generation`.
pub(crate) const SERVING: &str = "serving";
/// A changed config was refused and the last good one serves on.
pub(crate) const CONFIG_REFUSED: &str = "config refused";
/// A changed certificate is live: `certificate`.
pub(crate) const CERTIFICATE_REPLACED: &str = "certificate replaced";
/// A changed certificate was refused and the last good one serves on: `certificate`.
pub(crate) const CERTIFICATE_REFUSED: &str = "certificate refused";
/// A signal came: no new connections, what is in flight is finished.
pub(crate) const DRAINING: &str = "draining";
/// An address is no longer accepted on, since no config has it: `listener`, `address`.
pub(crate) const NO_LONGER_LISTENING: &str = "no longer listening";
/// No connection to a backend can be opened any more: `backend`, `reason`, `detail`.
pub(crate) const BACKEND_FAILS: &str = "no connection to a backend can be opened";
/// Connections to a backend that could not be reached can be opened again: `backend`.
pub(crate) const BACKEND_MENDED: &str = "connections to a backend can be opened again";
/// The probes of a backend fail: `pool`, `backend`, `address`, `reason`, `probes` (how many failed in a row).
pub(crate) const BACKEND_DOWN: &str = "backend is down";
/// The probes of a backend that was down are good: `pool`, `backend`, `address`, `down_seconds`, `probes`.
pub(crate) const BACKEND_UP: &str = "backend is up";
/// Those that are down get requests: `pool`, `up`, `of`.
pub(crate) const POOL_ASKS_ALL: &str = "too few backends of a pool are up; those that are down are asked too";
/// Only those that are up get requests again: `pool`, `up`, `of`.
pub(crate) const POOL_MENDED: &str = "enough backends of a pool are up again";
/// Changed files of a pool's `tls` are used: `pool`.
pub(crate) const BACKEND_TLS_REPLACED: &str = "backend TLS files replaced";
/// Changed files of a pool's `tls` were refused and what they held last is used on: `pool`, `problem`.
pub(crate) const BACKEND_TLS_REFUSED: &str = "backend TLS files refused";
/// A config went live that the operator should look at: `problem`.
pub(crate) const CONFIG_ACCEPTED_WITH_WARNING: &str = "config accepted with a warning";
/// The name of a backend has addresses, the first ones or others: `name`, `addresses`.
pub(crate) const NAME_RESOLVED: &str = "backend name resolved";
/// The name of a backend does not resolve; its last addresses serve on: `name`, `problem`, `addresses` (how many).
pub(crate) const NAME_FAILS: &str = "backend name does not resolve";
/// The name of a backend resolves after it did not: `name`, `addresses` (how many).
pub(crate) const NAME_MENDED: &str = "backend name resolves again";
/// A changed file of users or keys is used: `file`.
pub(crate) const AUTH_REPLACED: &str = "users or keys replaced";
/// A changed file of users or keys was refused and what it held last is used on: `file`, `problem`.
pub(crate) const AUTH_REFUSED: &str = "users or keys refused; the last good ones are used on";
/// The keys of an issuer could not be fetched, and those that were fetched last, if any, are used on: `pool`, `problem`.
pub(crate) const KEYS_MISSING: &str = "keys cannot be fetched; the last good ones are used on";
/// A backend's breaker keeps requests away.
pub(crate) const BREAKER_OPENED: &str = "breaker opened";
