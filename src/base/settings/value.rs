//! The settings that every table is made of: booleans, numbers, strings, paths, and the checked types of this floor.

use std::path::PathBuf;

use serde_json::Value as Json;

use super::{Node, Scalar, Setting, Shape, Table};
use crate::base::cidr::Cidr;
use crate::base::period::Period;
use crate::base::place::At;
use crate::base::rate::Rate;
use crate::base::size::Size;

impl<T: Setting> Setting for At<T> {
    fn shape() -> Shape {
        T::shape()
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        T::read(node).map(|value| Self::new(value, node.place()))
    }

    fn shown(&self) -> Json {
        self.value.shown()
    }
}

impl Setting for bool {
    fn shape() -> Shape {
        Shape::Boolean
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        match node.scalar()? {
            Scalar::Boolean(value) => Some(value),
            Scalar::Filled(text) if text == "true" => Some(true),
            Scalar::Filled(text) if text == "false" => Some(false),
            other => node.mismatch::<Self, _>(&other),
        }
    }

    fn shown(&self) -> Json {
        Json::from(*self)
    }
}

/// Whole numbers: what the type can hold, narrowed by the key's own range.
macro_rules! whole_numbers {
    ($($number:ty),*) => {$(
        impl Setting for $number {
            fn shape() -> Shape {
                Shape::Integer(i64::from(<$number>::MIN), i64::from(<$number>::MAX))
            }

            fn read(node: &Node<'_>) -> Option<Self> {
                let number = match node.scalar()? {
                    Scalar::Integer(number) => number,
                    Scalar::Filled(text) if text.parse::<i64>().is_ok() => text.parse().ok(),
                    other => return node.mismatch::<Self, _>(&other),
                };
                match number.and_then(|number| Self::try_from(number).ok()) {
                    Some(number) => Some(number),
                    None => {
                        let (low, high) = (<$number>::MIN, <$number>::MAX);
                        node.problem(format!("`{}` is out of range", node.key()), format!("write a whole number from {low} to {high}"))
                    }
                }
            }

            fn shown(&self) -> Json {
                Json::from(*self)
            }
        }
    )*};
}

whole_numbers!(u8, u16, u32);

impl Setting for f64 {
    fn shape() -> Shape {
        Shape::Number(Self::MIN, Self::MAX)
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        match node.scalar()? {
            Scalar::Float(number) => Some(number),
            // Ranges of fractional settings are far below 2^53, where every whole number is exact.
            Scalar::Integer(Some(number)) => Some(number as Self),
            Scalar::Filled(text) if text.parse::<Self>().is_ok() => text.parse().ok(),
            other => node.mismatch::<Self, _>(&other),
        }
    }

    fn shown(&self) -> Json {
        Json::from(*self)
    }
}

impl Setting for String {
    fn shape() -> Shape {
        Shape::text("a string", "text")
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        node.text::<Self>().map(Into::into)
    }

    fn shown(&self) -> Json {
        Json::from(self.as_str())
    }
}

/// A path; a relative one starts at the folder of the file it stands in.
impl Setting for PathBuf {
    fn shape() -> Shape {
        Shape::text("a path", "certs/example.com.pem")
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        let text = node.text::<Self>()?;
        if text.is_empty() || text.contains('\0') {
            return node.problem(format!("`{}` is not a path", node.key()), "write the path of a file");
        }
        Some(node.folder().join(text.as_ref()))
    }

    fn shown(&self) -> Json {
        Json::from(self.to_string_lossy())
    }
}

/// The types of this floor that parse themselves.
macro_rules! parsed {
    ($($kind:ty: $what:literal, $example:literal, $pattern:expr;)*) => {$(
        impl Setting for $kind {
            fn shape() -> Shape {
                Shape::Text { what: $what, example: $example, pattern: $pattern }
            }

            fn read(node: &Node<'_>) -> Option<Self> {
                node.parse()
            }

            fn shown(&self) -> Json {
                Json::from(self.to_string())
            }
        }
    )*};
}

parsed! {
    Period: "a duration", "30s", Some(r"^\s*([0-9]+\s*(ms|s|m|min|h|d)\s*)+$|\$\{");
    Size: "a size", "16 MiB", Some(r"^\s*[0-9]+\s*([KkMmGgTt][Ii]?)?[Bb]?\s*$|\$\{");
    Rate: "a rate", "100/s", Some(r"^\s*[0-9]+\s*/\s*(s|sec|second|m|min|minute|h|hour)\s*$|\$\{");
    Cidr: "a network", "10.0.0.0/8", None;
}

/// A table that can be switched: `false`, `true` for its defaults, or the table itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Switch<T>(pub Option<T>);

impl<T: Table + Default> Setting for Switch<T> {
    fn shape() -> Shape {
        Shape::OneOf(vec![Shape::Boolean, T::shape()])
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        if node.is_table() {
            return T::read(node).map(|table| Self(Some(table)));
        }
        match node.scalar()? {
            Scalar::Boolean(false) => Some(Self(None)),
            Scalar::Boolean(true) => Some(Self(Some(T::default()))),
            Scalar::Filled(text) if text == "false" => Some(Self(None)),
            Scalar::Filled(text) if text == "true" => Some(Self(Some(T::default()))),
            other => node.mismatch::<Self, _>(&other),
        }
    }

    fn shown(&self) -> Json {
        match &self.0 {
            None => Json::from(false),
            Some(_) => Json::from(true),
        }
    }
}
