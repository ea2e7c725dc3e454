//! The arena and its fields against a plain list of names and values.

use portcullis::proxy::message::{Fields, Name, NameSet, Request, list_members};

use super::oracle::meaning::List;

/// Names that operations draw from: known ones, twins of them in other cases, and others.
const NAMES: [&[u8]; 14] = [
    b"host",
    b"Host",
    b"connection",
    b"Connection",
    b"x-forwarded-for",
    b"X-Forwarded-For",
    b"X_Forwarded_For",
    b"te",
    b"x-a",
    b"X-A",
    b"x-b",
    b"",
    b"strict-transport-security",
    b"a-name-longer-than-any-of-those-that-are-known",
];

const SET: NameSet = NameSet::of(&[Name::Connection, Name::Te]);

/// Everything is looked at after each operation: more of them only take longer.
const MOST: usize = 64;

/// Operations, a byte each, with a byte for the name and one for the length of the value that follows.
pub fn run(bytes: &[u8]) {
    let mut real = Request::default();
    let mut plain = Plain::default();
    let mut rest = bytes;
    for _ in 0..MOST {
        let [operation, name, length, after @ ..] = rest else { return };
        let length = usize::from(*length).min(after.len());
        let (value, after) = after.split_at(length);
        rest = after;
        apply(*operation, NAMES[usize::from(*name) % NAMES.len()], value, (&mut real, &mut plain));
        same(&real, &plain);
    }
}

/// What a request's head is, without an arena.
#[derive(Debug, Default)]
struct Plain {
    fields: List,
    target: Vec<u8>,
    authority: Vec<u8>,
}

fn apply(operation: u8, name: &[u8], value: &[u8], (real, plain): (&mut Request, &mut Plain)) {
    let known = Name::of(name);
    let same_name = |field: &(Vec<u8>, Vec<u8>)| field.0.eq_ignore_ascii_case(name);
    match operation % 11 {
        0 | 1 => {
            real.fields.add(name, value);
            plain.fields.push((name.to_vec(), value.to_vec()));
        }
        2 | 3 if known == Name::Other => {
            real.fields.remove_all(SET);
            plain.fields.retain(|(raw, _)| !matches!(Name::of(raw), Name::Connection | Name::Te));
        }
        2 => {
            real.fields.set(known, value);
            plain.fields.retain(|field| !same_name(field));
            plain.fields.push((known.text().to_vec(), value.to_vec()));
        }
        3 => {
            real.fields.remove(known);
            plain.fields.retain(|field| !same_name(field));
        }
        4 => remove_listed(real, plain),
        5 => extend_list(known, value, (real, plain)),
        6 => {
            real.fields.retain(|_, raw, kept| raw != name && kept != value);
            plain.fields.retain(|(raw, kept)| raw != name && kept != value);
        }
        7 => {
            real.rewrite_target(value);
            plain.target = value.to_vec();
        }
        8 => {
            let cut = usize::from(value.first().copied().unwrap_or(0));
            real.replace_target_front(cut, &[value, name]);
            let kept = plain.target.split_off(cut.min(plain.target.len()));
            plain.target = [value, name, &kept].concat();
        }
        9 => {
            let span = real.fields.store(value);
            real.set_authority(span);
            plain.authority = value.to_vec();
            if known != Name::Other {
                real.set_authority_field(known);
                plain.fields.retain(|field| !same_name(field));
                plain.fields.push((known.text().to_vec(), value.to_vec()));
            }
        }
        _ if value.is_empty() => {
            real.clear();
            *plain = Plain::default();
        }
        _ if known != Name::Other => {
            real.fields.set_written(known, |into| into.extend_from_slice(value));
            plain.fields.retain(|field| !same_name(field));
            plain.fields.push((known.text().to_vec(), value.to_vec()));
        }
        _ => {}
    }
}

/// Of what `Connection` names, what the gateway does not know goes.
fn remove_listed(real: &mut Request, plain: &mut Plain) {
    real.fields.remove_listed(Name::Connection, |name| name == Name::Other);
    let lists: Vec<Vec<u8>> = plain
        .fields
        .iter()
        .filter(|(raw, _)| raw.eq_ignore_ascii_case(b"connection"))
        .map(|(_, v)| v.clone())
        .collect();
    let named = |raw: &[u8]| {
        let mut members = lists.iter().flat_map(|list| list.split(|byte| *byte == b','));
        members.any(|member| !member.trim_ascii().is_empty() && member.trim_ascii().eq_ignore_ascii_case(raw))
    };
    plain.fields.retain(|(raw, _)| Name::of(raw) != Name::Other || !named(raw));
}

fn extend_list(known: Name, value: &[u8], (real, plain): (&mut Request, &mut Plain)) {
    if known == Name::Other {
        return;
    }
    let name = known.text();
    real.fields.extend_list(known, |list| list.extend_from_slice(value));
    let mut list = Vec::new();
    for (_, before) in plain.fields.iter().filter(|(raw, _)| raw.eq_ignore_ascii_case(name)) {
        list.extend_from_slice(before);
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(value);
    plain.fields.retain(|(raw, _)| !raw.eq_ignore_ascii_case(name));
    plain.fields.push((name.to_vec(), list));
}

/// Every way to look at it shows the same.
fn same(real: &Request, plain: &Plain) {
    let fields = &real.fields;
    let found: List = fields.iter().map(|(_, raw, value)| (raw.to_vec(), value.to_vec())).collect();
    assert_eq!((&found, fields.len()), (&plain.fields, plain.fields.len()));
    assert_eq!(fields.is_empty(), plain.fields.is_empty());
    let mut lines = Vec::new();
    fields.write_lines(&mut lines);
    let expected: Vec<u8> =
        plain.fields.iter().flat_map(|(raw, value)| [raw, &b": "[..], value, b"\r\n"].concat()).collect();
    assert_eq!(lines, expected);
    assert_eq!(real.target(), plain.target);
    if !plain.authority.is_empty() {
        assert_eq!(real.authority(), plain.authority);
    }
    let query = plain.target.iter().position(|byte| *byte == b'?');
    assert_eq!(real.path(), &plain.target[..query.unwrap_or(plain.target.len())]);
    assert_eq!(real.query(), query.map(|mark| &plain.target[mark + 1..]));
    for name in NAMES {
        let expected = |(raw, _): &&(Vec<u8>, Vec<u8>)| raw.eq_ignore_ascii_case(name);
        let expected: Vec<&[u8]> = plain.fields.iter().filter(expected).map(|(_, value)| value.as_slice()).collect();
        assert_eq!(fields.values(name).collect::<Vec<_>>(), expected);
        by_known_name(fields, Name::of(name), &expected);
        for value in expected {
            assert!(list_members(value).all(|member| !member.is_empty() && member == member.trim_ascii()));
        }
    }
}

fn by_known_name(fields: &Fields, name: Name, expected: &[&[u8]]) {
    if name == Name::Other {
        return;
    }
    assert_eq!(fields.all(name).collect::<Vec<_>>(), expected);
    assert_eq!(fields.all_spans(name).map(|span| fields.bytes(span)).collect::<Vec<_>>(), expected);
    assert_eq!(fields.first(name), expected.first().copied());
    assert!(fields.all(name).rev().eq(expected.iter().rev().copied()));
}
