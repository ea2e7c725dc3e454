//! `kind = "tcp"`: a connection, and the TLS handshake where the URL says `https`. That it could be opened is all there is to know.

use crate::proxy::upstream::Opened;

/// Closes it again, as one who has nothing to say.
pub(super) async fn judge(opened: Opened) {
    opened.close().await;
}
