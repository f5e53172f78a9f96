//! Where a head ends.
//!
//! Each byte is looked at once, however slowly they come, and a line that ends in anything but CR
//! LF is refused at once (RFC 9112, section 2.2, lets us choose): readers differ on it.

use super::Refused;

/// How far a head that is still coming has been looked through.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Scan {
    at: usize,
}

impl Scan {
    /// The length of the head with its empty line, once it is there.
    pub(crate) fn find_end(&mut self, bytes: &[u8]) -> Result<Option<usize>, Refused> {
        while let Some(found) = memchr::memchr(b'\n', &bytes[self.at..]) {
            let at = self.at + found;
            self.at = at + 1;
            if at == 0 || bytes[at - 1] != b'\r' {
                return Err(Refused::Bad("a line does not end in CR LF"));
            }
            if at >= 3 && bytes[at - 2] == b'\n' {
                return Ok(Some(at + 1));
            }
        }
        self.at = bytes.len();
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_found_byte_by_byte_as_at_once() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nmore";
        let mut scan = Scan::default();
        assert_eq!(scan.find_end(head), Ok(Some(head.len() - 4)));
        let mut scan = Scan::default();
        for end in 0..head.len() - 4 {
            assert_eq!(scan.find_end(&head[..end]), Ok(None));
        }
        assert_eq!(scan.find_end(head), Ok(Some(head.len() - 4)));
        for bad in [&b"GET / HTTP/1.1\nHost: a\r\n"[..], b"\n", b"a\r\nb\n\n"] {
            assert!(Scan::default().find_end(bad).is_err(), "{bad:?}");
        }
    }
}
