//! The key of the cookies that bring clients back to their backends.

use std::sync::Arc;

use super::Built;
use crate::base::secret::{self, Kind};
use crate::base::settings::Problem;
use crate::control::config::Config;
use crate::proxy::balance::StickyKey;

/// Where it is kept, in the state folder. Gateways that share the file know each other's cookies.
const FILE: &str = "sticky.key";

const KIND: Kind =
    Kind { name: "key of sticky cookies", unread: "", unmade: " or set server.state_dir to a folder that is" };

/// The key, where a pool of `config` wants one: that of `previous`, or what the state folder `keeps`, which is made where it is
/// missing. A config that is only looked at leaves no file behind.
pub(super) fn key(
    config: &Config,
    previous: Option<&Built>,
    keeps: bool,
    problems: &mut Vec<Problem>,
) -> Option<Arc<StickyKey>> {
    let place = config.pools.iter().find_map(|pool| pool.sticky.cookie.as_ref())?.place;
    if let Some(known) = previous.and_then(|built| built.sticky_key.as_ref()) {
        return Some(Arc::clone(known));
    }
    if !keeps {
        return Some(Arc::new(StickyKey::of(&[])));
    }
    match secret::load_or_create(KIND, &config.server.state_dir.join(FILE)) {
        Ok(secret) => Some(Arc::new(StickyKey::of(secret.as_bytes()))),
        Err(error) => {
            let text = error.to_string();
            let (message, advice) = text.split_once("; ").unwrap_or((&text, "see server.state_dir"));
            problems.push(Problem::error(place, message, advice));
            None
        }
    }
}
