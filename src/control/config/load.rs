//! From a path to a checked config: files, includes, environment and flags, then every check at once.

use std::path::Path;

use toml::Spanned;
use toml::de::DeTable;

use super::draft::{Draft, Objects};
use super::environment::{Overrides, given};
use super::failure::Failure;
use super::sources::Sources;
use super::{Config, check, files, syntax};
use crate::base::settings::{Environment, Problem, Reader, Severity, Shape};

/// A config that was accepted.
#[derive(Debug)]
pub struct Loaded {
    /// The config.
    pub config: Config,
    /// What the operator should look at.
    pub warnings: Vec<Problem>,
    /// What it was read from: shows places, names the files to watch.
    pub sources: Sources,
}

impl Config {
    /// Reads the config file at `path` and what it includes. Flags (`overrides`) beat the environment, which beats the file.
    ///
    /// # Errors
    /// Every problem of every file, at once.
    pub fn load(path: &Path, environment: &Environment, overrides: &Overrides) -> Result<Loaded, Box<Failure>> {
        let (sources, problems) = files::read(path, environment);
        read(sources, problems, environment, overrides)
    }

    /// The shape of a config file: every key with its documentation, range and default.
    pub fn shape() -> Shape {
        Shape::table(|section| drop(Draft::keys(section)))
    }

    /// Reads a config from `text`, as if it stood in a file `config.toml` in the working directory. Nothing is included.
    ///
    /// # Errors
    /// Every problem of the text, at once.
    pub fn parse(text: &str, environment: &Environment) -> Result<Self, Box<Failure>> {
        let mut sources = Sources::default();
        sources.add_file("config.toml".into(), text.to_owned());
        read(sources, Vec::new(), environment, &Overrides::default()).map(|loaded| loaded.config)
    }
}

fn read(
    mut sources: Sources,
    mut problems: Vec<Problem>,
    environment: &Environment,
    overrides: &Overrides,
) -> Result<Loaded, Box<Failure>> {
    let overriding = given(environment, overrides, &mut sources);
    let reader = Reader::new(environment.clone(), sources.homes(), overriding);
    let mut documents = Vec::new();
    for (file, text) in sources.file_texts() {
        match syntax::parse(file, text) {
            Ok(document) => documents.push((file, document)),
            Err(wrong) => problems.extend(wrong),
        }
    }
    let complete = problems.iter().all(|problem| problem.severity != Severity::Error);
    problems.into_iter().for_each(|problem| reader.report(problem));
    let draft = documents.split_first().map(|(main, included)| draft(&reader, main, included));
    drop(documents);
    let config = draft.map(|draft| check::resolve(draft, &reader, &mut sources, complete));
    let (problems, untold) = reader.finish();
    let accepted = problems.iter().all(|problem| problem.severity != Severity::Error);
    match config {
        Some(config) if accepted => Ok(Loaded { config, warnings: problems, sources }),
        _ => Err(Box::new(Failure { problems, untold, sources })),
    }
}

type Document<'t> = (u16, Spanned<DeTable<'t>>);

fn draft(reader: &Reader, main: &Document<'_>, included: &[Document<'_>]) -> Draft {
    let mut draft = reader.root(main.0, &main.1, Draft::keys);
    for (file, document) in included {
        reader.root(*file, document, |section| Objects::add_included(&mut draft.objects, section));
    }
    draft
}
