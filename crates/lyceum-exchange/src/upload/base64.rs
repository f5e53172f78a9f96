//! Base64 (RFC 4648 section 4) in pieces of any size, with or without line breaks.

/// What stands for a byte that is none of the sixty-four.
const NOT: u8 = 0xff;

static VALUES: [u8; 256] = {
    let mut values = [NOT; 256];
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut at = 0;
    while at < digits.len() {
        values[digits[at] as usize] = at as u8;
        at += 1;
    }
    values
};

/// This is no base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bad;

#[derive(Debug, Default)]
pub struct Decoder {
    /// Of the four that are being read.
    bits: u32,
    digits: u8,
    padding: u8,
    ended: bool,
}

impl Decoder {
    pub fn push(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), Bad> {
        out.reserve(text.len() / 4 * 3 + 3);
        let mut at = 0;
        while at < text.len() {
            if self.digits == 0 && self.padding == 0 && !self.ended {
                at += whole_fours(&text[at..], out);
            }
            let Some(&byte) = text.get(at) else { break };
            at += 1;
            let value = VALUES[usize::from(byte)];
            if value != NOT {
                if self.padding > 0 || self.ended {
                    return Err(Bad);
                }
                self.bits = self.bits << 6 | u32::from(value);
                self.digits += 1;
                if self.digits == 4 {
                    let [_, bytes @ ..] = self.bits.to_be_bytes();
                    out.extend_from_slice(&bytes);
                    (self.bits, self.digits) = (0, 0);
                }
                continue;
            }
            match byte {
                b'\n' | b'\r' | b' ' | b'\t' => {}
                b'=' if self.digits >= 2 => {
                    self.padding += 1;
                    if self.digits + self.padding == 4 {
                        self.last(out);
                    }
                }
                _ => return Err(Bad),
            }
        }
        Ok(())
    }

    fn last(&mut self, out: &mut Vec<u8>) {
        let bits = self.bits << (6 * u32::from(self.padding));
        let [_, first, second, _] = bits.to_be_bytes();
        out.push(first);
        if self.digits == 3 {
            out.push(second);
        }
        *self = Self {
            ended: true,
            ..Self::default()
        };
    }

    /// Whether it may end here.
    pub fn finish(self) -> Result<(), Bad> {
        match self.digits == 0 && self.padding == 0 {
            true => Ok(()),
            false => Err(Bad),
        }
    }
}

/// Takes digits, four at a time, up to the first four with something else among them; gives how many.
fn whole_fours(text: &[u8], out: &mut Vec<u8>) -> usize {
    let mut taken = 0;
    for four in text.chunks_exact(4) {
        let [a, b, c, d] =
            [four[0], four[1], four[2], four[3]].map(|byte| VALUES[usize::from(byte)]);
        // No value has the highest bit.
        if (a | b | c | d) & 0x80 != 0 {
            break;
        }
        out.extend_from_slice(&[a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d]);
        taken += 4;
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(text: &str, step: usize) -> Result<Vec<u8>, Bad> {
        let (mut decoder, mut out) = (Decoder::default(), Vec::new());
        for piece in text.as_bytes().chunks(step) {
            decoder.push(piece, &mut out)?;
        }
        decoder.finish()?;
        Ok(out)
    }

    #[test]
    fn good_and_bad() {
        let check = |text: &str, expect: Option<&[u8]>| {
            for step in [1, 2, 3, 100] {
                assert_eq!(decode(text, step).ok().as_deref(), expect, "{text:?}");
            }
        };
        check("", Some(b""));
        check("aGVsbG8=", Some(b"hello"));
        check("aGVs\nbG8=\n", Some(b"hello"));
        check("aGVsbA==", Some(b"hell"));
        check("aGVsbA=\n=", Some(b"hell"));
        check("aGVs", Some(b"hel"));
        check("+/+/", Some(&[0xfb, 0xff, 0xbf]));
        for bad in [
            "a",
            "aG",
            "aGV",
            "aGVsb",
            "=",
            "a===",
            "aG=",
            "aG===",
            "aGVsbG8=aGVs",
            "aGVs=",
            "aG-_",
            "aGVs!",
            "ä",
            "aG=V",
        ] {
            check(bad, None);
        }
    }

    proptest::proptest! {
        #[test]
        fn as_others_decode(content: Vec<u8>, step in 1..20usize) {
            let text = data_encoding::BASE64.encode(&content);
            proptest::prop_assert_eq!(decode(&text, step), Ok(content));
        }
    }
}
