//! Label values as small numbers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// An interned label value: the name of a listener, a route, a pool, a reason. Made by [`super::Registry::label`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label(u32);

/// Numbers below this are their own label, so that a status needs no lookup.
const NUMBERS: u32 = 1000;

/// The most label values that are kept apart: listeners, routes, pools and backends of every config since the start.
const MOST_LABELS: usize = 200_000;

impl Label {
    /// What takes the place of values beyond the bounds.
    pub const OTHER: Self = Self(NUMBERS);
    /// No value: the route of a request that matched none.
    pub const NONE: Self = Self(NUMBERS + 1);

    /// The label of a status code. Anything above 999 is [`Self::OTHER`].
    pub const fn status(status: u16) -> Self {
        if (status as u32) < NUMBERS { Self(status as u32) } else { Self::OTHER }
    }
}

/// Every label value of the process.
pub(super) struct Labels {
    known: Mutex<Known>,
}

struct Known {
    texts: Vec<Arc<str>>,
    ids: HashMap<Arc<str>, Label>,
}

impl Labels {
    pub(super) fn new() -> Self {
        let mut texts: Vec<Arc<str>> = (0..NUMBERS).map(|number| Arc::from(number.to_string())).collect();
        texts.push(Arc::from("other"));
        texts.push(Arc::from(""));
        let ids = (0u32..).zip(&texts).map(|(id, text)| (Arc::clone(text), Label(id))).collect();
        Self { known: Mutex::new(Known { texts, ids }) }
    }

    pub(super) fn intern(&self, text: &str) -> Label {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(label) = known.ids.get(text) {
            return *label;
        }
        let Ok(id) = u32::try_from(known.texts.len()) else { return Label::OTHER };
        if known.texts.len() >= MOST_LABELS {
            return Label::OTHER;
        }
        let text: Arc<str> = Arc::from(text);
        known.texts.push(Arc::clone(&text));
        known.ids.insert(text, Label(id));
        Label(id)
    }

    /// All texts at this moment; [`text_of`] reads them.
    pub(super) fn texts(&self) -> Vec<Arc<str>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).texts.clone()
    }
}

/// The text of `label` in what [`Labels::texts`] gave. A label interned later than that reads as `other`.
pub(super) fn text_of(texts: &[Arc<str>], label: Label) -> &str {
    texts.get(label.0 as usize).map_or("other", AsRef::as_ref)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_its_own_label() {
        let labels = Labels::new();
        let texts = labels.texts();
        assert_eq!(text_of(&texts, Label::status(200)), "200");
        assert_eq!(labels.intern("503"), Label::status(503));
        assert_eq!(text_of(&texts, Label::status(1000)), "other");
        assert_eq!(text_of(&texts, Label::NONE), "");
    }

    #[test]
    fn the_same_text_is_the_same_label() {
        let labels = Labels::new();
        let label = labels.intern("web");
        assert_eq!(label, labels.intern("web"));
        assert_ne!(label, labels.intern("web2"));
        assert_eq!(text_of(&labels.texts(), label), "web");
    }
}
