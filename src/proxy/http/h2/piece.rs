//! A piece of a response's body on its way through `h2`, and how much of a stream's and a connection's is there.
//!
//! `h2` does not say what it still holds of a stream. Its pieces do: each counts itself down as it is written.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};

use bytes::Buf;

use crate::base::buffers::{BUFFER, Buffers};

/// What a stream may hold while the connection as a whole holds less than [`CONNECTION`].
const STREAM: usize = 64 << 10;

/// What all streams of a connection may hold before each is kept to [`BUFFER`].
const CONNECTION: usize = 1 << 20;

/// How much of one stream's body `h2` holds. Its holders share it.
#[derive(Default)]
pub(super) struct Held {
    bytes: Cell<usize>,
    waker: RefCell<Option<Waker>>,
    connection: Rc<Cell<usize>>,
}

impl Held {
    /// A stream of the connection whose streams together hold `connection`.
    pub(super) fn of(connection: &Rc<Cell<usize>>) -> Rc<Self> {
        Rc::new(Self { connection: Rc::clone(connection), ..Self::default() })
    }

    /// Bytes that were given to `h2` and not written yet.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.get()
    }

    /// What this stream may hold now.
    pub(super) fn allowance(&self) -> usize {
        if self.connection.get() < CONNECTION { STREAM } else { BUFFER }
    }

    /// Wakes the task once there is less.
    pub(super) fn wait(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }

    fn add(&self, count: usize) {
        self.bytes.set(self.bytes.get() + count);
        self.connection.set(self.connection.get() + count);
    }

    fn subtract(&self, count: usize) {
        self.bytes.set(self.bytes.get() - count);
        self.connection.set(self.connection.get() - count);
        let waker = self.waker.borrow_mut().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Bytes in a pooled buffer, which goes back when they are written or given up.
pub(super) struct Piece {
    buffer: Vec<u8>,
    at: usize,
    held: Rc<Held>,
    buffers: Rc<Buffers>,
}

impl Piece {
    /// All of `bytes`, which is left empty.
    pub(super) fn taking(bytes: &mut Vec<u8>, held: &Rc<Held>, buffers: &Rc<Buffers>) -> Self {
        held.add(bytes.len());
        Self { buffer: std::mem::take(bytes), at: 0, held: Rc::clone(held), buffers: Rc::clone(buffers) }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.buffer.len() - self.at
    }

    fn chunk(&self) -> &[u8] {
        &self.buffer[self.at..]
    }

    fn advance(&mut self, count: usize) {
        self.at += count;
        self.held.subtract(count);
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let left = self.remaining();
        if left > 0 {
            self.held.subtract(left);
        }
        self.buffers.give(&mut self.buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_counts_itself_down() {
        let (buffers, total) = (Rc::new(Buffers::default()), Rc::new(Cell::new(0)));
        let held = Held::of(&total);
        let mut piece = Piece::taking(&mut vec![7; 100], &held, &buffers);
        let other = Piece::taking(&mut vec![7; 50], &held, &buffers);
        piece.advance(30);
        assert_eq!((piece.chunk().len(), held.bytes(), total.get()), (70, 120, 120));
        drop(piece);
        assert_eq!(held.bytes(), 50);
        drop(other);
        assert_eq!((held.bytes(), total.get()), (0, 0));
    }

    #[test]
    fn a_full_connection_leaves_each_stream_less() {
        let total = Rc::new(Cell::new(CONNECTION - 1));
        assert_eq!(Held::of(&total).allowance(), STREAM);
        total.set(CONNECTION);
        assert_eq!(Held::of(&total).allowance(), BUFFER);
    }
}
