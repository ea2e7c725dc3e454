//! What `[rate_limit]` and the `rate_limit` of a route say.

use serde_json::Value as Json;

use crate::base::cidr::Cidr;
use crate::base::mode::Mode;
use crate::base::period::Period;
use crate::base::rate::Rate;
use crate::base::settings::{Node, Scalar, Section, Setting, Shape};
use crate::base::token::is_token;

/// `[rate_limit]`: for every route.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// All requests together. Default none.
    pub global: Option<LimitSettings>,
    /// Each client: an IPv4 address or an IPv6 /64. Default none.
    pub per_ip: Option<LimitSettings>,
    /// Clients that no limit holds for, a route's neither. Default none.
    pub exempt: Vec<Cidr>,
    /// Whether limits refuse or only tell. A route's limits follow it too. Default `enforce`.
    pub mode: Mode,
    /// How much longer a client waits that knocks on while it is refused. Default off.
    pub penalty: Option<PenaltySettings>,
}

/// One limit: a rate, or a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitSettings {
    /// How many requests.
    pub rate: Rate,
    /// How many at once after a pause, 1 to 1,000,000. Default the number of the rate.
    pub burst: u32,
    /// What has a bucket of its own. Default `ip`.
    pub key: Key,
}

/// `key`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Key {
    /// Each client.
    #[default]
    Ip,
    /// Each host.
    Host,
    /// All requests of the route together.
    Route,
    /// Each value of this header field; its name in lower case.
    Header(String),
}

/// `penalty = { factor = 2, max = "10m" }`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PenaltySettings {
    /// What each refused request multiplies the wait by. 1.1 to 100, default 2.
    pub factor: f64,
    /// The longest wait. 1 s to 1 d, default 10 m.
    pub max: Period,
}

/// `rate_limit` of a route: a rate, a table, a list of them, or `false`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteSettings {
    /// `false`: no limit holds for the route.
    Off,
    /// Its own limits, beside those of `[rate_limit]`. May be empty.
    Own(Vec<LimitSettings>),
}

impl Default for RouteSettings {
    fn default() -> Self {
        Self::Own(Vec::new())
    }
}

impl Settings {
    /// Reads the keys of `[rate_limit]`.
    pub fn keys(section: &mut Section<'_>) -> Self {
        let global: Option<Shared> =
            section.key("global", "All requests together: a rate, a table, or false. Left out: no limit.").optional();
        let per_ip: Option<Shared> = section
            .key(
                "per_ip",
                "Each client, which is an IPv4 address or an IPv6 /64: a rate, a table, or false. Left out: no limit.",
            )
            .optional();
        let exempt = section
            .key("exempt", "Networks whose clients no limit holds for, a route's neither. Left out: none.")
            .list();
        let mode = section
            .key("mode", "\"enforce\" refuses; \"observe\" counts and logs what would have been refused. For the limits of routes as well.")
            .or(Mode::default());
        let penalty: Option<Penalty> = section
            .key(
                "penalty",
                "How much longer a client waits that goes on asking while it is refused; false or left out: no longer.",
            )
            .optional();
        Self {
            global: global.and_then(|limit| limit.0),
            per_ip: per_ip.and_then(|limit| limit.0),
            exempt,
            mode,
            penalty: penalty.and_then(|penalty| penalty.0),
        }
    }
}

/// A limit that has its key from where it stands, or `false`.
struct Shared(Option<LimitSettings>);

impl Setting for Shared {
    fn shape() -> Shape {
        let table = Shape::table(|section| drop(LimitSettings::without_key(section)));
        Shape::OneOf(vec![Rate::shape(), table, Shape::Constant(false)])
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        if is_off(node) {
            return Some(Self(None));
        }
        LimitSettings::of(node, LimitSettings::without_key).map(Some).map(Self)
    }
}

impl Setting for LimitSettings {
    fn shape() -> Shape {
        Shape::OneOf(vec![Rate::shape(), Shape::table(|section| drop(Self::with_key(section)))])
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        Self::of(node, Self::with_key)
    }
}

impl LimitSettings {
    fn of(node: &Node<'_>, keys: fn(&mut Section<'_>) -> Option<Self>) -> Option<Self> {
        if node.is_table() { node.table(keys).flatten() } else { node.short("rate", keys) }
    }

    fn without_key(section: &mut Section<'_>) -> Option<Self> {
        let rate: Option<Rate> =
            section.key("rate", "How many requests: `N/s`, `N/m` or `N/h`, 1 to 1,000,000 each.").required();
        let burst = section
            .key("burst", "How many at once after a pause. 1 to 1,000,000; left out: the number of the rate.")
            .within(1..=MOST_BURST)
            .optional();
        let rate = rate?;
        Some(Self { rate, burst: burst.unwrap_or_else(|| rate.count()), key: Key::Ip })
    }

    fn with_key(section: &mut Section<'_>) -> Option<Self> {
        let limit = Self::without_key(section);
        let key = section
            .key("key", "What has a bucket of its own: \"ip\" is each client, \"header:NAME\" each value of a field, \"host\" each host; \"route\" is all requests together.")
            .or(Key::default());
        limit.map(|limit| Self { key, ..limit })
    }
}

/// The largest burst: with the slowest rate, far from any overflow of a clock.
const MOST_BURST: u32 = 1_000_000;

impl Setting for Key {
    fn shape() -> Shape {
        Shape::Text { what: "a key of a limit", example: "ip", pattern: Some("^(ip|host|route|header:.+)$|\\$\\{") }
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        let text = node.text::<Self>()?;
        match text.as_ref() {
            "ip" => return Some(Self::Ip),
            "host" => return Some(Self::Host),
            "route" => return Some(Self::Route),
            _ => {}
        }
        match text.strip_prefix("header:") {
            Some(name) if is_token(name) => Some(Self::Header(name.to_ascii_lowercase())),
            Some(_) => node.problem(
                format!("`{text}` does not name a header field"),
                "write a name behind the colon: \"header:X-Api-Key\"",
            ),
            None => node.problem(
                format!("`{text}` is not a key of a limit"),
                "write \"ip\", \"host\", \"route\" or \"header:NAME\"",
            ),
        }
    }

    fn shown(&self) -> Json {
        self.to_string().into()
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ip => f.write_str("ip"),
            Self::Host => f.write_str("host"),
            Self::Route => f.write_str("route"),
            Self::Header(name) => write!(f, "header:{name}"),
        }
    }
}

/// `penalty`, or `false`.
struct Penalty(Option<PenaltySettings>);

impl Setting for Penalty {
    fn shape() -> Shape {
        Shape::OneOf(vec![Shape::table(|section| _ = PenaltySettings::keys(section)), Shape::Constant(false)])
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        if is_off(node) {
            return Some(Self(None));
        }
        node.table(PenaltySettings::keys).map(Some).map(Self)
    }
}

impl PenaltySettings {
    fn keys(section: &mut Section<'_>) -> Self {
        Self {
            factor: section
                .key("factor", "What each refused request multiplies the wait by. 1.1 to 100.")
                .within(1.1..=100.0)
                .or(2.0),
            max: section
                .key("max", "The longest wait. 1s to 1d.")
                .within(Period::seconds(1)..=Period::seconds(86_400))
                .or(Period::seconds(600)),
        }
    }
}

impl Setting for RouteSettings {
    fn shape() -> Shape {
        let one = LimitSettings::shape();
        Shape::OneOf(vec![one.clone(), Shape::List(Box::new(one)), Shape::Constant(false)])
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        if is_off(node) {
            return Some(Self::Off);
        }
        let limits = node.elements();
        Some(Self::Own(limits.iter().filter_map(LimitSettings::read).collect()))
    }
}

/// Whether `false` is written. What cannot be read has been reported, and is by whoever reads it next.
fn is_off(node: &Node<'_>) -> bool {
    match node.scalar() {
        Some(Scalar::Boolean(on)) => !on,
        Some(Scalar::Filled(text)) => text == "false",
        _ => false,
    }
}
