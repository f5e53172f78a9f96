//! Forms that are signed with a shared secret (RFC 5849, as LTI 1.1 uses it): what is signed, and whether it
//! was. Pure rules.

use aws_lc_rs::hmac::{self, HMAC_SHA1_FOR_LEGACY_USE_ONLY, HMAC_SHA256};
use data_encoding::BASE64;
use lyceum_model::secret::Secret;

/// The fields of a form and of its address, as they were sent.
pub(super) type Fields = Vec<(String, String)>;

pub(super) const SIGNATURE: &str = "oauth_signature";
const DIGITS: &[u8; 16] = b"0123456789ABCDEF";

/// By section 3.6: all but letters, digits and four signs, in capital letters. Not as forms have it.
fn encoded(text: &str) -> String {
    let mut coded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                coded.push(char::from(byte));
            }
            _ => {
                let digit = |bits: u8| char::from(DIGITS[usize::from(bits)]);
                coded.extend(['%', digit(byte >> 4), digit(byte & 0xF)]);
            }
        }
    }
    coded
}

/// What is signed (3.4.1). `address`: without its query, in small letters up to its path and without the usual
/// port.
fn base(method: &str, address: &str, fields: &[(String, String)]) -> String {
    let mut pairs: Vec<(String, String)> = fields
        .iter()
        .filter(|(name, _)| name != SIGNATURE)
        .map(|(name, value)| (encoded(name), encoded(value)))
        .collect();
    pairs.sort();
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let (address, pairs) = (encoded(address), encoded(&pairs.join("&")));
    format!("{method}&{address}&{pairs}")
}

/// Whether whoever has this secret has signed the fields, posted to this address. The time that it takes tells
/// nothing of how wrong a signature is.
pub(super) fn is_signed(address: &str, fields: &[(String, String)], secret: &Secret) -> bool {
    let of = |name: &str| {
        let mut found = fields.iter().filter(|(key, _)| key == name);
        let one = found.next().map(|(_, value)| value.as_str());
        one.filter(|_| found.next().is_none())
    };
    let algorithm = match of("oauth_signature_method") {
        Some("HMAC-SHA1") => HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        Some("HMAC-SHA256") => HMAC_SHA256,
        _ => return false,
    };
    let Some(given) = of(SIGNATURE).and_then(|text| BASE64.decode(text.as_bytes()).ok()) else {
        return false;
    };
    // There is no token, whose secret would stand behind the sign.
    let key = format!("{}&", encoded(secret.expose()));
    let key = hmac::Key::new(algorithm, key.as_bytes());
    let text = base("POST", address, fields);
    hmac::verify(&key, text.as_bytes(), &given).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(list: &[(&str, &str)]) -> Fields {
        let list = list.iter();
        list.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    /// The example of section 3.4.1.1, with what 3.4.1.3.1 reads out of it; the realm counts only in a header.
    #[test]
    fn the_standards_example_is_understood() {
        let read = url::form_urlencoded::parse(b"c2&a3=2+q&b5=%3D%253D&a3=a&c%40=&a2=r%20b");
        let mut all: Fields = read.into_owned().collect();
        all.extend(fields(&[
            ("oauth_consumer_key", "9djdj82h48djs9d2"),
            ("oauth_token", "kkk9d7dh3k39sjv7"),
            ("oauth_signature_method", "HMAC-SHA1"),
            ("oauth_timestamp", "137131201"),
            ("oauth_nonce", "7d8f3e4a"),
            ("oauth_signature", "bYT5CMsGcbgUdFHObYMEfcx6bsw="),
        ]));
        let expect = "POST&http%3A%2F%2Fexample.com%2Frequest&a2%3Dr%2520b%26a3%3D2%2520q%26a3%3Da%26b5%3D%253D%25253D%26c%2540%3D%26c2%3D%26oauth_consumer_key%3D9djdj82h48djs9d2%26oauth_nonce%3D7d8f3e4a%26oauth_signature_method%3DHMAC-SHA1%26oauth_timestamp%3D137131201%26oauth_token%3Dkkk9d7dh3k39sjv7";
        assert_eq!(base("POST", "http://example.com/request", &all), expect);
    }

    #[test]
    fn what_is_coded_is_coded_as_the_standard_has_it() {
        for (text, expect) in [
            ("abcABC123", "abcABC123"),
            ("-._~", "-._~"),
            ("%", "%25"),
            ("+", "%2B"),
            (" ", "%20"),
            ("&=*", "%26%3D%2A"),
            ("!'()", "%21%27%28%29"),
            ("\u{a}\u{7f}", "%0A%7F"),
            ("\u{80}", "%C2%80"),
            ("\u{3001}", "%E3%80%81"),
            ("☃", "%E2%98%83"),
        ] {
            assert_eq!(encoded(text), expect, "{text:?}");
        }
        // Sorted as coded: `a%5B` stands before `a1`, though `1` stands before `[`.
        let mixed = fields(&[("a1", "x"), ("a[", "y"), ("a", "2"), ("a", "10")]);
        let expect = "POST&h&a%3D10%26a%3D2%26a%255B%3Dy%26a1%3Dx";
        assert_eq!(base("POST", "h", &mixed), expect);
    }

    /// The signatures were computed by another program (Python's `hmac`).
    #[test]
    fn whoever_has_the_secret_has_signed() {
        let good = |more: &[(&str, &str)]| {
            let mut all = fields(&[
                ("user_id", "292832126"),
                ("lis_person_name_full", "Jane Q. Püblic & Söhne"),
                ("oauth_consumer_key", "12345"),
                ("oauth_nonce", "c8350c0e47782d16d2fa48b2090c1d8f"),
                ("oauth_timestamp", "1251600739"),
                ("oauth_version", "1.0"),
            ]);
            all.extend(fields(more));
            all
        };
        let address = "https://hub.example.edu/hub/lti/launch";
        let secret = Secret::new("se&cret");
        let sha1 = ("oauth_signature_method", "HMAC-SHA1");
        let sha256 = ("oauth_signature_method", "HMAC-SHA256");
        let of_sha1 = (SIGNATURE, "KrE/uKre2Uxri/HN0+/OKzW830o=");
        let of_sha256 = (SIGNATURE, "d2mFhlYCH0VOrYQamY6CRRSqDu+3nIXfNYoa1O7Ej2I=");
        assert!(is_signed(address, &good(&[sha1, of_sha1]), &secret));
        assert!(is_signed(address, &good(&[sha256, of_sha256]), &secret));
        let wrong = |address: &str, all: &Fields, secret: &str, why: &str| {
            assert!(!is_signed(address, all, &Secret::new(secret)), "{why}");
        };
        let all = good(&[sha1, of_sha1]);
        wrong(address, &all, "secret", "another secret");
        wrong(
            "https://hub.example.edu/hub/lti/launch/x",
            &all,
            "se&cret",
            "another address",
        );
        wrong(
            "http://hub.example.edu/hub/lti/launch",
            &all,
            "se&cret",
            "without TLS",
        );
        wrong(
            address,
            &good(&[sha256, of_sha1]),
            "se&cret",
            "another way to sign",
        );
        wrong(
            address,
            &good(&[sha1, of_sha1, ("roles", "Instructor")]),
            "se&cret",
            "one more",
        );
        wrong(
            address,
            &good(&[sha1, of_sha1, sha1]),
            "se&cret",
            "said twice",
        );
        wrong(
            address,
            &good(&[sha1, of_sha1, of_sha1]),
            "se&cret",
            "signed twice",
        );
        wrong(address, &good(&[sha1]), "se&cret", "no signature");
        wrong(
            address,
            &good(&[sha1, (SIGNATURE, "")]),
            "se&cret",
            "an empty one",
        );
        let plain = ("oauth_signature_method", "PLAINTEXT");
        wrong(
            address,
            &good(&[plain, (SIGNATURE, "se%26cret&")]),
            "se&cret",
            "the secret itself",
        );
        let mut tampered = all.clone();
        tampered[0].1 = "292832127".into();
        wrong(address, &tampered, "se&cret", "another person");
    }
}
