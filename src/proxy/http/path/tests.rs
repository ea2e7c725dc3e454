//! Every spelling that has been used to slip past a path rule.

use super::*;

#[test]
fn spellings_of_one_path_decide_alike() {
    for (raw, deciding) in [
        ("/", "/"),
        ("/a", "/a"),
        ("/a/", "/a/"),
        ("/a//b", "/a/b"),
        ("//a", "/a"),
        ("///", "/"),
        ("/a///", "/a/"),
        ("/./a", "/a"),
        ("/a/.", "/a/"),
        ("/a/./b", "/a/b"),
        ("/a/..", "/"),
        ("/a/../", "/"),
        ("/a/../b", "/b"),
        ("/a/b/../../c", "/c"),
        ("/a/b/..", "/a/"),
        ("//a/../b", "/b"),
        ("/a/./../b", "/b"),
        ("/.", "/"),
        ("/%61dmin", "/admin"),
        ("/%41dmin", "/Admin"),
        ("/a%2db", "/a-b"),
        ("/%7euser", "/~user"),
        ("/a%5Fb", "/a_b"),
        ("/a%2ehtml", "/a.html"),
        ("/.well-known/x", "/.well-known/x"),
        ("/...", "/..."),
        ("/..a", "/..a"),
        ("/a..", "/a.."),
        ("/%2e%2e%2e", "/..."),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/caf\u{e9}", "/caf%C3%A9"),
        ("/\u{937f}", "/%E9%8D%BF"),
        ("/%e0%a4%85", "/%E0%A4%85"),
        ("/a%20b", "/a%20b"),
        ("/a%3fb", "/a%3Fb"),
        ("/a%23b", "/a%23b"),
        ("/a%3bb", "/a%3Bb"),
        ("/a;v=1/b", "/a;v=1/b"),
        ("/;jsessionid=1", "/;jsessionid=1"),
        ("/%2561dmin", "/%2561dmin"),
        ("/%252e%252e/a", "/%252e%252e/a"),
        ("/a|b", "/a%7Cb"),
        ("/a%7cb", "/a%7Cb"),
        ("/\"<>[]^`{}", "/%22%3C%3E%5B%5D%5E%60%7B%7D"),
        ("/!$&'()*+,;=:@", "/!$&'()*+,;=:@"),
        ("/%21", "/%21"),
    ] {
        let found = Deciding::of(raw.as_bytes());
        assert_eq!(found.as_ref().map(Deciding::as_str), Ok(deciding), "{raw}");
        assert!(!found.unwrap().has_encoded_slash(), "{raw}");
    }
}

const REFUSED: &[&str] = &[
    // Not a path at all.
    "",
    "a",
    "*",
    "admin/x",
    "?",
    "/a?b",
    "/a#b",
    "#",
    "/a/#/../admin",
    "http://example.com/",
    "%2f",
    // Encoded dot segments, in every mix.
    "/%2e",
    "/%2E",
    "/%2e/admin",
    "/%2e%2e",
    "/%2e%2e/",
    "/%2E%2e/admin",
    "/a/%2e%2e/admin",
    "/.%2e/admin",
    "/%2e./admin",
    "/a/.%2E",
    "/a/b/%2e%2e",
    "/a/%2e/b",
    // Climbing above the root, or over an empty segment.
    "/..",
    "/../",
    "/../admin",
    "/a/../../admin",
    "/a/../..",
    "/./..",
    "/./../admin",
    "//..",
    "/a//../b",
    "/a/.//../b",
    "/a//b/../../c",
    "//../a",
    "/a///../admin",
    // Dot segments with parameters.
    "/..;/admin",
    "/.;/admin",
    "/a/..;x=1/admin",
    "/a/..;",
    "/a/.;v",
    "/a/%2e%2e;/admin",
    "/..%3b/admin",
    "/a/..%3Bx/admin",
    "/a/.%2e;a/b",
    // Climbing over a segment that is empty without its parameters.
    "/public/;x/../admin",
    "/;/..",
    "/a/%3b/../b",
    "/a/b;c/%3Bd/../../e",
    // Dot segments beside encoded slashes, also where a route keeps those.
    "/..%2fadmin",
    "/a/..%2Fadmin",
    "/a%2f..",
    "/a%2f../b",
    "/a%2f..%2fadmin",
    "/a%2F.%2Fb",
    "/%2f..;/a",
    "/a/%2e%2e%2fadmin",
    "/a%2f..;x/b",
    "/a%2f%2e%2e",
    // Climbing over an encoded slash: over one segment to some, over half of it to others.
    "/a%2fb/../c",
    "/admin%2Fx/../public/y",
    "/a/b%2f/..",
    // Backslashes.
    "/\\",
    "/a\\b",
    "/..\\admin",
    "/a/..\\..\\admin",
    "/%5c",
    "/a%5Cb",
    "/..%5cadmin",
    "/a/..%5c..%5cadmin",
    "/\\..\\admin",
    // Nul, other control bytes and blanks.
    "/%00",
    "/admin%00.png",
    "/a\0b",
    "/%0a",
    "/%0d%0aSet-Cookie:x",
    "/a\r\nb",
    "/a\tb",
    "/%09",
    "/%7f",
    "/\u{7f}",
    "/a b",
    " /a",
    "/a ",
    "/..%00/admin",
    "/..%09/admin",
    "/%1f",
    // Broken and foreign escapes.
    "/%",
    "/a%",
    "/%2",
    "/%g0",
    "/%0g",
    "/%%32e",
    "/%u002e",
    "/%u2216",
    "/a%2",
    "/%-1",
    "/%+1",
    "/% 1",
    // Overlong UTF-8: dots and slashes in disguise.
    "/%c0%ae%c0%ae/admin",
    "/%C0%AF",
    "/%c1%9c",
    "/%e0%80%ae",
    "/%e0%80%af/x",
    "/%f0%80%80%ae",
    "/a%c0%2e%c0%80",
];

#[test]
fn bypass_spellings_are_refused() {
    for raw in REFUSED {
        assert_eq!(Deciding::of(raw.as_bytes()), Err(Malformed::Path), "{raw:?}");
    }
    for raw in [&b"/\xc0\xae"[..], b"/\xc0\xaf", b"/%c0\xae", b"/\xe0\x80\xaf"] {
        assert_eq!(Deciding::of(raw), Err(Malformed::Path), "{raw:?}");
    }
}

#[test]
fn an_encoded_slash_is_told_and_stays_in_its_segment() {
    for (raw, deciding) in
        [("/a%2fb", "/a%2Fb"), ("/a%2Fb", "/a%2Fb"), ("/%2f", "/%2F"), ("/a%2f%2Fb/c", "/a%2F%2Fb/c")]
    {
        let found = Deciding::of(raw.as_bytes()).unwrap();
        assert_eq!((found.as_str(), found.has_encoded_slash()), (deciding, true), "{raw}");
    }
}

#[test]
fn a_usual_path_is_borrowed() {
    for raw in ["/", "/index.html", "/api/v1/users/42", "/a%20b/caf%C3%A9", "/a;v=1/@x:y", "/x/"] {
        assert!(matches!(Deciding::of(raw.as_bytes()).unwrap().path, Cow::Borrowed(_)), "{raw}");
    }
}

/// Random paths of the pieces that matter.
fn random_path(random: &mut fastrand::Rng) -> Vec<u8> {
    const PIECES: &[&str] = &[
        "/", "/", "/", ".", ".", "..", "a", "b", "%2e", "%2F", "%2f", ";", "%3b", "%25", "%61", "%C3%A9", "\u{e9}",
        "%c0", "%80", "\\", "%", "|", "%7C", "2e", "/..", "/./",
    ];
    let mut path = b"/".to_vec();
    for _ in 0..random.usize(0..9) {
        path.extend_from_slice(PIECES[random.usize(0..PIECES.len())].as_bytes());
    }
    path
}

#[test]
fn deciding_twice_changes_nothing_and_the_short_way_agrees_with_the_long_one() {
    let mut random = fastrand::Rng::with_seed(2);
    let mut accepted = 0;
    for _ in 0..60_000 {
        let raw = random_path(&mut random);
        let found = Deciding::of(&raw);
        assert_eq!(found, normalise(&raw), "{raw:?}");
        let Ok(found) = found else { continue };
        let text = found.as_str();
        accepted += 1;
        assert!(text.starts_with('/') && text.is_ascii() && !text.contains("//"), "{raw:?} {text}");
        assert!(!text.split('/').any(|segment| matches!(segment, "." | "..")), "{raw:?} {text}");
        assert_eq!(Deciding::of(text.as_bytes()).as_ref().map(Deciding::as_str), Ok(text), "{raw:?}");
    }
    assert!(accepted > 5_000, "{accepted}");
}

#[test]
fn any_bytes_are_read_without_panic() {
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..50_000 {
        let raw: Vec<u8> = std::iter::once(b'/').chain((0..random.usize(0..12)).map(|_| random.u8(..))).collect();
        assert_eq!(Deciding::of(&raw), normalise(&raw), "{raw:?}");
    }
}
