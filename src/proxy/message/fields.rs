//! The arena and the list of fields.

use super::Name;

/// A stretch of an arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// Number of bytes.
    pub len: u32,
}

impl Span {
    /// The bytes from `start` up to `end`.
    pub fn between(start: usize, end: usize) -> Self {
        Self { start: start as u32, len: (end - start) as u32 }
    }

    fn range(self) -> std::ops::Range<usize> {
        self.start as usize..(self.start + self.len) as usize
    }
}

/// One header field: where its name and value lie, and which known name it is.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// The known name, or [`Name::Other`].
    pub name: Name,
    raw_name: Span,
    value: Span,
}

/// Header fields in the order they were received, over one arena. Removing or replacing a field leaves its bytes behind
/// until [`clear`](Self::clear): a head is small and short-lived.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    arena: Vec<u8>,
    list: Vec<Field>,
}

impl Fields {
    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.list.clear();
    }

    /// Gives memory beyond `bytes` and `fields` back, so that one large head does not stay paid for.
    pub fn shrink(&mut self, bytes: usize, fields: usize) {
        self.arena.shrink_to(bytes);
        self.list.shrink_to(fields);
    }

    /// Copies `bytes` into the arena.
    pub fn store(&mut self, bytes: &[u8]) -> Span {
        let start = self.arena.len();
        self.arena.extend_from_slice(bytes);
        Span::between(start, self.arena.len())
    }

    /// The bytes of a span of this arena.
    pub fn bytes(&self, span: Span) -> &[u8] {
        &self.arena[span.range()]
    }

    /// Adds a field whose bytes are in the arena already.
    pub fn push_stored(&mut self, raw_name: Span, value: Span) {
        let name = Name::of(self.bytes(raw_name));
        self.list.push(Field { name, raw_name, value });
    }

    /// Adds a field. The name is one of ours or one already checked to be a token; the value is a checked field value.
    pub fn add(&mut self, name: &[u8], value: &[u8]) {
        let raw_name = self.store(name);
        let value = self.store(value);
        self.push_stored(raw_name, value);
    }

    /// Replaces every field of that name by one.
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        self.remove(name);
        self.add(name, value);
    }

    /// Removes every field of that name, compared without case.
    pub fn remove(&mut self, name: &[u8]) {
        let Self { arena, list } = self;
        list.retain(|field| !arena[field.raw_name.range()].eq_ignore_ascii_case(name));
    }

    /// Keeps the fields for which `keep` says so, given known name, name and value.
    pub fn retain(&mut self, mut keep: impl FnMut(Name, &[u8], &[u8]) -> bool) {
        let Self { arena, list } = self;
        list.retain(|field| keep(field.name, &arena[field.raw_name.range()], &arena[field.value.range()]));
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Every field in order: known name, name as received, value.
    pub fn iter(&self) -> impl Iterator<Item = (Name, &[u8], &[u8])> {
        self.list.iter().map(|field| (field.name, self.bytes(field.raw_name), self.bytes(field.value)))
    }

    /// Every value of a known name, in order.
    pub fn all(&self, name: Name) -> impl Iterator<Item = &[u8]> {
        self.list.iter().filter(move |field| field.name == name).map(|field| self.bytes(field.value))
    }

    /// The first value of a known name.
    pub fn first(&self, name: Name) -> Option<&[u8]> {
        self.all(name).next()
    }

    /// Every value of a name that need not be a known one, compared without case, in order.
    pub fn values<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.iter().filter(move |(_, raw, _)| raw.eq_ignore_ascii_case(name)).map(|(_, _, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Fields {
        let mut fields = Fields::default();
        fields.add(b"Host", b"example.com");
        fields.add(b"X-A", b"1");
        fields.add(b"x-a", b"2");
        fields
    }

    #[test]
    fn names_compare_without_case_and_values_keep_their_order() {
        let fields = sample();
        assert_eq!(fields.values(b"X-a").collect::<Vec<_>>(), [b"1", b"2"]);
        assert_eq!(fields.first(Name::Host), Some(&b"example.com"[..]));
    }

    #[test]
    fn setting_replaces_every_field_of_the_name() {
        let mut fields = sample();
        fields.set(b"X-A", b"3");
        assert_eq!(fields.values(b"x-a").collect::<Vec<_>>(), [b"3"]);
        assert_eq!(fields.len(), 2);
    }

    #[test]
    fn clearing_forgets_but_keeps_the_memory() {
        let mut fields = sample();
        fields.clear();
        assert!(fields.is_empty() && fields.arena.capacity() > 0);
    }
}
