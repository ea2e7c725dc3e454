//! The running gateway: what is live, and how a new config becomes it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::base::clock;
use crate::base::log::Log;
use crate::base::metrics::{Registry, Reload};
use crate::base::settings::Problem;
use crate::control::admin::status;
use crate::control::build::{Built, build, shown};
use crate::control::config::{self, Config, Overrides, Sources, Workers};
use crate::control::inventory::Inventory;
use crate::control::ports::Ports;
use crate::proxy::snapshot::Live;
use crate::proxy::worker::Shared;

/// What is live, and where it came from.
pub struct Gateway {
    /// What the workers share.
    pub shared: Arc<Shared>,
    source: Source,
    live: Accepted,
    ports: Ports,
    inventory: Inventory,
    /// Why the last reload changed nothing, one line a problem, and what it read.
    refused: Option<(String, Watched)>,
}

/// A config that was loaded and built.
pub struct Accepted {
    /// What the file says.
    pub config: Config,
    /// What it was compiled to.
    pub built: Built,
    /// What it was read from.
    pub sources: Sources,
    /// What is a reason to read it again.
    watched: Watched,
}

/// Files whose change is a reason to reload.
#[derive(Clone, Debug)]
pub struct Watched {
    /// The files.
    pub files: Vec<PathBuf>,
    /// Folders and names with a star in which new files may appear.
    pub patterns: Vec<PathBuf>,
    /// When reading them began: a later change is not known yet.
    pub read_at: SystemTime,
}

impl Watched {
    /// What was read, and the files that `config` names, where there is one.
    fn of(sources: &Sources, config: Option<&Config>, read_at: SystemTime) -> Self {
        let certificates = config.into_iter().flat_map(|config| &config.certificates);
        let pairs = certificates.flat_map(|pair| [&pair.cert.value, &pair.key.value]);
        let pools = config.into_iter().flat_map(|config| &config.pools).filter_map(|pool| pool.tls.as_ref());
        let named = pairs.chain(pools.flat_map(|tls| tls.files()));
        Self {
            files: sources.files().map(Path::to_owned).chain(named.cloned()).collect(),
            patterns: sources.patterns().map(Path::to_owned).collect(),
            read_at,
        }
    }
}

/// What is loaded, at start and again at every reload.
#[derive(Clone, Debug)]
pub struct Source {
    /// The config file.
    pub file: PathBuf,
    /// What the command line says instead of the file and the environment.
    pub overrides: Overrides,
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
    watched: Watched,
}

/// Loads and builds the config of `source`. `previous` is what serves now.
///
/// # Errors
/// Every problem, rendered.
pub fn accept(
    source: &Source,
    registry: &Registry,
    previous: Option<&Built>,
) -> Result<(Accepted, Vec<Problem>), Box<Refused>> {
    let read_at = clock::now();
    let loaded = match Config::load(&source.file, &config::of_process(), &source.overrides) {
        Ok(loaded) => loaded,
        Err(failure) => {
            let watched = Watched::of(&failure.sources, None, read_at);
            let marked = failure.marked(false);
            return Err(Box::new(Refused { marked, ..*refused(&failure.problems, &failure.sources, watched) }));
        }
    };
    let watched = Watched::of(&loaded.sources, Some(&loaded.config), read_at);
    match build(&loaded.config, registry, previous) {
        Ok(mut built) => {
            let mut warnings = loaded.warnings;
            warnings.append(&mut built.warnings);
            Ok((Accepted { config: loaded.config, built, sources: loaded.sources, watched }, warnings))
        }
        Err(problems) => Err(refused(&problems, &loaded.sources, watched)),
    }
}

/// Problems, rendered against what they were found in.
fn refused(problems: &[Problem], sources: &Sources, watched: Watched) -> Box<Refused> {
    let marked = problems.iter().map(|problem| config::marked(problem, sources, false) + "\n");
    let marked = marked.collect::<Vec<_>>().join("\n");
    Box::new(Refused {
        marked,
        lines: problems.iter().map(|problem| config::line(problem, sources)).collect(),
        problems: problems.iter().map(|problem| part(problem, sources)).collect(),
        watched,
    })
}

/// What is taken up at the start only.
fn needs_restart(config: &Config) -> (Workers, &Path, &config::Admin) {
    (config.server.workers, &config.server.state_dir, &config.admin)
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

impl Gateway {
    /// The gateway on a config that was accepted, before anything listens.
    pub fn new(source: &Source, accepted: Accepted, shared: Arc<Shared>) -> Self {
        let inventory = Inventory::new(&source.file);
        Self { shared, source: source.clone(), live: accepted, ports: Ports::default(), inventory, refused: None }
    }

    /// What is shown of it.
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// The live config of a registry and log: the snapshot that goes into [`Shared`].
    pub fn live(accepted: &Accepted) -> Live {
        Live::new(Arc::clone(&accepted.built.snapshot))
    }

    /// Opens every listener and begins to serve.
    ///
    /// # Errors
    /// The addresses that cannot be had, rendered.
    pub fn open(&mut self) -> Result<(), Box<Refused>> {
        let opened = self.ports.open(&self.live.config, self.shared.places.len());
        let opened = opened.map_err(|problems| refused(&problems, &self.live.sources, self.live.watched.clone()))?;
        self.ports.hand_over(opened, &self.shared);
        self.went_live(None);
        Ok(())
    }

    /// Lets go of what it listens on, before the workers are told to stop accepting.
    pub fn close(&mut self) {
        self.ports.close_all();
    }

    /// Reads the config and the certificates again. All or nothing: where anything is wrong, everything stays as it is.
    pub fn reload(&mut self) {
        if let Err(refused) = self.try_reload() {
            let problems = refused.lines.join("\n");
            if self.refused.as_ref().is_none_or(|(before, _)| *before != problems) {
                for line in &refused.lines {
                    tracing::error!(problem = %line, "config refused");
                }
            }
            self.refused = Some((problems, refused.watched));
            self.inventory.set_problems(refused.problems);
            self.shared.registry.count_reload(Reload::Rejected);
        }
    }

    fn try_reload(&mut self) -> Result<(), Box<Refused>> {
        let (accepted, warnings) = accept(&self.source, &self.shared.registry, Some(&self.live.built))?;
        if accepted.config == self.live.config
            && !accepted.built.certificates.differ_from(&self.live.built.certificates)
            && !accepted.built.backends.differ_from(&self.live.built.backends)
        {
            (self.live.sources, self.live.watched) = (accepted.sources, accepted.watched);
            self.mended(Reload::Unchanged);
            return Ok(());
        }
        let opened = self.ports.open(&accepted.config, self.shared.places.len());
        let opened = opened.map_err(|problems| refused(&problems, &accepted.sources, accepted.watched.clone()))?;
        for warning in &warnings {
            tracing::warn!(problem = %config::line(warning, &accepted.sources), "config accepted with a warning");
        }
        if needs_restart(&accepted.config) != needs_restart(&self.live.config) {
            tracing::warn!("changes of server.workers, server.state_dir and [admin] take effect at the next start");
        }
        let previous = std::mem::replace(&mut self.live, accepted);
        self.shared.live.swap(Arc::clone(&self.live.built.snapshot));
        self.ports.hand_over(opened, &self.shared);
        self.ports.close_others(&self.live.config, &self.shared);
        self.shared.log.configure(self.live.config.log.clone());
        self.mended(Reload::Applied);
        self.went_live(Some(&previous.built));
        Ok(())
    }

    /// Nothing is wrong with the files any more.
    fn mended(&mut self, outcome: Reload) {
        self.refused = None;
        self.inventory.set_problems(Vec::new());
        self.shared.registry.count_reload(outcome);
    }

    /// Serves the certificates that were read and tells the world.
    fn went_live(&mut self, previous: Option<&Built>) {
        let hosts: Vec<String> =
            self.live.config.routes.iter().flat_map(|route| &route.host).map(|host| shown(host)).collect();
        self.live.built.certificates.swap(&hosts);
        if let Some(previous) = previous {
            self.live.built.certificates.tell_problems(&previous.certificates);
            self.live.built.backends.tell(&previous.backends);
        }
        let generation = self.live.built.snapshot.generation;
        self.state_facts(generation);
        self.inventory.set_live(self.ports.all(), self.live.built.certificates.iter().cloned().collect());
        tracing::info!(generation, "serving");
    }

    fn state_facts(&self, generation: u64) {
        let registry = &self.shared.registry;
        registry.set_generation(generation);
        registry.set_certificates(self.live.built.certificates.iter().map(|certificate| {
            let end = certificate.slot.current().not_after.duration_since(std::time::UNIX_EPOCH);
            (certificate.slot.name().to_string(), end.map_or(0, |end| i64::try_from(end.as_secs()).unwrap_or(i64::MAX)))
        }));
        registry.set_weights(self.live.config.pools.iter().flat_map(|pool| {
            let name = pool.name.value.clone();
            pool.backends
                .iter()
                .map(move |backend| ((name.clone(), backend.url.text.clone()), u32::from(backend.weight)))
        }));
    }

    /// What is a reason to reload: what is live, and what the last refused reload read, which is being mended.
    pub fn watched(&self) -> Watched {
        let mut watched = self.live.watched.clone();
        if let Some((_, attempted)) = &self.refused {
            watched.files.extend_from_slice(&attempted.files);
            watched.patterns.extend_from_slice(&attempted.patterns);
            watched.read_at = attempted.read_at;
        }
        watched
    }

    /// The config that is live.
    pub fn config(&self) -> &Config {
        &self.live.config
    }

    /// The logs.
    pub fn log(&self) -> &Log {
        &self.shared.log
    }
}
