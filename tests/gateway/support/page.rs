//! The README, as its readers see it.

/// The page as it stands.
pub(crate) fn page() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap()
}

/// The blocks of a language, each with the paragraph before it.
pub(crate) fn blocks(language: &str) -> Vec<(String, String)> {
    let page = page();
    let mut parts = page.split("```");
    let mut blocks = Vec::new();
    while let (Some(text), Some(block)) = (parts.next(), parts.next()) {
        if let Some(block) = block.strip_prefix(&format!("{language}\n")) {
            let paragraph = text.trim_end().rsplit("\n\n").next().unwrap().trim_start();
            blocks.push((paragraph.to_owned(), block.to_owned()));
        }
    }
    blocks
}

/// The example whose paragraph begins like this.
pub(crate) fn example(lead: &str) -> String {
    let mut fitting = blocks("toml").into_iter().filter(|(paragraph, _)| paragraph.starts_with(lead));
    let (_, block) = fitting.next().unwrap_or_else(|| panic!("no example after `{lead}`"));
    assert!(fitting.next().is_none(), "two examples after `{lead}`");
    block
}
