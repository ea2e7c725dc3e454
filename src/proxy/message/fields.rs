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
    /// A bit for each name that was added: most names are asked for where they are not.
    seen: u64,
}

impl Fields {
    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.list.clear();
        self.seen = 0;
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
        self.push(name, raw_name, value);
    }

    fn push(&mut self, name: Name, raw_name: Span, value: Span) {
        self.seen |= bit(name);
        self.list.push(Field { name, raw_name, value });
    }

    /// Adds a field. The name is one of ours or one already checked to be a token; the value is a checked field value.
    pub fn add(&mut self, name: &[u8], value: &[u8]) {
        let raw_name = self.store(name);
        let value = self.store(value);
        self.push_stored(raw_name, value);
    }

    /// Adds a field of which it is known already what [`Name::of`] says of its name.
    pub fn add_known(&mut self, name: Name, raw_name: &[u8], value: &[u8]) {
        let raw_name = self.store(raw_name);
        let value = self.store(value);
        self.push(name, raw_name, value);
    }

    /// Replaces every field of a known name by one.
    pub fn set(&mut self, name: Name, value: &[u8]) {
        self.set_written(name, |into| into.extend_from_slice(value));
    }

    /// Replaces every field of a known name by one whose value `write` appends to the bytes it is given. It changes nothing of
    /// what is there already. Stored as the line that [`write_lines`](Self::write_lines) writes.
    pub fn set_written(&mut self, name: Name, write: impl FnOnce(&mut Vec<u8>)) {
        self.remove(name);
        let raw_name = self.store(name.text());
        self.arena.extend_from_slice(b": ");
        let start = self.arena.len();
        write(&mut self.arena);
        let value = Span::between(start, self.arena.len());
        self.arena.extend_from_slice(b"\r\n");
        self.push(name, raw_name, value);
    }

    /// Replaces every field of a known name by one whose value is in the arena already.
    pub fn set_stored(&mut self, name: Name, value: Span) {
        self.remove(name);
        let raw_name = self.store(name.text());
        self.push(name, raw_name, value);
    }

    /// Removes every field of a known name.
    pub fn remove(&mut self, name: Name) {
        if self.seen & bit(name) != 0 {
            self.list.retain(|field| field.name != name);
            self.seen &= !bit(name);
        }
    }

    /// Removes every field called `raw`, compared without case; `known` is what [`Name::of`] says of it.
    pub fn remove_named(&mut self, known: Name, raw: &[u8]) {
        if known != Name::Other {
            return self.remove(known);
        }
        if self.seen & bit(Name::Other) != 0 {
            let Self { arena, list, .. } = self;
            list.retain(|field| field.name != known || !arena[field.raw_name.range()].eq_ignore_ascii_case(raw));
        }
    }

    /// Removes every field of the names of a set.
    pub fn remove_all(&mut self, names: NameSet) {
        if self.seen & names.0 != 0 {
            self.list.retain(|field| names.0 & bit(field.name) == 0);
            self.seen &= !names.0;
        }
    }

    /// Removes the fields that the comma-separated lists of every `list` field name, as far as `removable` lets them go.
    pub fn remove_listed(&mut self, list: Name, removable: impl Fn(Name) -> bool) {
        let mut index = 0;
        while let Some(field) = self.list.get(index) {
            let name = self.bytes(field.raw_name);
            let names_it = |value: &[u8]| list_members(value).any(|member| member.eq_ignore_ascii_case(name));
            if removable(field.name) && self.all(list).any(names_it) {
                self.list.remove(index);
            } else {
                index += 1;
            }
        }
    }

    /// Replaces every field of a known name by one that lists their values and then what `last` appends to the bytes it is given.
    pub fn extend_list(&mut self, name: Name, last: impl FnOnce(&mut Vec<u8>)) {
        let start = self.arena.len();
        if self.seen & bit(name) != 0 {
            for field in self.list.iter().filter(|field| field.name == name) {
                self.arena.extend_from_within(field.value.range());
                self.arena.extend_from_slice(b", ");
            }
        }
        last(&mut self.arena);
        self.set_stored(name, Span::between(start, self.arena.len()));
    }

    /// Stores the parts of `front` and, right behind them, a copy of what lies at `back`.
    pub fn store_joined(&mut self, front: &[&[u8]], back: Span) -> Span {
        let start = self.arena.len();
        front.iter().for_each(|part| self.arena.extend_from_slice(part));
        self.arena.extend_from_within(back.range());
        Span::between(start, self.arena.len())
    }

    /// Keeps the fields for which `keep` says so, given known name, name and value.
    pub fn retain(&mut self, mut keep: impl FnMut(Name, &[u8], &[u8]) -> bool) {
        let Self { arena, list, .. } = self;
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

    /// Appends every field as a line of HTTP/1.1. Most lie in the arena as such, one behind the other: those are copied at one go.
    pub fn write_lines(&self, output: &mut Vec<u8>) {
        let mut run = 0..0;
        for field in &self.list {
            let (name, value) = (field.raw_name.range(), field.value.range());
            let end = value.end + 2;
            let is_line = value.start == name.end + 2
                && self.arena.get(name.end..value.start) == Some(b": ")
                && self.arena.get(value.end..end) == Some(b"\r\n");
            if is_line && run.end == name.start {
                run.end = end;
                continue;
            }
            output.extend_from_slice(&self.arena[run]);
            run = if is_line { name.start..end } else { 0..0 };
            if !is_line {
                for part in [&self.arena[name], b": ", &self.arena[value], b"\r\n"] {
                    output.extend_from_slice(part);
                }
            }
        }
        output.extend_from_slice(&self.arena[run]);
    }

    /// Every value of a known name, in order.
    pub fn all(&self, name: Name) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.all_spans(name).map(|span| self.bytes(span))
    }

    /// Where every value of a known name lies, in order.
    pub fn all_spans(&self, name: Name) -> impl DoubleEndedIterator<Item = Span> {
        let list = if self.seen & bit(name) == 0 { &[] } else { self.list.as_slice() };
        list.iter().filter(move |field| field.name == name).map(|field| field.value)
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

/// A set of names.
#[derive(Clone, Copy, Debug)]
pub struct NameSet(u64);

impl NameSet {
    /// The set of these names.
    pub const fn of(names: &[Name]) -> Self {
        let (mut bits, mut index) = (0, 0);
        while index < names.len() {
            bits |= bit(names[index]);
            index += 1;
        }
        Self(bits)
    }
}

const fn bit(name: Name) -> u64 {
    1 << name as u8
}

/// The members of a comma-separated list (RFC 9110 §5.6.1), without the blanks around them. Empty ones are left out.
pub fn list_members(value: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
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
        fields.add(b"HOST", b"second.example");
        fields.set(Name::Host, b"third.example");
        assert_eq!(fields.values(b"host").collect::<Vec<_>>(), [b"third.example"]);
        assert_eq!(fields.len(), 3);
        fields.remove(Name::Host);
        assert_eq!((fields.first(Name::Host), fields.len()), (None, 2));
        fields.add(b"hOsT", b"fourth.example");
        assert_eq!(fields.first(Name::Host), Some(&b"fourth.example"[..]));
    }

    #[test]
    fn lines_are_written_wherever_the_fields_lie() {
        let mut fields = Fields::default();
        let head = b"GET / HTTP/1.1\r\nA: 1\r\nB:  2\r\nC: 3 \r\nD: 4\r\nE: 5\r\n\r\n";
        let base = fields.store(head).start as usize;
        let at = |text: &[u8]| head.windows(text.len()).position(|window| window == text).unwrap() + base;
        for (name, value) in [(b"A", b"1"), (b"B", b"2"), (b"C", b"3"), (b"D", b"4"), (b"E", b"5")] {
            let (name, value) = (at(&[name[0], b':']), at(value));
            fields.push_stored(Span::between(name, name + 1), Span::between(value, value + 1));
        }
        fields.set(Name::Te, b"t");
        fields.add(b"X", b"x");
        fields.set(Name::Age, b"");
        let written = |fields: &Fields| {
            let mut output = b"> ".to_vec();
            fields.write_lines(&mut output);
            String::from_utf8(output).unwrap()
        };
        assert_eq!(written(&fields), "> A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\nte: t\r\nX: x\r\nage: \r\n");
        fields.retain(|_, raw, _| raw != b"D");
        fields.remove(Name::Te);
        assert_eq!(written(&fields), "> A: 1\r\nB: 2\r\nC: 3\r\nE: 5\r\nX: x\r\nage: \r\n");
        assert_eq!(written(&Fields::default()), "> ");
    }

    #[test]
    fn clearing_forgets_but_keeps_the_memory() {
        let mut fields = sample();
        fields.clear();
        assert!(fields.is_empty() && fields.arena.capacity() > 0);
    }

    #[test]
    fn listed_fields_go_as_far_as_they_may() {
        let mut fields = sample();
        fields.add(b"Connection", b"close, x-A");
        fields.add(b"connection", b",, host ,");
        fields.remove_listed(Name::Connection, |name| name == Name::Other);
        assert_eq!(fields.values(b"x-a").count(), 0);
        assert_eq!(fields.len(), 3);
    }

    #[test]
    fn a_list_is_extended_into_one_field() {
        let mut fields = sample();
        fields.add(b"X-Forwarded-For", b"1.1.1.1, 2.2.2.2");
        fields.add(b"x-forwarded-for", b"3.3.3.3");
        fields.extend_list(Name::XForwardedFor, |list| list.extend_from_slice(b"4.4.4.4"));
        assert_eq!(fields.all(Name::XForwardedFor).collect::<Vec<_>>(), [b"1.1.1.1, 2.2.2.2, 3.3.3.3, 4.4.4.4"]);
    }

    #[test]
    fn members_of_lists_are_trimmed() {
        assert_eq!(list_members(b" a ,,b\t, ").collect::<Vec<_>>(), [b"a", b"b"]);
    }
}
