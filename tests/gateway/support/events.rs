//! The messages of the event log that tests wait for. Operators' alerts may wait for them too: a change here is a change for users.

/// A listener accepts: `listener`, `address`.
pub(crate) const LISTENING: &str = "listening";
/// The admin listener accepts: `address`.
pub(crate) const ADMIN_LISTENING: &str = "admin listening";
/// A snapshot is live, the first one or a later one: `generation`.
pub(crate) const SERVING: &str = "serving";
/// A changed config was refused and the last good one serves on.
pub(crate) const CONFIG_REFUSED: &str = "reload refused; what was live serves on";
/// A changed certificate is live: `certificate`.
pub(crate) const CERTIFICATE_REPLACED: &str = "certificate replaced";
/// Something that the operator should look at, and that does not keep the config from being served: `problem`.
pub(crate) const WARNED: &str = "config accepted with a warning";
/// A signal came: no new connections, what is in flight is finished.
pub(crate) const DRAINING: &str = "draining";
