//! `validate`: what a request has to be like. Not which route it is for: one that is unlike is refused by this one.

use super::token::{Method, field};
use super::{HeaderSettings, ValuePattern};
use crate::base::place::At;
use crate::base::settings::{Node, Section, Setting, Shape, Table};
use crate::base::token::is_token;
use crate::proxy::fault::Fault;
use crate::proxy::message::{Name, Request};

/// `validate`.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidateSettings {
    /// The methods that may be used; empty means any.
    methods: Vec<String>,
    /// What bodies may be; empty means anything.
    content_types: Vec<MediaRange>,
    /// What header fields have to be like.
    headers: Vec<HeaderSettings>,
}

/// The rule of one route.
#[derive(Clone, Debug)]
pub struct Validate {
    settings: ValidateSettings,
    /// What `Allow` and `Accept` say.
    allow: Box<[u8]>,
    accept: Box<[u8]>,
}

/// Why a request is refused, and the field that tells its client what would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unlike<'a> {
    /// The fault.
    pub fault: Fault,
    /// Name and value.
    pub field: Option<(&'static [u8], &'a [u8])>,
}

/// A media type, or all of a kind: `application/json`, `image/*`, `*/*`. In lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
struct MediaRange(String);

impl MediaRange {
    fn covers(&self, kind: &[u8]) -> bool {
        match self.0.strip_suffix('*') {
            Some("*/") => true,
            // With its slash.
            Some(front) => kind.len() > front.len() && starts(kind, front),
            None => kind.eq_ignore_ascii_case(self.0.as_bytes()),
        }
    }
}

/// Whether the client's `Connection` names the field, so that the backend does not get it.
fn is_for_one_hop(request: &Request, name: &str) -> bool {
    let options = request.fields.all(Name::Connection).flat_map(|list| list.split(|byte| *byte == b','));
    options.into_iter().any(|option| option.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
}

fn starts(text: &[u8], front: &str) -> bool {
    text.get(..front.len()).is_some_and(|start| start.eq_ignore_ascii_case(front.as_bytes()))
}

impl Validate {
    /// What the settings say.
    pub fn new(settings: &ValidateSettings) -> Self {
        let types: Vec<&str> = settings.content_types.iter().map(|range| range.0.as_str()).collect();
        Self {
            allow: settings.methods.join(", ").into_bytes().into(),
            accept: types.join(", ").into_bytes().into(),
            settings: settings.clone(),
        }
    }

    /// Holds a request, which has a body or not, against the rule.
    ///
    /// # Errors
    /// What it is refused for.
    pub fn check(&self, request: &Request, has_body: bool) -> Result<(), Unlike<'_>> {
        let Self { settings, allow, accept } = self;
        if !settings.methods.is_empty() && !settings.methods.iter().any(|method| method.as_bytes() == request.method())
        {
            return Err(Unlike { fault: Fault::MethodNotAllowed, field: Some((b"allow", allow)) });
        }
        if has_body && !settings.content_types.is_empty() && !self.takes(request) {
            return Err(Unlike { fault: Fault::ContentTypeRefused, field: Some((b"accept", accept)) });
        }
        let holds = |rule: &HeaderSettings| {
            // Whichever of several the backend looks at, in whatever spelling, it is one that was held against the rule.
            let alike = |raw: &[u8]| raw.len() == rule.name.len() && Name::twin_begins(raw, rule.name.as_bytes());
            let mut values = request.fields.iter().filter(|(_, raw, _)| alike(raw)).peekable();
            let goes_on = !is_for_one_hop(request, &rule.name);
            goes_on && values.peek().is_some() && values.all(|(_, _, value)| rule.value.holds(value))
        };
        match settings.headers.iter().all(holds) {
            true => Ok(()),
            false => Err(Unlike { fault: Fault::HeaderRefused, field: None }),
        }
    }

    /// Whether the body is said to be something that may come: once, so that nobody reads it as something else.
    fn takes(&self, request: &Request) -> bool {
        let mut values = request.fields.all(Name::ContentType);
        let (Some(value), None) = (values.next(), values.next()) else { return false };
        let kind = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        // One, and no list.
        let token = |part: &[u8]| std::str::from_utf8(part).is_ok_and(is_token);
        let parts = kind.iter().position(|byte| *byte == b'/').map(|at| (&kind[..at], &kind[at + 1..]));
        parts.is_some_and(|(kind, sub)| token(kind) && token(sub))
            && self.settings.content_types.iter().any(|range| range.covers(kind))
    }
}

impl Table for ValidateSettings {
    fn keys(section: &mut Section<'_>) -> Option<Self> {
        let methods: Vec<Method> = section
            .key("methods", "The methods that may be used, in upper case; others are 405. Left out: any.")
            .list();
        let content_types = section
            .key("content_types", "What bodies may be, \"application/json\" or \"image/*\"; others, and bodies that do not say, are 415. Left out: anything.")
            .list();
        let headers: Vec<(At<String>, ValuePattern)> = section
            .key("headers", "Header fields that have to be there, every one of the name: \"exact\", \"~regex\" of the whole value, \"*\" for any value; else 400.")
            .pairs();
        let headers: Vec<HeaderSettings> =
            headers.into_iter().filter_map(|(name, value)| field(section, &name, value)).collect();
        let written = ["methods", "content_types", "headers"].iter().any(|name| section.written(name).is_some());
        if !written && !section.is_recording() {
            section.problem(
                section.place(),
                "`validate` asks nothing of a request",
                "add `methods`, `content_types` or `headers`, or remove it",
            );
        }
        Some(Self { methods: methods.into_iter().map(|method| method.0).collect(), content_types, headers })
    }
}

impl Setting for MediaRange {
    fn shape() -> Shape {
        Shape::Text { what: "a media type", example: "application/json", pattern: Some("^[^;]+/[^;]+$|\\$\\{") }
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        let text = node.text::<Self>()?;
        let lower = text.to_ascii_lowercase();
        let good = lower.split_once('/').is_some_and(|(kind, sub)| {
            let named = |part: &str| is_token(part) && !part.contains('*');
            (named(kind) && (named(sub) || sub == "*")) || (kind == "*" && sub == "*")
        });
        if !good {
            return node.problem(
                format!("`{text}` is not a media type"),
                "write one without parameters, or a kind and a star: \"application/json\", \"image/*\"",
            );
        }
        Some(Self(lower))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::route::tests::value_regex;

    fn rule(methods: &[&str], types: &[&str], headers: Vec<(&str, ValuePattern)>) -> Validate {
        let header = |(name, value): (&str, ValuePattern)| HeaderSettings {
            name: At { value: name.to_owned(), ..At::default() },
            value,
        };
        Validate::new(&ValidateSettings {
            methods: methods.iter().map(|method| (*method).to_owned()).collect(),
            content_types: types.iter().map(|range| MediaRange((*range).to_owned())).collect(),
            headers: headers.into_iter().map(header).collect(),
        })
    }

    fn request(method: &str, fields: &[(&str, &str)]) -> Request {
        let mut request = Request::default();
        let method = request.fields.store(method.as_bytes());
        request.set_method(method);
        fields.iter().for_each(|(name, value)| request.fields.add(name.as_bytes(), value.as_bytes()));
        request
    }

    #[test]
    fn methods_are_those_of_the_list() {
        let rule = rule(&["GET", "POST"], &[], Vec::new());
        assert_eq!(rule.check(&request("POST", &[]), true), Ok(()));
        for method in ["PUT", "get", "HEAD", ""] {
            let unlike = rule.check(&request(method, &[]), false).unwrap_err();
            assert_eq!(
                unlike,
                Unlike { fault: Fault::MethodNotAllowed, field: Some((b"allow", b"GET, POST")) },
                "{method}"
            );
        }
    }

    #[test]
    fn bodies_say_once_what_they_are() {
        let json_or_image = rule(&[], &["application/json", "image/*"], Vec::new());
        for (types, has_body, good) in [
            (&["application/json"][..], true, true),
            (&["Application/JSON; charset=utf-8"], true, true),
            (&["image/png"], true, true),
            (&[], false, true),
            (&["text/plain"], false, true),
            (&[], true, false),
            (&["application/json", "application/json"], true, false),
            (&["application/jsonp"], true, false),
            (&["image/"], true, false),
            (&["image"], true, false),
            (&["text/plain; a=application/json"], true, false),
            (&["text/plain, application/json"], true, false),
        ] {
            let fields: Vec<_> = types.iter().map(|kind| ("Content-Type", *kind)).collect();
            let checked = json_or_image.check(&request("POST", &fields), has_body);
            assert_eq!(checked.is_ok(), good, "{types:?} {has_body}");
        }
        let any = rule(&[], &["*/*"], Vec::new());
        assert_eq!(any.check(&request("POST", &[("Content-Type", "x/y")]), true), Ok(()));
        assert!(any.check(&request("POST", &[]), true).is_err());
    }

    #[test]
    fn every_field_of_a_name_is_held_against_its_rule() {
        let rule = rule(&[], &[], vec![("x-version", value_regex("v[0-9]+")), ("x-there", ValuePattern::Present)]);
        for (fields, good) in [
            (&[("X-Version", "v1"), ("X-There", "")][..], true),
            (&[("X-Version", "v1"), ("X-There", ""), ("x-version", "v2")], true),
            (&[("X-Version", "v1"), ("X-There", ""), ("x-version", "w2")], false),
            (&[("X-Version", "v1 "), ("X-There", "")], false),
            (&[("X-There", "")], false),
            (&[("X-Version", "v1")], false),
        ] {
            let checked = rule.check(&request("GET", fields), false);
            assert_eq!(checked.is_ok(), good, "{fields:?}");
        }
    }
}
