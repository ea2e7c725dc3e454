//! One key of a table: its name, what it does, its range and its default, said once.

use std::fmt::Display;
use std::ops::RangeInclusive;

use super::node::LONGEST_LIST;
use super::{Entry, Node, Scalar, Section, Setting, Shape};
use crate::base::place::At;

/// A key that is about to be read.
#[must_use = "say how it is read: or, optional, required, list, pairs"]
pub struct Key<'s, 'a, T> {
    section: &'s mut Section<'a>,
    name: &'static str,
    doc: &'static str,
    range: Option<Range<T>>,
    fallback: Option<&'static str>,
    most: usize,
}

struct Range<T> {
    ends: RangeInclusive<T>,
    holds: fn(&RangeInclusive<T>, &T) -> bool,
}

#[derive(Clone, Copy)]
enum Form {
    One,
    List,
    Map,
}

impl<'s, 'a, T: Setting> Key<'s, 'a, T> {
    pub(super) fn new(section: &'s mut Section<'a>, name: &'static str, doc: &'static str) -> Self {
        section.ask(name);
        Self { section, name, doc, range: None, fallback: None, most: LONGEST_LIST }
    }

    /// Only values in `range` are accepted.
    pub fn within(self, range: RangeInclusive<T>) -> Self
    where
        T: PartialOrd,
    {
        Self { range: Some(Range { ends: range, holds: RangeInclusive::contains }), ..self }
    }

    /// Where the key is left out, the override called `variable` stands in for it.
    pub fn fallback(self, variable: &'static str) -> Self {
        Self { fallback: Some(variable), ..self }
    }

    /// A list may have so many entries.
    pub fn up_to(self, most: usize) -> Self {
        Self { most, ..self }
    }

    /// The value, or `default` where the key is left out (or wrong, which has been reported).
    pub fn or(mut self, default: T) -> T {
        self.note(Form::One, Some(&default), false);
        self.value().unwrap_or(default)
    }

    /// The value, where the key is there.
    pub fn optional(mut self) -> Option<T> {
        self.note(Form::One, None, false);
        self.value()
    }

    /// The value; leaving the key out is a problem.
    pub fn required(mut self) -> Option<T> {
        self.note(Form::One, None, true);
        self.missing();
        self.value()
    }

    /// One value or a list of them; empty where the key is left out.
    pub fn list(mut self) -> Vec<T> {
        self.note(Form::List, None, false);
        self.values()
    }

    /// One value or a list of them; none at all is a problem.
    pub fn required_list(mut self) -> Vec<T> {
        self.note(Form::List, None, true);
        self.missing();
        if let Some(node) = self.node().filter(|node| node.elements().is_empty()) {
            let advice = format!("write at least one: `{} = [{}]`", node.key(), T::shape().example());
            node.problem::<()>(format!("`{}` is empty", node.key()), advice);
        }
        self.values()
    }

    /// A table of names of the user's own and values, in file order.
    pub fn pairs(mut self) -> Vec<(At<String>, T)> {
        self.note(Form::Map, None, false);
        let entries = self.node().and_then(|node| node.entries()).unwrap_or_default();
        entries.into_iter().filter_map(|node| Some((node.name.clone(), T::read(&node)?))).collect()
    }

    /// Records the key, where the shape of the table is being recorded.
    fn note(&mut self, form: Form, default: Option<&T>, required: bool) {
        if !self.section.is_recording() {
            return;
        }
        let one = match &self.range {
            Some(range) => T::shape().narrowed(&range.ends.start().shown(), &range.ends.end().shown()),
            None => T::shape(),
        };
        let shape = match form {
            Form::One => one,
            Form::List => Shape::OneOf(vec![one.clone(), Shape::List(Box::new(one))]),
            Form::Map => Shape::Map(Box::new(one)),
        };
        let default = default.map(Setting::shown).filter(|shown| !shown.is_null());
        self.section.note(Entry { name: self.name, doc: self.doc, shape, default, required });
    }

    fn node(&self) -> Option<Node<'a>> {
        let fallback = || self.section.given(self.name, self.fallback?);
        self.section.node(self.name).or_else(fallback)
    }

    fn value(&self) -> Option<T> {
        self.bounded(&self.node()?)
    }

    fn values(&self) -> Vec<T> {
        let elements = self.node().map(|node| node.elements_up_to(self.most)).unwrap_or_default();
        elements.iter().filter_map(|node| self.bounded(node)).collect()
    }

    fn bounded(&self, node: &Node<'a>) -> Option<T> {
        let Some(range) = &self.range else { return T::read(node) };
        let (low, high) = (range.ends.start().shown(), range.ends.end().shown());
        let outside = |value: &dyn Display| {
            let message = format!("`{}` is {value}, out of range", self.name);
            node.problem(message, format!("write a value from {low} to {high}"))
        };
        // A number that its type cannot hold is told with the range of the key, not of the type.
        if let (Some(Scalar::Integer(number)), Some(low), Some(high)) = (node.scalar(), low.as_i64(), high.as_i64()) {
            match number {
                None => return outside(&"a very large number"),
                Some(number) if !(low..=high).contains(&number) => return outside(&number),
                Some(_) => {}
            }
        }
        let value = T::read(node)?;
        if (range.holds)(&range.ends, &value) { Some(value) } else { outside(&value.shown()) }
    }

    fn missing(&self) {
        if !self.section.is_recording() && self.node().is_none() {
            let advice = format!("add it: `{} = {}`", self.name, T::shape().example());
            self.section.problem(self.section.place(), format!("`{}` is missing", self.name), advice);
        }
    }
}
