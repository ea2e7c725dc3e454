//! The table: requests and winners, and a plain reading of the precedence as oracle.

use super::*;
use crate::proxy::message::Request;

/// A route in one line: `HOST PATH [METHOD] [h:NAME=VALUE] [q:NAME=VALUE] [l:LISTENER]`, `-` for none.
pub(super) fn entry(text: &str, target: usize) -> Entry<usize> {
    let mut words = text.split(' ');
    let host = words.next().unwrap();
    let path = words.next().unwrap();
    let mut entry = Entry {
        listeners: Vec::new(),
        hosts: host.split(',').filter(|host| *host != "-").map(host_pattern).collect(),
        path: (path != "-").then(|| path_pattern(path)),
        methods: Vec::new(),
        headers: Vec::new(),
        queries: Vec::new(),
        target,
    };
    let named = |text: &str| {
        let (name, value) = text.split_once('=').unwrap();
        (At { value: name.to_owned(), ..At::default() }, value_pattern(value))
    };
    for word in words {
        match word.split_once(':') {
            Some(("h", rest)) => {
                let (name, value) = named(rest);
                entry.headers.push(HeaderSettings { name, value });
            }
            Some(("q", rest)) => {
                let (name, value) = named(rest);
                entry.queries.push(QuerySettings { name, value });
            }
            Some(("l", name)) => entry.listeners.push(name.to_owned()),
            _ => entry.methods.extend(word.split(',').map(str::to_owned)),
        }
    }
    entry
}

fn host_pattern(text: &str) -> HostPattern {
    match text.strip_prefix("*.") {
        Some(name) => HostPattern::Wildcard(name.into()),
        None => HostPattern::Exact(text.into()),
    }
}

fn path_pattern(text: &str) -> PathPattern {
    match (text.strip_suffix("/*"), text.strip_prefix('~')) {
        (_, Some(regex)) => PathPattern::Regex(regex.into(), regex::Regex::new(&whole(regex)).unwrap()),
        (Some(prefix), _) => PathPattern::Prefix(prefix.into()),
        _ => PathPattern::Exact(text.into()),
    }
}

/// As the config's reader compiles them: for the whole text.
fn whole(regex: &str) -> String {
    format!(r"\A(?:{regex})\z")
}

pub(super) fn value_regex(regex: &str) -> ValuePattern {
    ValuePattern::Regex(regex.into(), regex::bytes::Regex::new(&whole(regex)).unwrap())
}

fn value_pattern(text: &str) -> ValuePattern {
    match text.strip_prefix('~') {
        Some(regex) => value_regex(regex),
        None if text == "*" => ValuePattern::Present,
        None => ValuePattern::Exact(text.into()),
    }
}

/// A request in one line: `METHOD HOST TARGET [h:NAME=VALUE] [l:LISTENER]`.
pub(super) struct Asked {
    listener: String,
    host: String,
    path: String,
    request: Request,
}

impl Asked {
    pub(super) fn new(text: &str) -> Self {
        let mut words = text.split(' ');
        let mut request = Request::default();
        let method = request.fields.store(words.next().unwrap().as_bytes());
        request.set_method(method);
        let host = words.next().unwrap().trim_matches('-').to_owned();
        request.rewrite_target(words.next().unwrap().as_bytes());
        let path = String::from_utf8(request.path().to_vec()).unwrap();
        let mut listener = "0".to_owned();
        for word in words {
            match word.split_once(':').unwrap() {
                ("h", field) => {
                    let (name, value) = field.split_once('=').unwrap();
                    request.fields.add(name.as_bytes(), value.as_bytes());
                }
                (_, name) => name.clone_into(&mut listener),
            }
        }
        Self { listener, host, path, request }
    }

    pub(super) fn facts(&self) -> Facts<'_> {
        Facts { listener: &self.listener, host: &self.host, path: &self.path, request: &self.request }
    }
}

/// Each line of `requests` is a request, an arrow and the number of the route that serves it, or `none`.
fn check(routes: &[&str], requests: &[(&str, Option<usize>)]) {
    let entries = || routes.iter().enumerate().map(|(index, text)| entry(text, index));
    let table = Table::build(entries());
    for (text, winner) in requests {
        let asked = Asked::new(text);
        assert_eq!(table.find(&asked.facts()).copied(), *winner, "{text}");
        assert_eq!(plain(&entries().collect::<Vec<_>>(), &asked.facts()), *winner, "the oracle, {text}");
    }
}

#[test]
fn hosts_go_from_exact_to_any() {
    check(
        &["- -", "*.com -", "*.example.com -", "www.example.com -", "*.www.example.com,other.example -", "::1 -"],
        &[
            ("GET www.example.com /", Some(3)),
            ("GET a.example.com /", Some(2)),
            ("GET a.b.example.com /", Some(2)),
            ("GET a.www.example.com /", Some(4)),
            ("GET other.example /", Some(4)),
            ("GET example.com /", Some(1)),
            ("GET com /", Some(0)),
            ("GET example.org /", Some(0)),
            ("GET ::1 /", Some(5)),
            ("GET - /", Some(0)),
        ],
    );
}

#[test]
fn paths_go_from_exact_to_any() {
    check(
        &["- -", "- ~/x/[0-9]+", "- /x/*", "- /x/y/*", "- /x/y", "- ~/n/[0-9]+", "- ~/n/.*"],
        &[
            ("GET a /x/y", Some(4)),
            ("GET a /x/y/", Some(3)),
            ("GET a /x/y/z?/x/y", Some(3)),
            ("GET a /x/yy", Some(2)),
            ("GET a /x/1", Some(2)),
            ("GET a /xx", Some(0)),
            ("GET a /n/1", Some(5)),
            ("GET a /n/a", Some(6)),
            ("GET a /n", Some(0)),
            ("GET a /X/y", Some(0)),
            ("OPTIONS a *", Some(0)),
        ],
    );
}

#[test]
fn a_root_prefix_is_a_prefix() {
    check(&["- ~/x", "- /*"], &[("GET a /x", Some(1)), ("GET a /", Some(1)), ("OPTIONS a *", None)]);
}

#[test]
fn the_host_weighs_more_than_the_path_and_the_path_more_than_the_rest() {
    check(
        &["- /x/y GET h:a=1 h:b=1", "*.example.com /x/y GET", "a.example.com /x/*", "b.example.com -"],
        &[
            ("GET a.example.com /x/y h:a=1 h:b=1", Some(2)),
            ("GET b.example.com /x/y h:a=1 h:b=1", Some(3)),
            ("GET c.example.com /x/y h:a=1 h:b=1", Some(1)),
            ("GET example.org /x/y h:a=1 h:b=1", Some(0)),
            ("POST c.example.com /x/y h:a=1 h:b=1", None),
        ],
    );
}

#[test]
fn a_host_without_a_fitting_route_leaves_the_request_to_the_next() {
    check(
        &["a.example.com /x", "*.example.com /y", "- /*", "a.example.com /z POST"],
        &[
            ("GET a.example.com /x", Some(0)),
            ("GET a.example.com /y", Some(1)),
            ("GET a.example.com /z", Some(2)),
            ("POST a.example.com /z", Some(3)),
        ],
    );
}

#[test]
fn methods_then_headers_then_queries_then_the_file() {
    check(
        &[
            "- /p",
            "- /p q:a=1 q:b=*",
            "- /p h:x-a=1",
            "- /p h:x-a=1 h:x-b=~[a-z]+",
            "- /p GET,PUT",
            "- /p GET h:x-c=*",
            "- /p q:a=1 q:b=2",
        ],
        &[
            ("POST a /p", Some(0)),
            ("POST a /p?b=2&a=1", Some(1)),
            ("POST a /p?b=2&a=1 h:X-A=1", Some(2)),
            ("POST a /p?b=2&a=1 h:X-A=1 h:X-B=abc", Some(3)),
            ("POST a /p h:X-A=1 h:X-B=abc1", Some(2)),
            ("GET a /p h:X-A=1 h:X-B=abc", Some(4)),
            ("PUT a /p h:X-C=1", Some(4)),
            ("GET a /p h:X-C=", Some(5)),
        ],
    );
}

#[test]
fn listeners_only_filter() {
    check(
        &["a.example - l:1", "- - l:0 l:2", "- /x l:2"],
        &[
            ("GET a.example / l:1", Some(0)),
            ("GET a.example / l:0", Some(1)),
            ("GET a.example /x l:2", Some(2)),
            ("GET b.example / l:1", None),
            ("GET a.example / l:3", None),
        ],
    );
}

#[test]
fn an_empty_table_serves_nothing() {
    check(&[], &[("GET a /", None)]);
}

/// The precedence read plainly: of all routes that match, the one with the best rank; the first among equals.
fn plain(entries: &[Entry<usize>], facts: &Facts<'_>) -> Option<usize> {
    let ranked = entries.iter().filter_map(|entry| Some((rank(entry, facts)?, entry.target)));
    ranked.reduce(|best, next| if next.0 > best.0 { next } else { best }).map(|(_, target)| target)
}

type Rank = ((u8, usize), (u8, usize), bool, usize, usize);

fn rank(entry: &Entry<usize>, facts: &Facts<'_>) -> Option<Rank> {
    let host = if entry.hosts.is_empty() {
        (0, 0)
    } else {
        entry.hosts.iter().filter_map(|pattern| host_rank(pattern, facts.host)).max()?
    };
    let path = path_rank(entry.path.as_ref(), facts.path)?;
    let method = facts.request.method();
    let served = entry.methods.is_empty() || entry.methods.iter().any(|served| served.as_bytes() == method);
    let listens = entry.listeners.is_empty() || entry.listeners.iter().any(|name| name == facts.listener);
    let headers = Headers::new(entry.headers.clone()).match_fields(&facts.request.fields);
    let queries = Queries::new(entry.queries.clone()).match_query(facts.request.query());
    (served && listens && headers && queries).then_some((
        host,
        path,
        !entry.methods.is_empty(),
        entry.headers.len(),
        entry.queries.len(),
    ))
}

fn host_rank(pattern: &HostPattern, host: &str) -> Option<(u8, usize)> {
    match pattern {
        HostPattern::Exact(name) => (name == host).then_some((2, 0)),
        HostPattern::Wildcard(name) => {
            let labels = host.strip_suffix(name.as_str())?.strip_suffix('.')?;
            (!labels.is_empty()).then_some((1, name.len()))
        }
    }
}

fn path_rank(pattern: Option<&PathPattern>, path: &str) -> Option<(u8, usize)> {
    match pattern {
        None => Some((0, 0)),
        Some(PathPattern::Regex(_, regex)) => regex.is_match(path).then_some((1, 0)),
        Some(PathPattern::Prefix(prefix)) => {
            let rest = path.strip_prefix(prefix.as_str())?;
            (rest.is_empty() || rest.starts_with('/')).then_some((2, prefix.len()))
        }
        Some(PathPattern::Exact(exact)) => (exact == path).then_some((3, 0)),
    }
}

fn pick<'a, V>(random: &mut fastrand::Rng, choices: &'a [V]) -> &'a V {
    &choices[random.usize(0..choices.len())]
}

/// What random routes are put together from: hosts, paths and conditions, each as an entry of its own.
fn parts() -> [Vec<Entry<usize>>; 3] {
    let hosts = "- - a.b.c b.c c *.b.c *.c *.a.b.c a.b.c,*.c *.c,*.b.c a.b.c,a.b.c";
    let paths = "- /* /x/* /x/y/* /x /x/ /x/y / /y/* ~/x.* ~/[xy] ~.* /x/y/z/*";
    let conditions = [
        "- -",
        "- -",
        "- - GET",
        "- - POST,GET",
        "- - h:a=1",
        "- - h:a=* h:b=1",
        "- - q:a=1",
        "- - q:a=* q:b=~[0-9]",
        "- - l:0",
        "- - l:1",
        "- - PUT h:b=~1|2 l:0",
    ];
    [
        hosts.split(' ').map(|host| entry(&format!("{host} -"), 0)).collect(),
        paths.split(' ').map(|path| entry(&format!("- {path}"), 0)).collect(),
        conditions.map(|line| entry(line, 0)).into(),
    ]
}

#[test]
fn the_index_agrees_with_the_plain_reading() {
    const ASKED: &[&str] = &["a.b.c", "b.c", "c", "x.b.c", "y.x.c", "z.a.b.c", "d", "-"];
    const TARGETS: &[&str] = &["/", "/x", "/x/", "/x/y", "/x/y/", "/x/y/z", "/x/y/z/w", "/xy", "/y", "/y/x", "/z", "*"];
    const QUERIES: &[&str] = &["", "?a=1", "?a=2&b=3", "?b=1", "?a=1&b=x"];
    const FIELDS: &[&str] = &["", " h:a=1", " h:A=2 h:b=1", " h:b=2 l:1", " l:1", " l:2"];
    let [hosts, paths, conditions] = parts();
    let mut random = fastrand::Rng::with_seed(9);
    let mut found = 0;
    for _ in 0..3_000 {
        let entries: Vec<_> = (0..random.usize(0..14))
            .map(|target| Entry {
                hosts: pick(&mut random, &hosts).hosts.clone(),
                path: pick(&mut random, &paths).path.clone(),
                target,
                ..pick(&mut random, &conditions).clone()
            })
            .collect();
        let table = Table::build(entries.clone());
        for _ in 0..10 {
            let mut word = |choices: &[&'static str]| *pick(&mut random, choices);
            let method = word(&["GET", "POST", "PUT"]);
            let text = format!("{method} {} {}{}{}", word(ASKED), word(TARGETS), word(QUERIES), word(FIELDS));
            let asked = Asked::new(&text);
            let winner = plain(&entries, &asked.facts());
            found += usize::from(winner.is_some());
            assert_eq!(table.find(&asked.facts()).copied(), winner, "{text} among {entries:?}");
        }
    }
    assert!(found > 10_000, "{found}");
}

#[test]
fn ten_thousand_routes_ask_no_more_conditions_than_ten() {
    let routes = |count: usize| {
        let line = move |index: usize| match index % 3 {
            0 => format!("h{index}.example /p{index}/*"),
            1 => format!("*.w{index}.example /p{index}"),
            _ => format!("- /p{index}/q/*"),
        };
        Table::build((0..count).map(move |index| entry(&line(index), index)))
    };
    for count in [10, 10_000] {
        let table = routes(count);
        for (text, winner) in [
            ("GET h9.example /p9/x", Some(9)),
            ("GET a.w7.example /p7", Some(7)),
            ("GET b.example /p8/q/r", Some(8)),
            ("GET b.example /none", None),
        ] {
            let asked = Asked::new(text);
            let asks = std::cell::Cell::new(0);
            let found = table.hosts.find(&asked.host, |paths| {
                paths.find(&asked.path, |index| {
                    asks.set(asks.get() + 1);
                    Some(index as usize)
                })
            });
            assert_eq!(found, winner, "{text}");
            assert!(asks.get() <= 1, "{text}");
            assert_eq!(table.find(&asked.facts()).copied(), winner, "{text}");
        }
    }
}
