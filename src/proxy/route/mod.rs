//! Which pool: routes and the Gateway API's precedence among them.

mod settings;

pub use settings::{
    ActionSettings, EncodedSlash, HeaderSettings, HostPattern, PathPattern, QuerySettings, RedirectSettings,
    RespondSettings, RewriteSettings, Settings, Timeouts, ValuePattern,
};
