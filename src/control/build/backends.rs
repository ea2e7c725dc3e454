//! TLS to backends: the files of each pool, read and checked here.

use std::sync::Arc;

use crate::base::clock;
use crate::base::place::Place;
use crate::base::settings::Problem;
use crate::proxy::balance::Settings;
use crate::proxy::tls::{BackendFiles, BackendTls, BackendTlsSettings, PairError, Roots, Source};

use super::certificates::told;

/// How every pool with `https://` backends speaks TLS to them.
#[derive(Default)]
pub struct Backends {
    /// Read once, for the first pool that needs them: to take up others the gateway is restarted, as the reference says.
    system: Option<Roots>,
    list: Vec<PoolTls>,
}

/// One pool's.
struct PoolTls {
    pool: String,
    settings: BackendTlsSettings,
    tls: Arc<BackendTls>,
    /// Why the files' present content is not used.
    problem: Option<String>,
}

impl Backends {
    /// How the pool called `name` does.
    pub(super) fn of(&self, name: &str) -> Option<&Arc<BackendTls>> {
        self.entry(name).map(|entry| &entry.tls)
    }

    /// Whether using these makes a difference to `previous`: other files, or a problem that was not told.
    pub fn differ_from(&self, previous: &Self) -> bool {
        self.list.iter().any(|entry| {
            previous
                .entry(&entry.pool)
                .is_none_or(|known| !Arc::ptr_eq(&known.tls, &entry.tls) || known.problem != entry.problem)
        })
    }

    /// Tells of files that are used from now on, and of those that are not, unless `previous` had the same.
    pub fn tell(&self, previous: &Self) {
        for entry in &self.list {
            let Some(known) = previous.entry(&entry.pool) else { continue };
            match &entry.problem {
                Some(problem) if known.problem != entry.problem => {
                    tracing::warn!(pool = %entry.pool, %problem, "backend TLS files refused");
                }
                None if !Arc::ptr_eq(&known.tls, &entry.tls) => {
                    tracing::info!(pool = %entry.pool, "backend TLS files replaced");
                }
                Some(_) | None => {}
            }
        }
    }

    fn entry(&self, name: &str) -> Option<&PoolTls> {
        self.list.iter().find(|entry| entry.pool == name)
    }
}

/// Reads the files of every pool that has `https://` backends. Where those of a pool in `previous` are broken now, what they held
/// then is used on.
pub(super) fn read(pools: &[Settings], previous: Option<&Backends>, problems: &mut Vec<Problem>) -> Backends {
    let system = previous.and_then(|previous| previous.system.clone());
    let mut reading = Reading { system, problems };
    let secure = pools.iter().filter(|pool| pool.backends.iter().any(|backend| backend.url.secure));
    let list = secure.filter_map(|pool| reading.pool(pool, previous.and_then(|previous| previous.entry(&pool.name))));
    let list = list.collect();
    Backends { system: reading.system, list }
}

struct Reading<'p> {
    system: Option<Roots>,
    problems: &'p mut Vec<Problem>,
}

impl Reading<'_> {
    fn pool(&mut self, pool: &Settings, known: Option<&PoolTls>) -> Option<PoolTls> {
        let settings = pool.tls.as_ref().map_or_else(BackendTlsSettings::default, |tls| tls.value.clone());
        let (place, name) = (pool.tls.as_ref().map_or(pool.name.place, |tls| tls.place), pool.name.value.clone());
        let known = known.filter(|known| known.settings.files().eq(settings.files()));
        let entry = |tls, problem| Some(PoolTls { pool: name, settings: settings.clone(), tls, problem });
        match (BackendFiles::read(&settings, clock::now()), known) {
            (Ok(files), Some(known)) if *known.tls.digest() == files.digest => entry(Arc::clone(&known.tls), None),
            (Ok(files), _) => {
                for warning in &files.warnings {
                    let (message, advice) = told(warning);
                    self.problems.push(Problem::warning(place, message, advice));
                }
                entry(self.made(&files, place)?, None)
            }
            (Err(error), Some(known)) => entry(Arc::clone(&known.tls), Some(error.to_string())),
            (Err(error), None) => {
                let (message, advice) = told(&error);
                self.problems.push(Problem::error(at_fault(&settings, &error, place), message, advice).about("pool"));
                None
            }
        }
    }

    fn made(&mut self, files: &BackendFiles, place: Place) -> Option<Arc<BackendTls>> {
        let system = if files.trusts_system() { self.system(place)? } else { Roots::none() };
        match BackendTls::new(files, &system) {
            Ok(tls) => Some(Arc::new(tls)),
            Err(error) => {
                let (message, advice) = (error.to_string(), "restart the gateway");
                self.problems.push(Problem::error(place, message, advice).about("pool"));
                None
            }
        }
    }

    fn system(&mut self, place: Place) -> Option<Roots> {
        if self.system.is_none() {
            match Roots::system() {
                Ok((roots, source)) => {
                    if source == Source::BuiltIn {
                        let message = "the system has no root certificates; Mozilla's, as they were when this program was built, are trusted";
                        let advice = "install ca-certificates and restart the gateway, which reads them once; or name the CA of the backends: `tls = { ca = \"…\" }`";
                        self.problems.push(Problem::warning(place, message, advice));
                    }
                    self.system = Some(roots);
                }
                Err(error) => {
                    let (message, advice) = told(&error);
                    self.problems.push(Problem::error(place, message, advice).about("pool"));
                }
            }
        }
        self.system.clone()
    }
}

/// Where the file that is at fault stands.
fn at_fault(settings: &BackendTlsSettings, error: &PairError, otherwise: Place) -> Place {
    let pair = settings.pair.iter().flat_map(|pair| [&pair.cert, &pair.key]);
    let mut named = settings.ca.iter().chain(pair);
    named.find(|path| error.file() == path.as_path()).map_or(otherwise, |path| path.place)
}
