//! What `[acl]` says: who may come, and to which paths.

use std::collections::HashMap;

use crate::base::mode::Mode;
use crate::base::place::At;
use crate::base::settings::{Node, Problem, Section, Setting, Shape};
use crate::proxy::policy::acl::Lists;
use crate::proxy::route::PathPattern;

/// `[acl]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Acl {
    /// Whom it lets in where nothing more specific decides. Default everybody.
    pub lists: Lists,
    /// Whether it and its rules are enforced, and routes' own lists that do not say. Default `enforce`.
    pub mode: Mode,
    /// `[[acl.rule]]`: no two for one path.
    pub rules: Vec<AclRule>,
}

/// One `[[acl.rule]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct AclRule {
    /// The paths that it decides on.
    pub path: At<PathPattern>,
    /// Whom it lets in there.
    pub lists: Lists,
}

impl Acl {
    pub(super) fn keys(section: &mut Section<'_>) -> Self {
        let lists = Lists::keys(section);
        let mode = section
            .key(
                "mode",
                "Whether what is denied is refused, or only counted and logged; for the rules and routes as well.",
            )
            .or(Mode::default());
        let rules = section.tables(
            "rule",
            "Takes the place of the list above for some paths: the longest that matches decides alone.",
            AclRule::keys,
        );
        one_each(section, &rules);
        Self { lists, mode, rules }
    }
}

impl AclRule {
    fn keys(section: &mut Section<'_>) -> Option<Self> {
        let path: Option<At<RulePath>> =
            section.key("path", "`/x` exactly, `/x/*` for `/x` and everything below it.").required();
        let lists = Lists::replacing(section);
        let path = path?;
        Some(Self { path: At::new(path.value.0, path.place), lists })
    }
}

/// Of two rules for one path only one could decide.
fn one_each(section: &Section<'_>, rules: &[AclRule]) {
    let mut places = HashMap::new();
    for rule in rules {
        let path = rule.path.to_string();
        let message = format!("two rules are for the path `{path}`");
        if let Some(first) = places.insert(path, rule.path.place) {
            let problem = Problem::error(rule.path.place, message, "join them into one [[acl.rule]]");
            section.report(problem.beside(first, "the first is here"));
        }
    }
}

/// The path of a rule. Of two regular expressions none is the longer one.
struct RulePath(PathPattern);

impl Setting for RulePath {
    fn shape() -> Shape {
        Shape::Text { what: "a path", example: "/admin/*", pattern: Some("^/|\\$\\{") }
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        match PathPattern::read(node)? {
            PathPattern::Regex(source, _) => node.problem(
                format!("`~{source}` is a regular expression, and a rule is for a path or a prefix"),
                "write one like \"/admin/*\", or give a [[route]] with this path an `acl` of its own",
            ),
            path => Some(Self(path)),
        }
    }
}
