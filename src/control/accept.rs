//! From files to a config that can go live, or to every reason why it cannot.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::base::clock;
use crate::base::metrics::Registry;
use crate::base::settings::{Environment, Problem};
use crate::control::admin::status;
use crate::control::build::{Built, build};
use crate::control::config::{self, Config, Overrides, Sources};
use crate::control::reload::{self, Read};
use crate::proxy::balance::Resolution;

/// A config that was loaded and built.
pub struct Accepted {
    /// What the file says.
    pub config: Arc<Config>,
    /// What it was compiled to.
    pub built: Built,
    /// What it was read from.
    pub sources: Arc<Sources>,
    /// What is a reason to read it again.
    pub watched: Watched,
}

/// Files whose change is a reason to reload.
#[derive(Clone, Debug)]
pub struct Watched {
    /// The files.
    pub files: Vec<PathBuf>,
    /// Folders and names with a star in which new files may appear.
    pub patterns: Vec<PathBuf>,
    /// What was read of them, and when that began: a later change is not known yet.
    pub read: Read,
}

impl Watched {
    /// What was read, and the files that `config` names, where there is one.
    fn of(sources: &Sources, config: Option<&Config>, since: SystemTime) -> Self {
        // A file that could not be read has no text; how an empty one is told is as well enough.
        let texts = sources.texts().filter(|(_, text)| !text.is_empty());
        let contents = texts.map(|(path, text)| (path.to_owned(), reload::hash(text.as_bytes()))).collect();
        let certificates = config.into_iter().flat_map(|config| &config.certificates);
        let pairs = certificates.flat_map(|pair| [&pair.cert.value, &pair.key.value]);
        let pools = config.into_iter().flat_map(|config| &config.pools).filter_map(|pool| pool.tls.as_ref());
        let routes = config.into_iter().flat_map(|config| &config.routes);
        let auth = routes.filter_map(|route| route.policies.auth.as_ref()?.file());
        let named = pairs.chain(pools.flat_map(|tls| tls.files())).chain(auth);
        Self {
            files: sources.files().map(Path::to_owned).chain(named.cloned()).collect(),
            patterns: sources.patterns().map(Path::to_owned).collect(),
            read: Read { since, contents },
        }
    }
}

/// What is loaded, at start and again at every reload.
#[derive(Clone, Debug)]
pub struct Source {
    /// The config file.
    pub file: PathBuf,
    /// The variables that its strings may name, and those that beat it.
    pub environment: Environment,
    /// What the command line says instead of the file and the environment.
    pub overrides: Overrides,
    /// Whether it is to be served: then what is missing in the state folder is made.
    pub serves: bool,
}

/// Why a config was not accepted, ready to be shown.
pub struct Refused {
    /// Every problem with its source line marked.
    pub marked: String,
    /// Every problem on a line of its own.
    pub lines: Vec<String>,
    /// Every problem in parts, for the status.
    pub problems: Vec<status::Problem>,
    /// What is a reason to try again.
    pub watched: Watched,
}

/// Loads and builds the config of `source`, with the addresses that `resolution` has. `previous` is what serves now.
///
/// # Errors
/// Every problem, rendered.
pub fn accept(
    source: &Source,
    registry: &Registry,
    resolution: &Resolution,
    previous: Option<&Built>,
) -> Result<(Accepted, Vec<Problem>), Box<Refused>> {
    let read_at = clock::now();
    let loaded = match Config::load(&source.file, &source.environment, &source.overrides) {
        Ok(loaded) => loaded,
        Err(failure) => {
            let watched = Watched::of(&failure.sources, None, read_at);
            let marked = failure.marked();
            return Err(Box::new(Refused { marked, ..*refused(&failure.problems, &failure.sources, watched) }));
        }
    };
    let watched = Watched::of(&loaded.sources, Some(&loaded.config), read_at);
    match build(&loaded.config, registry, (resolution, source.serves), previous) {
        Ok(mut built) => {
            let mut warnings = loaded.warnings;
            warnings.append(&mut built.warnings);
            let (config, sources) = (Arc::new(loaded.config), Arc::new(loaded.sources));
            Ok((Accepted { config, built, sources, watched }, warnings))
        }
        Err(problems) => Err(refused(&problems, &loaded.sources, watched)),
    }
}

/// Problems, rendered against what they were found in.
pub fn refused(problems: &[Problem], sources: &Sources, watched: Watched) -> Box<Refused> {
    let marked = problems.iter().map(|problem| config::marked(problem, sources) + "\n");
    let marked = marked.collect::<Vec<_>>().join("\n");
    Box::new(Refused {
        marked,
        lines: problems.iter().map(|problem| config::line(problem, sources)).collect(),
        problems: problems.iter().map(|problem| part(problem, sources)).collect(),
        watched,
    })
}

fn part(problem: &Problem, sources: &Sources) -> status::Problem {
    let (line, column) = problem.place.map_or((0, 0), |place| sources.position(place));
    status::Problem {
        file: problem.place.map(|place| sources.path(place).display().to_string()).unwrap_or_default(),
        line: u32::try_from(line).unwrap_or(0),
        column: u32::try_from(column).unwrap_or(0),
        message: problem.message.clone(),
        advice: problem.advice.clone(),
    }
}
