//! What would become of a request, with the places in the config that decide.

use std::net::IpAddr;
use std::sync::Arc;

use crate::base::cidr::Cidr;
use crate::base::place::Place;
use crate::control::config::{Config, Sources};
use crate::proxy::explain::explanation::List;
use crate::proxy::explain::{Explanation, Question, Seen, Unaskable, explain};
use crate::proxy::policy::acl::Lists;

/// A config as it was read last.
#[derive(Clone)]
pub struct Texts {
    /// What it says.
    pub config: Arc<Config>,
    /// What it was read from.
    pub sources: Arc<Sources>,
}

/// What would become of `question`. Places are those of `texts`, where they are known.
///
/// # Errors
/// Where it is no request to a listener.
pub fn explained(seen: Seen<'_>, question: &Question, texts: Option<&Texts>) -> Result<Explanation, Unaskable> {
    let mut explanation = explain(seen, question)?;
    if let Some(texts) = texts {
        texts.add_places(&mut explanation);
    }
    Ok(explanation)
}

/// The question that the parameters of a query ask: `url`, and where they are there `from`, `method`, `listener` and any number
/// of `header`.
///
/// # Errors
/// Where one is unknown, there twice, or not what it should be.
pub fn asked(query: &str) -> Result<Question, Unaskable> {
    let wrong = |error: String, advice: &str| Unaskable { error, advice: advice.to_owned() };
    let mut question = Question::new("");
    let mut seen = Vec::new();
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let (name, value) = (decoded(name), decoded(value));
        if seen.contains(&name) {
            return Err(wrong(format!("the parameter `{name}` is there twice"), "leave one out"));
        }
        match name.as_str() {
            "url" => question.url = value,
            "method" => question.method = value,
            "listener" => question.listener = Some(value),
            "from" => question.from = address(&value)?,
            "header" => {
                question.fields.push(value);
                continue;
            }
            _ => {
                let advice = "there are url, from, method, listener and header";
                return Err(wrong(format!("there is no parameter `{name}`"), advice));
            }
        }
        seen.push(name);
    }
    if question.url.is_empty() {
        return Err(wrong("there is no URL".into(), "add the parameter `url`, percent-encoded"));
    }
    Ok(question)
}

/// The query that asks a question: what [`asked`] reads.
pub fn query(question: &Question) -> String {
    let mut query = String::new();
    let mut add = |name: &str, value: &str| {
        query.push_str(if query.is_empty() { "" } else { "&" });
        query.push_str(name);
        query.push('=');
        value.bytes().for_each(|byte| match byte {
            b'-' | b'.' | b'_' | b'~' => query.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => query.push(char::from(byte)),
            _ => query.push_str(&format!("%{byte:02X}")),
        });
    };
    add("url", &question.url);
    add("from", &question.from.to_string());
    add("method", &question.method);
    question.listener.iter().for_each(|listener| add("listener", listener));
    question.fields.iter().for_each(|field| add("header", field));
    query
}

/// An address that a request comes from.
///
/// # Errors
/// Where it is none.
pub fn address(text: &str) -> Result<IpAddr, Unaskable> {
    let advice = "write one like \"203.0.113.7\" or \"2001:db8::7\"".to_owned();
    text.parse().map_err(|_| Unaskable { error: format!("`{text}` is not an IP address"), advice })
}

/// `application/x-www-form-urlencoded`.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        let digit = |at: usize| behind.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        let octet = if *first == b'%' { digit(0).zip(digit(1)) } else { None };
        rest = behind.get(if octet.is_some() { 2 } else { 0 }..).unwrap_or_default();
        bytes.push(match (octet, *first) {
            (Some((high, low)), _) => (high * 16 + low) as u8,
            (None, b'+') => b' ',
            (None, byte) => byte,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Texts {
    fn add_places(&self, explanation: &mut Explanation) {
        let route = explanation.route.as_ref().map(|route| route.name.clone());
        for list in explanation.verdicts.iter_mut().filter_map(|verdict| verdict.list.as_mut()) {
            let place = self.place_of(list, route.as_deref());
            list.place = place.map(|place| self.sources.line(place)).unwrap_or_default();
        }
        if let Some(route) = &mut explanation.route {
            let settings = self.config.routes.iter().find(|settings| settings.name.value == route.name);
            route.place = settings.map(|settings| self.sources.line(settings.place)).unwrap_or_default();
        }
    }

    /// Where the network that decides stands.
    fn place_of(&self, list: &List, route: Option<&str>) -> Option<Place> {
        let network: Cidr = list.network.as_ref()?.parse().ok()?;
        let lists: &Lists = match list.of.as_str() {
            "global" => &self.config.acl.lists,
            "rule" => &self.config.acl.rules.iter().find(|rule| rule.path.to_string() == list.path)?.lists,
            _ => {
                let of_route = self.config.routes.iter().find(|settings| Some(settings.name.as_str()) == route)?;
                &of_route.policies.acl.as_ref()?.lists
            }
        };
        let networks = if list.denies { &lists.deny } else { &lists.allow };
        networks.iter().find(|known| known.value == network).map(|known| known.place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_goes_through_its_query_as_it_is() {
        let question = Question {
            url: "https://a.example:8443/x?y=1&z=%2f+#ü".into(),
            from: "2001:db8::1".parse().unwrap(),
            method: "PUT".into(),
            fields: vec!["X-A: 1&2".into(), "x-a: +%20".into()],
            listener: Some("0.0.0.0:443".into()),
        };
        let read = asked(&query(&question)).unwrap();
        assert_eq!(format!("{read:?}"), format!("{question:?}"));
        let plain = asked("url=http://a/b%3Fc&header=A:+b").unwrap();
        assert_eq!((plain.url.as_str(), plain.fields[0].as_str()), ("http://a/b?c", "A: b"));
        assert_eq!((plain.method.as_str(), plain.from.to_string()), ("GET", "127.0.0.1".to_owned()));
    }

    #[test]
    fn what_is_asked_wrongly_is_told_how_to_ask() {
        for (query, told) in [
            ("", "there is no URL; add the parameter `url`, percent-encoded"),
            ("url", "there is no URL; add the parameter `url`, percent-encoded"),
            ("url=http://a&url=http://b", "the parameter `url` is there twice; leave one out"),
            ("url=http://a&ip=1", "there is no parameter `ip`; there are url, from, method, listener and header"),
            ("url=http://a&from=b", "`b` is not an IP address; write one like \"203.0.113.7\" or \"2001:db8::7\""),
        ] {
            assert_eq!(asked(query).unwrap_err().to_string(), told, "{query}");
        }
    }

    #[test]
    fn any_query_is_read_without_panic() {
        let mut random = fastrand::Rng::with_seed(12);
        for _ in 0..20_000 {
            let text: String = (0..random.usize(..30))
                .map(|_| *random.choice("url=&%+4a:/é".chars().collect::<Vec<_>>().as_slice()).unwrap())
                .collect();
            let _ = (asked(&text), asked(&format!("url=https://a/&{text}")));
        }
    }
}
