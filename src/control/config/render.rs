//! How problems look: with the source line marked for people, on one line for logs.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::sources::Sources;
use crate::base::place::Place;
use crate::base::settings::{Problem, Severity};

/// Lines of source shown for one problem.
const MOST_LINES: usize = 4;

/// Longer lines are named, not shown, in bytes: they would fill the screen, and marking them takes long.
const LONGEST_EXCERPT: usize = 2_000;

/// The problem with its source line marked and its advice below.
pub fn marked(problem: &Problem, sources: &Sources) -> String {
    let level = match problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(level.primary_title(problem.message.as_str()));
    if let Some(place) = problem.place {
        group = excerpt(group, sources, place, AnnotationKind::Primary, None);
    }
    for (place, why) in &problem.related {
        group = excerpt(group, sources, *place, AnnotationKind::Context, Some(why));
    }
    let group = group.element(Level::HELP.message(problem.advice.as_str()));
    Renderer::plain().render(&[group])
}

/// `file:line:column: message; advice`, and the lines of the places that belong to it.
pub fn line(problem: &Problem, sources: &Sources) -> String {
    let mut text = String::new();
    if let Some(place) = problem.place {
        let (line, column) = sources.position(place);
        text = format!("{}:{line}:{column}: ", sources.path(place).display());
    }
    text.push_str(&problem.message);
    for (place, why) in &problem.related {
        text.push_str(&format!(" ({why}: {})", sources.line(*place)));
    }
    format!("{text}; {}", problem.advice).replace(['\n', '\r'], " ")
}

/// The lines of `place` with the place marked; only the file's name where the problem is about all of it.
fn excerpt<'a>(
    group: Group<'a>,
    sources: &'a Sources,
    place: Place,
    kind: AnnotationKind,
    label: Option<&'a String>,
) -> Group<'a> {
    let path = sources.path(place).to_string_lossy();
    let Some((lines, marked)) = around(sources.text(place), place) else {
        return group.element(Origin::path(path));
    };
    if lines.len() > LONGEST_EXCERPT {
        let (line, column) = sources.position(place);
        return group.element(Origin::path(path).line(line).char_column(column));
    }
    let mut annotation = kind.span(marked.start - lines.start..marked.end - lines.start);
    if let Some(label) = label {
        annotation = annotation.label(label.as_str());
    }
    let source = &sources.text(place)[lines];
    group.element(Snippet::source(source).line_start(sources.position(place).0).path(path).annotation(annotation))
}

/// The whole lines that `place` lies in, and the part of it that they hold.
fn around(text: &str, place: Place) -> Option<(Range<usize>, Range<usize>)> {
    let start = floor(text, place.start as usize);
    let end = floor(text, place.end as usize).max(start);
    if end == 0 {
        return None;
    }
    let first = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let ends = text[start..].match_indices('\n').map(|(at, _)| start + at);
    let last = ends.take(MOST_LINES).find(|at| *at >= end);
    let full = text[start..].match_indices('\n').nth(MOST_LINES - 1).map(|(at, _)| start + at);
    let last = last.or(full).unwrap_or(text.len());
    Some((first..last, start..end.min(last)))
}

/// The nearest character boundary at or below `at`.
fn floor(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}
