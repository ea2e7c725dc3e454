//! Headers for tests.

/// A version 2 header with this command, family and body.
pub(super) fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[command, family], &length, body].concat()
}

/// The ends 192.0.2.7:4711 and 198.51.100.1:443.
pub(super) const ENDS: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0x12, 0x67, 1, 0xbb];

/// A version 2 header that names `ENDS`.
pub(super) fn tcp4(extensions: &[u8]) -> Vec<u8> {
    v2(0x21, 0x11, &[&ENDS, extensions].concat())
}
