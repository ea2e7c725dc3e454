//! What may refuse or change a request on its way: redirect, fixed response, rewrite, HSTS.
