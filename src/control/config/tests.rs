//! Configs as users write them.

use super::Config;
use crate::base::settings::Environment;

#[test]
fn a_small_config_has_an_inline_pool_named_after_its_route() {
    let text = "[[listener]]\nbind = \"127.0.0.1:0\"\n[[route]]\npool = [\"http://127.0.0.1:3000\"]\n";
    let config = Config::parse(text, &Environment::default()).unwrap();
    assert_eq!(config.pools[0].name.value, "*/*");
    assert_eq!(config.listeners[0].name.value, "127.0.0.1:0");
}

#[test]
fn every_problem_is_told_at_once() {
    let text = "[[listener]]\nbid = \"127.0.0.1:0\"\nbind = 5\nmax_connections = \"x\"\n[[route]]\npool = [\"http://127.0.0.1:3000\"]\nredirect = 5\n";
    let failure = Config::parse(text, &Environment::default()).unwrap_err();
    assert_eq!(failure.problems.len(), 5, "{failure}");
}
