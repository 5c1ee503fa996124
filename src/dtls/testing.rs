//! For tests.

/// A ClientHello with record number 7 that offers one suite.
pub(crate) fn hello(cookie: &[u8], connection_id: Option<&[u8]>) -> Vec<u8> {
    let mut body = vec![0xfe, 0xfd];
    body.extend_from_slice(&[0x33; 32]);
    body.push(0);
    body.push(cookie.len() as u8);
    body.extend_from_slice(cookie);
    body.extend_from_slice(&[0, 4, 0xc0, 0xa8, 0, 0xff, 1, 0]);
    if let Some(cid) = connection_id {
        let len = cid.len() as u8;
        body.extend_from_slice(&[0, 5 + len, 0, 54, 0, 1 + len, len]);
        body.extend_from_slice(cid);
    }
    let len = body.len() as u8;
    let mut datagram = vec![22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 7, 0, 12 + len];
    datagram.extend_from_slice(&[1, 0, 0, len, 0, 0, 0, 0, 0, 0, 0, len]);
    datagram.extend_from_slice(&body);
    datagram
}
