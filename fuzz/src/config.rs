//! Configs: whatever is written, there is a config or problems, each with its place and what to do; and what is accepted can
//! be built.

use std::path::PathBuf;
use std::sync::LazyLock;

use portcullis::base::metrics::Registry;
use portcullis::base::place::Place;
use portcullis::base::settings::{Environment, Problem};
use portcullis::control::build::build;
use portcullis::control::config::{Config, Failure};
use portcullis::proxy::balance::Resolution;

/// Larger texts only take longer.
const LARGEST: usize = 64 << 10;

/// `bytes` are a config file. Lines such as `# env: NAME=value` say what is in the environment.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if text.len() > LARGEST {
        return;
    }
    let environment = environment(text);
    match Config::parse(text, &environment) {
        Ok(config) => accepted(config, text, &environment),
        Err(failure) => told(&failure, text),
    }
}

fn environment(text: &str) -> Environment {
    let pairs = text.lines().filter_map(|line| line.strip_prefix("# env: ")?.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Every problem says where and what to do, and can be shown.
fn told(failure: &Failure, text: &str) {
    assert!(!failure.problems.is_empty(), "refused without a reason: {text}");
    for problem in &failure.problems {
        sound(problem);
        let place = problem.place.unwrap_or_else(|| panic!("no place: {problem:?} {text}"));
        for place in problem.related.iter().map(|(place, _)| *place).chain([place]) {
            within(place, failure, text);
        }
    }
    assert!(!failure.marked().is_empty());
    let lines = failure.to_string();
    let expected = failure.problems.len() + usize::from(failure.untold > 0);
    assert_eq!(lines.lines().count(), expected, "a problem on one line each: {lines}");
}

fn sound(problem: &Problem) {
    assert!(!problem.message.is_empty() && !problem.message.ends_with('.'), "{problem:?}");
    assert!(!problem.advice.is_empty() && !problem.advice.ends_with('.'), "{problem:?}");
}

/// The place lies in the text it names, on whole characters.
fn within(place: Place, failure: &Failure, text: &str) {
    let source = failure.sources.text(place);
    let (start, end) = (place.start as usize, place.end as usize);
    assert!(start <= end && source.get(start..end).is_some(), "{place:?} {text}");
    let (line, column) = failure.sources.position(place);
    assert!(line >= 1 && line <= source.lines().count().max(1) + 1 && column >= 1, "{place:?} {text}");
}

/// It reads the same again, and can be built; certificates apart, which are files.
fn accepted(mut config: Config, text: &str, environment: &Environment) {
    let longer = format!("{text}\n# end\n");
    assert_eq!(Config::parse(&longer, environment).ok().as_ref(), Some(&config), "{text}");
    for certificate in &mut config.certificates {
        certificate.cert.value = PAIR.0.clone();
        certificate.key.value = PAIR.1.clone();
    }
    let registry = Registry::new();
    match build(&config, &registry, (&Resolution::default(), false), None) {
        Ok(built) => {
            assert_eq!(built.snapshot.listeners.len(), config.listeners.len(), "{text}");
            built.warnings.iter().for_each(sound);
            if let Err(problems) = build(&config, &registry, (&Resolution::default(), false), Some(&built)) {
                panic!("it cannot be built again: {problems:?} {text}");
            }
        }
        Err(problems) => {
            assert!(!problems.is_empty(), "{text}");
            problems.iter().for_each(sound);
        }
    }
}

/// A certificate for every config, and its key.
static PAIR: LazyLock<(PathBuf, PathBuf)> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("portcullis-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["example.com".to_owned(), "*.example.com".to_owned()];
    let cert = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
    let paths = (folder.join("crt"), folder.join("key"));
    std::fs::write(&paths.0, cert.pem()).unwrap();
    std::fs::write(&paths.1, key.serialize_pem()).unwrap();
    paths
});
