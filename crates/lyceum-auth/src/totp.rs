//! Codes that an app makes of a key and the time (RFC 6238): six digits, a new one each 30 seconds, which
//! is what every such app understands. Nothing here is kept; that is [`crate::second_factor`].

use data_encoding::BASE32_NOPAD;
use lyceum_model::clock::Millis;
use qrcode::{Color, QrCode};
use totp_rs::{Builder, Secret, Totp};

/// What RFC 4226 (section 4) recommends.
pub const KEY_LEN: usize = 20;
/// Digits of a code.
pub const DIGITS: usize = 6;
const STEP_SECONDS: u64 = 30;
/// Steps by which a phone's clock, or slow fingers, may be off.
const SKEW: u16 = 1;
/// Blank modules around a QR code (ISO/IEC 18004).
const QUIET: usize = 4;

/// What the app and this place share.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; KEY_LEN]);

impl Key {
    pub fn new() -> Self {
        let mut bytes = [0; KEY_LEN];
        getrandom::fill(&mut bytes).expect("the system's random source answers");
        Self(bytes)
    }

    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As apps take it by hand, in groups of four.
    pub fn text(&self) -> String {
        let text = BASE32_NOPAD.encode(&self.0).to_ascii_lowercase();
        let groups = text.as_bytes().chunks(4).map(String::from_utf8_lossy);
        groups.collect::<Vec<_>>().join(" ")
    }

    /// What an app reads from the QR code.
    pub fn address(&self, site: &str, name: &str) -> String {
        // A colon stands between the two.
        let site = site.replace(':', " ");
        let encode = |text: &str| -> String {
            // Apps show a `+` for a blank.
            let encoded: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
            encoded.replace('+', "%20")
        };
        let (site, name) = (encode(site.trim()), encode(name));
        let key = BASE32_NOPAD.encode(&self.0);
        format!("otpauth://totp/{site}:{name}?secret={key}&issuer={site}")
    }

    /// The step of time to which this code belongs, if it is good at `now`.
    pub fn step_of(&self, code: &str, now: Millis) -> Option<i64> {
        let is_code = code.len() == DIGITS && code.bytes().all(|byte| byte.is_ascii_digit());
        let seconds = u64::try_from(now.0).ok()? / 1000;
        let step = self.totp().check(code, seconds).filter(|_| is_code)?;
        i64::try_from(step).ok()
    }

    /// The code of a moment.
    pub fn code_at(&self, now: Millis) -> String {
        let seconds = u64::try_from(now.0).unwrap_or_default() / 1000;
        self.totp().generate(seconds).to_string()
    }

    fn totp(&self) -> Totp {
        Builder::new()
            .with_digits(6)
            .with_skew(SKEW)
            .with_step_duration(STEP_SECONDS)
            .with_secret(Secret::new_stack(self.0))
            .build_noncompliant()
    }
}

impl Default for Key {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(***)")
    }
}

/// A QR code as the outline of its dark modules: the `d` of an SVG path, and how many modules wide the whole
/// is, with the blank around it.
pub fn outline(text: &str) -> Option<(String, usize)> {
    let code = QrCode::new(text).ok()?;
    let (width, colors) = (code.width(), code.to_colors());
    let mut path = String::new();
    for (y, row) in colors.chunks(width).enumerate() {
        let mut x = 0;
        while x < width {
            let run = row[x..].iter().take_while(|one| **one == Color::Dark);
            let run = run.count();
            if run > 0 {
                path.push_str(&format!("M{} {}h{run}v1h-{run}z", x + QUIET, y + QUIET));
            }
            x += run.max(1);
        }
    }
    Some((path, width + 2 * QUIET))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_the_rfc() -> Key {
        Key::from_slice(b"12345678901234567890").expect("twenty bytes")
    }

    /// RFC 6238, appendix B, the last six of eight digits.
    #[test]
    fn codes_are_those_of_the_rfc() {
        let check = |seconds: i64, code: &str| {
            let at = Millis(seconds * 1000);
            assert_eq!(of_the_rfc().code_at(at), code);
            assert_eq!(of_the_rfc().step_of(code, at), Some(seconds / 30));
        };
        check(59, "287082");
        check(1_111_111_109, "081804");
        check(1_111_111_111, "050471");
        check(1_234_567_890, "005924");
        check(2_000_000_000, "279037");
    }

    #[test]
    fn a_code_is_good_a_step_early_and_a_step_late() {
        let key = of_the_rfc();
        let code = key.code_at(Millis(1_000_000_000_000));
        let step = 1_000_000_000 / 30;
        let check = |step_now: i64, good: bool| {
            let found = key.step_of(&code, Millis(step_now * 30_000));
            assert_eq!(found, good.then_some(step), "{step_now}");
        };
        check(step - 2, false);
        check(step - 1, true);
        check(step, true);
        check(step + 1, true);
        check(step + 2, false);
    }

    #[test]
    fn what_is_no_code_is_none() {
        let (key, now) = (of_the_rfc(), Millis(59_000));
        for text in [
            "",
            "28708",
            "2870820",
            "28708a",
            " 287082",
            "+87082",
            "２８７０８２",
        ] {
            assert_eq!(key.step_of(text, now), None, "{text:?}");
        }
        assert_eq!(key.step_of("287082", Millis(-5)), None);
    }

    #[test]
    fn apps_are_told_whose_it_is() {
        let key = of_the_rfc();
        assert_eq!(key.text(), "gezd gnbv gy3t qojq gezd gnbv gy3t qojq");
        assert_eq!(
            key.address("Sums & More: Lyceum", "ada@example.edu"),
            "otpauth://totp/Sums%20%26%20More%20%20Lyceum:ada%40example.edu?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Sums%20%26%20More%20%20Lyceum"
        );
        assert_ne!(Key::new(), Key::new());
        assert_eq!(format!("{key:?}"), "Key(***)");
    }

    #[test]
    fn an_outline_has_the_dark_modules() {
        let (path, width) = outline("HELLO").expect("a short text");
        assert_eq!(width, 21 + 8);
        // The first corner's upper edge: seven dark ones.
        assert!(path.starts_with("M4 4h7v1h-7z"), "{path}");
        assert!(outline(&"x".repeat(10_000)).is_none());
    }
}
