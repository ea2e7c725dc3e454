//! Reads which paths a source file names: `use` lines and paths in code, groups spelled out, `super` resolved.

/// Every path that starts with `crate::` or `super::`, groups in braces spelled out.
pub(crate) fn named_paths(code: &str, file: &[String]) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    for (at, _) in code.match_indices("crate::").chain(code.match_indices("super::")) {
        if code[..at].ends_with(|before: char| before.is_alphanumeric() || matches!(before, '_' | ':' | '$')) {
            continue;
        }
        let mut start = Vec::new();
        let mut rest = &code[at..];
        if let Some(below) = rest.strip_prefix("crate::") {
            rest = below;
        } else {
            start = file.to_vec();
            while let Some(above) = rest.strip_prefix("super::") {
                start.pop();
                rest = above;
            }
        }
        spell_out(rest, &start, &mut paths);
    }
    paths
}

/// Reads one path or group and adds what it names; returns what follows it.
fn spell_out<'a>(text: &'a str, start: &[String], paths: &mut Vec<Vec<String>>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = spell_out(rest, start, paths).trim_start();
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => return rest.strip_prefix('}').unwrap_or(rest),
            }
        }
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let mut path = start.to_vec();
    if end > 0 && &text[..end] != "self" {
        path.push(text[..end].to_owned());
    }
    match text[end..].strip_prefix("::") {
        Some(below) if end > 0 => spell_out(below, &path, paths),
        _ => {
            paths.push(path);
            // `x as y` names x.
            text[end..]
                .trim_start()
                .strip_prefix("as ")
                .map_or(&text[end..], |renamed| renamed.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_'))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::named_paths;

    fn named(code: &str) -> Vec<String> {
        let file = ["proxy", "route", "host"].map(str::to_owned);
        named_paths(code, &file).into_iter().map(|path| path.join("::")).collect()
    }

    #[test]
    fn groups_and_relative_paths_are_spelled_out() {
        assert_eq!(
            named("use crate::proxy::{balance, tls::{self, Settings as S}};"),
            ["proxy::balance", "proxy::tls", "proxy::tls::Settings"]
        );
        assert_eq!(named("use super::Table;"), ["proxy::route::Table"]);
        assert_eq!(named("fn f() { super::super::tls::pick() }"), ["proxy::tls::pick"]);
        assert_eq!(named("pub(super) fn f(at: &crate::base::place::Place) {}"), ["base::place::Place"]);
        assert_eq!(named("$crate::base::x; other_crate::y"), Vec::<String>::new());
    }
}
