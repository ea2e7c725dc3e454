//! The certificates of a config: read and checked here, swapped in once the config is accepted.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use crate::base::clock;
use crate::base::settings::Problem;
use crate::proxy::tls::{CertSlot, CertificateSettings, Pair, PairError, Refusal, Swap};

/// All certificates of a config, in its order.
#[derive(Default)]
pub struct Certificates {
    list: Vec<Certificate>,
}

/// One `[[certificate]]`.
#[derive(Clone)]
pub struct Certificate {
    /// Where it is served from.
    pub slot: Arc<CertSlot>,
    /// The certificate file.
    pub cert: PathBuf,
    /// The key file.
    pub key: PathBuf,
    /// Whether it serves clients that send no SNI.
    pub default: bool,
    /// The listeners that may serve it; empty means all.
    pub listeners: Vec<String>,
    /// Why the files' present content is not served.
    pub problem: Option<String>,
    /// Read, checked, and not served yet.
    pending: Option<Arc<Pair>>,
    /// The digest of the pair that was read and refused.
    refused: Option<[u8; 32]>,
}

/// A name that a route needs over TLS.
pub struct Needed {
    /// The listener that serves the route.
    pub listener: String,
    /// The name, or `*.` and a parent.
    pub host: String,
}

impl Certificate {
    /// The pair that is served once everything pending is.
    pub fn pair(&self) -> Arc<Pair> {
        self.pending.clone().unwrap_or_else(|| self.slot.current())
    }

    /// Whether `listener` may serve it.
    pub fn is_for(&self, listener: &str) -> bool {
        self.listeners.is_empty() || self.listeners.iter().any(|name| name == listener)
    }
}

impl Certificates {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Certificate> {
        self.list.iter()
    }

    /// Whether serving these makes a difference to `previous`: a new pair, or a problem that was not told. A pair that was
    /// refused is none where nothing else has changed: it would be refused again.
    pub fn differ_from(&self, previous: &Self) -> bool {
        self.iter().any(|certificate| match &certificate.pending {
            Some(pair) => !previous.has_refused(certificate, pair),
            None => !previous.has_told(certificate),
        })
    }

    /// Tells of each pair that is not served, unless `previous` had the same problem.
    pub fn tell_problems(&self, previous: &Self) {
        for certificate in self.iter() {
            if let (Some(problem), false) = (&certificate.problem, previous.has_told(certificate)) {
                tracing::warn!(certificate = %certificate.slot.name(), %problem, "certificate refused");
            }
        }
    }

    fn has_refused(&self, certificate: &Certificate, pair: &Pair) -> bool {
        self.iter().any(|known| Arc::ptr_eq(&known.slot, &certificate.slot) && known.refused == Some(pair.digest))
    }

    fn has_told(&self, certificate: &Certificate) -> bool {
        self.iter().any(|known| Arc::ptr_eq(&known.slot, &certificate.slot) && known.problem == certificate.problem)
    }

    /// Serves what was read. `needed` are the names that routes need, each with the listener that has to serve it: a pair that
    /// loses one that no other certificate covers there is refused, and so is one that is older. What was served serves on.
    pub fn swap(&mut self, needed: &[Needed]) {
        self.refuse(needed);
        while let Some(at) = self.next(needed) {
            let Some(certificate) = self.list.get_mut(at) else { return };
            let Some(pair) = certificate.pending.take() else { return };
            if certificate.slot.replace(Arc::clone(&pair)) == Swap::Replaced {
                tracing::info!(certificate = %certificate.slot.name(), serial = %pair.serial, "certificate replaced");
            }
        }
    }

    /// Which pair is served next: one that loses nothing yet, so that a name that moves is never without a certificate. Where two
    /// exchange their names there is none, and a moment in which one of them is not served.
    fn next(&self, needed: &[Needed]) -> Option<usize> {
        let served = |certificate: &Certificate| certificate.slot.current();
        let mut pending = self.list.iter().enumerate().filter(|(_, certificate)| certificate.pending.is_some());
        let first = pending.clone().next().map(|(at, _)| at);
        pending.find(|(_, certificate)| self.refusal(certificate, needed, served).is_none()).map(|(at, _)| at).or(first)
    }

    /// Refuses pairs until all that are left can be served together: one that counts on another's new pair to cover what it
    /// loses cannot be served where that one is refused.
    fn refuse(&mut self, needed: &[Needed]) {
        loop {
            let refusals: Vec<_> =
                self.list.iter().map(|certificate| self.refusal(certificate, needed, Certificate::pair)).collect();
            if refusals.iter().all(Option::is_none) {
                return;
            }
            for (certificate, refusal) in self.list.iter_mut().zip(refusals) {
                if let Some(refusal) = refusal {
                    certificate.refused = certificate.pending.take().map(|pair| pair.digest);
                    certificate.problem = Some(refusal.to_string());
                }
            }
        }
    }

    /// Why the pair that waits cannot be served, where the other certificates have what `of` says.
    fn refusal(
        &self,
        certificate: &Certificate,
        needed: &[Needed],
        of: impl Fn(&Certificate) -> Arc<Pair>,
    ) -> Option<Refusal> {
        let pair = certificate.pending.as_ref()?;
        let covered_elsewhere = |needed: &Needed| {
            let mut others = self.iter().filter(|other| !Arc::ptr_eq(&other.slot, &certificate.slot));
            others.any(|other| other.is_for(&needed.listener) && of(other).names.covers(&needed.host))
        };
        let here = needed.iter().filter(|needed| certificate.is_for(&needed.listener));
        let required: BTreeSet<&str> =
            here.filter(|needed| !covered_elsewhere(needed)).map(|needed| needed.host.as_str()).collect();
        certificate.slot.judge(pair, required).err()
    }
}

/// Reads every certificate. One with the name and files of one in `previous` keeps its slot, and, where its files are broken
/// now, its pair.
pub(super) fn read(
    settings: &[CertificateSettings],
    previous: Option<&Certificates>,
    problems: &mut Vec<Problem>,
) -> Certificates {
    let mut list = Vec::with_capacity(settings.len());
    for settings in settings {
        let known = previous.and_then(|previous| {
            previous.iter().find(|known| {
                **known.slot.name() == **settings.name && known.cert == **settings.cert && known.key == **settings.key
            })
        });
        match (Pair::load(&settings.cert, &settings.key, clock::now()), known) {
            (Ok(pair), known) => {
                warn(settings, &pair, problems);
                list.push(certificate(settings, Arc::new(pair), known));
            }
            (Err(error), Some(known)) => {
                list.push(Certificate { problem: Some(error.to_string()), ..described(settings, &known.slot) });
            }
            (Err(error), None) => {
                let (message, advice) = told(&error);
                problems.push(Problem::error(at_fault(settings, &error), message, advice).about("certificate"));
            }
        }
    }
    Certificates { list }
}

fn certificate(settings: &CertificateSettings, pair: Arc<Pair>, known: Option<&Certificate>) -> Certificate {
    match known {
        Some(known) if known.slot.current().digest == pair.digest => described(settings, &known.slot),
        Some(known) => Certificate { pending: Some(pair), ..described(settings, &known.slot) },
        None => described(settings, &Arc::new(CertSlot::new(settings.name.as_str(), pair))),
    }
}

fn described(settings: &CertificateSettings, slot: &Arc<CertSlot>) -> Certificate {
    Certificate {
        slot: Arc::clone(slot),
        cert: settings.cert.value.clone(),
        key: settings.key.value.clone(),
        default: settings.default,
        listeners: settings.listener.iter().map(|name| name.value.clone()).collect(),
        problem: None,
        pending: None,
        refused: None,
    }
}

fn warn(settings: &CertificateSettings, pair: &Pair, problems: &mut Vec<Problem>) {
    for warning in &pair.warnings {
        let (message, advice) = told(warning);
        problems.push(Problem::warning(settings.key.place, message, advice));
    }
}

/// What is wrong, and what to do: the two halves of a certificate's message.
pub(super) fn told(message: &impl std::fmt::Display) -> (String, String) {
    let text = message.to_string();
    match text.rsplit_once("; ") {
        Some((message, advice)) => (message.to_owned(), advice.to_owned()),
        None => (text, "put a good pair of files there".to_owned()),
    }
}

/// The key of the table whose file is at fault.
fn at_fault(settings: &CertificateSettings, error: &PairError) -> crate::base::place::Place {
    if error.file() == settings.key.as_path() { settings.key.place } else { settings.cert.place }
}
