//! Examples of the README, served.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::LazyLock;

use super::answer::Answer;
use super::backend::Backend;
use super::client::Client;
use super::credentials::{Issuer, user};
use super::gateway::{Gateway, Home};
use super::page::example;

/// How the paragraph before the first example begins. The others are added to it.
pub(crate) const SMALLEST: &str = "The smallest useful config.";

/// The listener of examples that name none: theirs would be on port 443.
pub(crate) const LISTENER: &str = "[[listener]]\nname = \"https\"\nbind = \"127.0.0.1:0\"\ntls = true\n";

/// Who signs the tokens of the page's examples.
pub(crate) fn issuer() -> &'static Issuer {
    static ISSUER: LazyLock<Issuer> = LazyLock::new(|| Issuer::called("machines"));
    &ISSUER
}

/// A wish added to the smallest config.
pub(crate) fn whole(lead: &str) -> String {
    if lead == SMALLEST { example(SMALLEST) } else { format!("{}\n{}", example(SMALLEST), example(lead)) }
}

/// A home with `config` and the files that the page has.
pub(crate) fn furnished(config: &str) -> Home {
    let home = Home::new(config);
    std::fs::create_dir(home.path("certs")).unwrap();
    home.install("certs/example.com", &["example.com", "*.example.com"]);
    home.install("certs/me", &["portcullis.internal"]);
    home.replace("certs/backends.pem", &home.authority.certificate());
    home.replace("certs/users", &user("ann", "secret"));
    home.replace("certs/machines.json", &issuer().keys());
    home
}

/// An example that is served, and a backend for each address that it names.
pub(crate) struct Served {
    pub(crate) gateway: Gateway,
    pub(crate) backends: BTreeMap<String, Backend>,
    /// The TLS listener's name.
    pub(crate) https: &'static str,
}

impl Served {
    /// An example with a listener on a free port.
    pub(crate) fn example(lead: &str) -> Self {
        Self::changed(lead, |config| format!("{config}{LISTENER}"), "https")
    }

    /// Serves an example that the test has changed to its own addresses; backends are changed here.
    pub(crate) fn changed(lead: &str, change: impl FnOnce(String) -> String, https: &'static str) -> Self {
        let printed = change(whole(lead));
        let (mut config, mut backends) = (printed.clone(), BTreeMap::new());
        for url in printed.split('"').filter(|text| text.starts_with("http://10.")) {
            let address = url.trim_start_matches("http://");
            let backend = backends.entry(address.to_owned()).or_insert_with(|| Backend::named(address));
            config = config.replace(&format!("\"{url}\""), &format!("\"{backend}\""));
        }
        let home = furnished(&config);
        // Only the config decides how logs look.
        let gateway = if config.contains("format = \"json\"") {
            Gateway::in_home_as(home, |command| drop_variable(command, "PORTCULLIS_LOG_FORMAT"))
        } else {
            Gateway::in_home(home)
        };
        Self { gateway, backends, https }
    }

    /// A client of the TLS listener.
    pub(crate) fn connect(&self, name: &str) -> Client {
        self.gateway.connect_tls(self.https, name)
    }

    /// What a request without a body gets.
    pub(crate) fn ask(&self, method: &str, host: &str, target: &str, fields: &str) -> Answer {
        self.connect(host).ask(format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"))
    }

    /// What a GET gets: a backend's address as the page has it.
    pub(crate) fn get(&self, host: &str, target: &str) -> String {
        self.ask("GET", host, target, "").text()
    }

    /// The line of the next request that a backend gets.
    pub(crate) fn received(&self, backend: &str) -> String {
        self.backends[backend].received().line
    }
}

/// The environment without one variable.
pub(crate) fn drop_variable(command: &mut Command, name: &str) {
    command.env_remove(name);
}
