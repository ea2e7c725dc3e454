//! What a client said before its route changed anything of it.

use crate::proxy::message::{Name, Request, Span};

/// What the client said of itself, whatever its route changes on the way to the backend.
pub(super) struct Said {
    pub(super) user_agent: Option<Span>,
    pub(super) referer: Option<Span>,
    /// The one origin; none where there are several.
    pub(super) origin: Option<Span>,
}

impl Said {
    pub(super) fn of(request: &Request) -> Self {
        let first = |name| request.fields.all_spans(name).next();
        let mut origins = request.fields.all_spans(Name::Origin);
        let origin = origins.next().filter(|_| origins.next().is_none());
        Self { user_agent: first(Name::UserAgent), referer: first(Name::Referer), origin }
    }
}
