//! The running gateway: what is live, and how a new config becomes it.

use std::path::Path;
use std::sync::Arc;

use crate::base::log::Log;
use crate::base::metrics::Reload;
use crate::control::accept::{Accepted, Refused, Source, Watched, accept, refused};
use crate::control::build::{Built, needed, readdressed};
use crate::control::config::{self, Config, Workers};
use crate::control::explain::Texts;
use crate::control::health::Probes;
use crate::control::inventory::Inventory;
use crate::control::ports::Ports;
use crate::control::resolve::Names;
use crate::proxy::snapshot::{Live, Snapshot};
use crate::proxy::worker::Shared;

/// What is live, and where it came from.
pub struct Gateway {
    /// What the workers share.
    pub shared: Arc<Shared>,
    source: Source,
    live: Accepted,
    ports: Ports,
    inventory: Inventory,
    probes: Probes,
    /// Why the last reload changed nothing, one line a problem, and what it read.
    refused: Option<(String, Watched)>,
}

/// What is taken up at the start only.
fn needs_restart(config: &Config) -> (Workers, &Path, &config::Admin) {
    (config.server.workers, &config.server.state_dir, &config.admin)
}

impl Gateway {
    /// The gateway on a config that was accepted, before anything listens.
    pub fn new(source: &Source, accepted: Accepted, shared: Arc<Shared>) -> Self {
        let (inventory, probes) = (Inventory::new(&source.file), Probes::new(&shared.registry));
        let (source, ports) = (source.clone(), Ports::default());
        Self { shared, source, live: accepted, ports, inventory, probes, refused: None }
    }

    /// What is shown of it.
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// The live config of a registry and log: the snapshot that goes into [`Shared`].
    pub fn live(accepted: &Accepted) -> Live {
        Live::new(Arc::clone(&accepted.built.snapshot))
    }

    /// Opens every listener and begins to serve, and to probe.
    ///
    /// # Errors
    /// The addresses that cannot be had, rendered.
    pub fn open(&mut self) -> Result<(), Box<Refused>> {
        let opened = self.ports.open(&self.live.config, self.shared.places.len());
        let opened = opened.map_err(|problems| refused(&problems, &self.live.sources, self.live.watched.clone()))?;
        self.ports.hand_over(opened, &self.shared);
        self.probes.follow(&self.live.built.snapshot.pools);
        self.probes.start();
        self.went_live(None);
        Ok(())
    }

    /// Lets go of what it listens on, before the workers are told to stop accepting.
    pub fn close(&mut self) {
        self.ports.close_all();
    }

    /// Takes up addresses that have changed, and why names do not resolve. The config stays, and with it its number.
    pub fn take_addresses(&mut self, names: &mut Names) {
        self.inventory.set_unresolved(names.problems().collect());
        let Accepted { config, built, .. } = &mut self.live;
        if let Some(snapshot) = readdressed(config, built, &self.shared.registry, &names.resolution()) {
            let before = std::mem::replace(&mut built.snapshot, snapshot);
            self.swap(&before);
        }
        names.tell();
    }

    /// Makes the snapshot that was built last the current one.
    fn swap(&self, before: &Snapshot) {
        let snapshot = &self.live.built.snapshot;
        self.shared.live.swap(Arc::clone(snapshot));
        before.remove_endpoints(snapshot);
        self.probes.follow(&snapshot.pools);
        snapshot.settle_breakers();
    }

    /// Reads the config and the certificates again. All or nothing: where anything is wrong, everything stays as it is.
    /// Cancelled, it changes nothing.
    pub async fn reload(&mut self, names: &mut Names) {
        if let Err(refused) = self.try_reload(names).await {
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

    async fn try_reload(&mut self, names: &mut Names) -> Result<(), Box<Refused>> {
        let registry = &self.shared.registry;
        let (mut accepted, warnings) = accept(&self.source, registry, &names.resolution(), Some(&self.live.built))?;
        if accepted.config == self.live.config
            && !accepted.built.certificates.differ_from(&self.live.built.certificates)
            && !accepted.built.backends.differ_from(&self.live.built.backends)
            && !accepted.built.auth.differ_from(&self.live.built.auth)
        {
            self.inventory.set_texts(Texts { config: accepted.config, sources: Arc::clone(&accepted.sources) });
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
        names.follow(&accepted.config);
        names.settle().await;
        let readdressed = readdressed(&accepted.config, &accepted.built, registry, &names.resolution());
        accepted.built.snapshot = readdressed.unwrap_or(accepted.built.snapshot);
        self.inventory.set_unresolved(names.problems().collect());
        let previous = std::mem::replace(&mut self.live, accepted);
        self.swap(&previous.built.snapshot);
        names.tell();
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
        self.live.built.certificates.swap(&needed(&self.live.config));
        if let Some(previous) = previous {
            self.live.built.certificates.tell_problems(&previous.certificates);
            self.live.built.backends.tell(&previous.backends);
            self.live.built.auth.tell(&previous.auth);
        }
        let generation = self.live.built.snapshot.config_generation;
        self.state_facts(generation);
        let (config, sources) = (Arc::clone(&self.live.config), Arc::clone(&self.live.sources));
        self.inventory.set_texts(Texts { config, sources });
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
    }

    /// What is a reason to reload: what is live, and what the last refused reload read, which is being mended.
    pub fn watched(&self) -> Watched {
        let mut watched = self.live.watched.clone();
        if let Some((_, attempted)) = &self.refused {
            watched.files.extend_from_slice(&attempted.files);
            watched.patterns.extend_from_slice(&attempted.patterns);
            // What is live was read before, and may be something else by now.
            watched.read = attempted.read.clone();
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
