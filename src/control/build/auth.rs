//! Who may use routes: the files of users and keys, read and checked here.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::certificates::told;
use crate::base::place::At;
use crate::base::settings::Problem;
use crate::control::config::Config;
use crate::proxy::balance::Pool;
use crate::proxy::policy::auth::{
    Auth, AuthSettings, Basic, Broken, Forward, Jwt, Keys, KeysSettings, Known, Memory, Remote, ServiceSettings,
    Source, Users, Way, WaySettings,
};

/// The files that routes hold clients against.
#[derive(Default)]
pub struct AuthFiles {
    /// What is known of passwords: one for all routes, and for every config that follows. None before it is needed.
    memory: Option<Arc<Memory>>,
    users: Vec<Kept<Users>>,
    keys: Vec<Kept<Keys>>,
    /// What is known of keys that are fetched.
    known: HashMap<Origin, Arc<Known>>,
}

/// Where keys are fetched: the name of the pool, its backends, the path. From elsewhere they are others.
type Origin = (String, Vec<String>, String);

/// One file.
struct Kept<T> {
    path: PathBuf,
    digest: [u8; 32],
    content: Arc<T>,
    /// Why the file's present content is not used.
    problem: Option<String>,
}

impl AuthFiles {
    /// Who may use a route that says so. `pools` has every pool by its name.
    pub(super) fn auth(
        &self,
        settings: &AuthSettings,
        (config, pools): (&Config, &HashMap<&str, &Arc<Pool>>),
    ) -> Option<Auth> {
        let way = match &settings.way {
            WaySettings::Basic(file) => {
                let users = Arc::clone(&entry(&self.users, file)?.content);
                Way::Basic(Basic::new(users, Arc::clone(self.memory.as_ref()?), &settings.realm))
            }
            WaySettings::Jwt(jwt) => {
                let keys = match &jwt.keys {
                    KeysSettings::File(file) => Source::File(Arc::clone(&entry(&self.keys, file)?.content)),
                    KeysSettings::Url(url) => {
                        let pool = pools.get(url.pool.as_str())?;
                        Source::Remote(Remote::new(
                            url,
                            Arc::clone(pool),
                            Arc::clone(self.known.get(&origin(url, config))?),
                        ))
                    }
                };
                Way::Jwt(Jwt::new(jwt, keys, &settings.realm))
            }
            WaySettings::Forward(forward) => {
                let pool = pools.get(forward.service.pool.as_str())?;
                Way::Forward(Forward::new(forward, Arc::clone(pool)))
            }
        };
        Some(Auth::new(settings, way))
    }

    /// Whether using these makes a difference to `previous`: other content, or a problem that was not told.
    pub fn differ_from(&self, previous: &Self) -> bool {
        differ(&self.users, &previous.users) || differ(&self.keys, &previous.keys)
    }

    /// Tells of files that are used from now on, and of those that are not, unless `previous` had the same.
    pub fn tell(&self, previous: &Self) {
        tell(&self.users, &previous.users);
        tell(&self.keys, &previous.keys);
    }
}

/// Reads the files that routes name, each once. Where one of `previous` is broken now, what it held then is used on.
pub(super) fn read(config: &Config, previous: Option<&AuthFiles>, problems: &mut Vec<Problem>) -> AuthFiles {
    let none = AuthFiles::default();
    let previous = previous.unwrap_or(&none);
    let mut files = AuthFiles { memory: previous.memory.clone(), ..AuthFiles::default() };
    for auth in config.routes.iter().filter_map(|route| route.policies.auth.as_ref()) {
        match &auth.way {
            WaySettings::Basic(file) => {
                add(&mut files.users, &previous.users, (file, Users::load), problems);
                if files.memory.is_none() {
                    match Memory::new() {
                        Ok(memory) => files.memory = Some(Arc::new(memory)),
                        Err(_) => problems.push(Problem::error(
                            file.place,
                            "the system has no random numbers",
                            "make /dev/urandom readable",
                        )),
                    }
                }
            }
            WaySettings::Jwt(jwt) => match &jwt.keys {
                KeysSettings::File(file) => add(&mut files.keys, &previous.keys, (file, Keys::load), problems),
                KeysSettings::Url(url) => {
                    let origin = origin(url, config);
                    let known = previous.known.get(&origin).cloned().unwrap_or_default();
                    files.known.entry(origin).or_insert(known);
                }
            },
            WaySettings::Forward(_) => {}
        }
    }
    files
}

fn origin(url: &ServiceSettings, config: &Config) -> Origin {
    let pool = config.pools.iter().find(|pool| pool.name == url.pool);
    let backends = pool.into_iter().flat_map(|pool| &pool.backends).map(|backend| backend.url.text.clone());
    (url.pool.value.clone(), backends.collect(), url.target.clone())
}

/// How a file is read: its content and what it is compared by.
type Load<T> = fn(&Path) -> Result<(T, [u8; 32]), Broken>;

fn add<T>(
    files: &mut Vec<Kept<T>>,
    previous: &[Kept<T>],
    (file, load): (&At<PathBuf>, Load<T>),
    problems: &mut Vec<Problem>,
) {
    if entry(files, file).is_some() {
        return;
    }
    let kept = |known: &Kept<T>, problem| Kept {
        path: known.path.clone(),
        digest: known.digest,
        content: Arc::clone(&known.content),
        problem,
    };
    match (load(file), entry(previous, file)) {
        (Ok((_, digest)), Some(known)) if known.digest == digest => files.push(kept(known, None)),
        (Ok((content, digest)), _) => {
            files.push(Kept { path: file.value.clone(), digest, content: Arc::new(content), problem: None });
        }
        (Err(error), Some(known)) => files.push(kept(known, Some(error.to_string()))),
        (Err(error), None) => {
            let (message, advice) = told(&error);
            problems.push(Problem::error(file.place, message, advice).about("route"));
        }
    }
}

fn entry<'f, T>(files: &'f [Kept<T>], path: &Path) -> Option<&'f Kept<T>> {
    files.iter().find(|kept| kept.path == path)
}

fn differ<T>(files: &[Kept<T>], previous: &[Kept<T>]) -> bool {
    files.iter().any(|kept| {
        entry(previous, &kept.path)
            .is_none_or(|known| !Arc::ptr_eq(&known.content, &kept.content) || known.problem != kept.problem)
    })
}

fn tell<T>(files: &[Kept<T>], previous: &[Kept<T>]) {
    for kept in files {
        let Some(known) = entry(previous, &kept.path) else { continue };
        let file = kept.path.display();
        match &kept.problem {
            Some(problem) if known.problem != kept.problem => {
                tracing::warn!(%file, %problem, "users or keys refused; the last good ones are used on");
            }
            None if !Arc::ptr_eq(&known.content, &kept.content) => tracing::info!(%file, "users or keys replaced"),
            Some(_) | None => {}
        }
    }
}
