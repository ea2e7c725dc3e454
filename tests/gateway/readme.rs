//! The README's examples are configs that `check` accepts.

use crate::support::gateway::Home;

#[test]
fn every_example_of_the_readme_is_a_good_config() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let examples: Vec<_> = readme.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let (smallest, wishes) = examples.split_first().expect("examples in the README");

    assert_good(smallest);
    for wish in wishes {
        // The page says that each wish is added to the smallest config.
        assert_good(&format!("{wish}\n{smallest}"));
    }
}

fn assert_good(config: &str) {
    let home = Home::new(config);
    std::fs::create_dir(home.path("certs")).unwrap();
    home.install("certs/example.com", &["example.com", "*.example.com"]);
    home.install("certs/me", &[]);
    home.replace("certs/backends.pem", &home.authority.certificate());
    let mut process = home.start("check");
    assert_eq!(process.wait().code(), Some(0), "{config}\n{}", process.output());
}
