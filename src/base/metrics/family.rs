//! Series of one metric: a shared list for the scrape, and on each worker a map of its own for the hot path.

use std::cell::{Cell as Flag, RefCell};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::cell::Cell;
use super::label::Label;

/// The most series one family keeps apart; what comes later is counted with every label `other`.
pub(super) const MOST_SERIES: usize = 100_000;

/// The label values of one series, in the order of the family's label names.
pub(super) type Key<const N: usize> = [Label; N];

/// The series of one metric with `N` labels, over all workers.
pub(super) struct Family<C, const N: usize> {
    series: Mutex<HashMap<Key<N>, Vec<Arc<C>>>>,
    most: usize,
}

impl<C: Cell, const N: usize> Default for Family<C, N> {
    fn default() -> Self {
        Self::with_most(MOST_SERIES)
    }
}

impl<C: Cell, const N: usize> Family<C, N> {
    fn with_most(most: usize) -> Self {
        Self { series: Mutex::default(), most }
    }

    /// A new cell for `key`, or nothing where the family is full.
    fn register(&self, key: Key<N>) -> Option<Arc<C>> {
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        if key != [Label::OTHER; N] && series.len() >= self.most && !series.contains_key(&key) {
            return None;
        }
        let cell = Arc::new(C::default());
        series.entry(key).or_default().push(Arc::clone(&cell));
        Some(cell)
    }

    /// Every series and its sum over the workers, in no order.
    pub(super) fn sums(&self) -> Vec<(Key<N>, C::Sum)> {
        let series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let sum_of = |cells: &Vec<Arc<C>>| {
            let mut sum = C::Sum::default();
            cells.iter().for_each(|cell| cell.add_to(&mut sum));
            sum
        };
        series.iter().map(|(key, cells)| (*key, sum_of(cells))).collect()
    }
}

/// One worker's cells of a family.
pub(super) struct Local<C, const N: usize> {
    cells: RefCell<HashMap<Key<N>, Arc<C>, foldhash::fast::FixedState>>,
    full: Flag<bool>,
}

impl<C, const N: usize> Default for Local<C, N> {
    fn default() -> Self {
        Self { cells: RefCell::default(), full: Flag::new(false) }
    }
}

impl<C: Cell, const N: usize> Local<C, N> {
    /// Changes the cell of `key`. Only the first use of a key takes the lock of `family` and allocates.
    pub(super) fn with(&self, family: &Family<C, N>, key: Key<N>, change: impl FnOnce(&C)) {
        if let Some(cell) = self.cells.borrow().get(&key) {
            return change(cell);
        }
        change(&self.first_use(family, key));
    }

    #[cold]
    fn first_use(&self, family: &Family<C, N>, key: Key<N>) -> Arc<C> {
        if !self.full.get() {
            if let Some(cell) = family.register(key) {
                self.cells.borrow_mut().insert(key, Arc::clone(&cell));
                return cell;
            }
            self.full.set(true);
        }
        let other = [Label::OTHER; N];
        let known = self.cells.borrow().get(&other).map(Arc::clone);
        known.unwrap_or_else(|| {
            let cell = family.register(other).unwrap_or_default();
            self.cells.borrow_mut().insert(other, Arc::clone(&cell));
            cell
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::cell::Counter;
    use super::*;

    #[test]
    fn workers_sum_up() {
        let family = Family::<Counter, 1>::default();
        let (here, there) = (Local::default(), Local::default());
        for _ in 0..3 {
            here.with(&family, [Label::status(200)], |cell| cell.add(1));
        }
        there.with(&family, [Label::status(200)], |cell| cell.add(4));
        assert_eq!(family.sums(), [([Label::status(200)], 7)]);
    }

    #[test]
    fn beyond_the_bound_everything_is_other() {
        let family = Family::<Counter, 1>::with_most(2);
        let (here, there) = (Local::default(), Local::default());
        for status in [200, 201, 202, 203, 200] {
            here.with(&family, [Label::status(status)], |cell| cell.add(1));
        }
        there.with(&family, [Label::status(204)], |cell| cell.add(1));
        let mut sums = family.sums();
        sums.sort();
        assert_eq!(sums, [([Label::status(200)], 2), ([Label::status(201)], 1), ([Label::OTHER], 3)]);
    }
}
