//! Reading a config: each table is read by one function that names every key with its type, default and documentation once.
//!
//! The function runs against a [`Section`]. In a file it yields the values and reports every problem with its place;
//! against a recording section the same function yields the [`Shape`] that the JSON schema and the reference are held to.

mod environment;
mod exclusive;
mod key;
mod node;
mod problem;
mod reader;
mod section;
mod shape;
pub mod suggest;
mod value;

pub use environment::Environment;
pub use key::Key;
pub use node::{Node, Scalar};
pub use problem::{Problem, Severity};
pub use reader::{Override, Reader};
pub use section::Section;
pub use shape::{Entry, Shape};
pub use value::Switch;

/// A value that a key can hold.
pub trait Setting: Sized {
    /// What it may look like.
    fn shape() -> Shape;

    /// Reads it. `None` where it cannot be read, which has been reported to the node.
    fn read(node: &Node<'_>) -> Option<Self>;

    /// How it is written in a config; null for what has no short form.
    fn shown(&self) -> serde_json::Value {
        serde_json::Value::Null
    }
}

/// A value that is a table: its keys, each said once.
pub trait Table: Sized {
    /// Reads the keys. Every key is asked for before the function returns, whatever went wrong with the others.
    fn keys(section: &mut Section<'_>) -> Option<Self>;
}

impl<T: Table> Setting for T {
    fn shape() -> Shape {
        Shape::table(|section| drop(T::keys(section)))
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        node.table(T::keys).flatten()
    }
}
