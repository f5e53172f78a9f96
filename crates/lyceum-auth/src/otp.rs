//! Codes on paper that are good once: short enough to be typed in seconds, too many to be guessed.
//!
//! A code is nine letters and digits that are not mistaken for each other, and one more that tells whether
//! the others were typed right: any one wrong, and any two neighbours the wrong way round. So a slip is told
//! as one, without asking whether there is such a code. Nine of 29 are more than 10^13; a hash without a key
//! could be searched through, so what is kept is one with a key that is not in the database.

use std::fmt;

use lyceum_model::secret::Secret;

/// Without I, L, O, U, V, 0 and 1. A prime number of them, so that the check sees each slip.
const ALPHABET: &[u8; 29] = b"23456789ABCDEFGHJKMNPQRSTWXYZ";
const CHOSEN: usize = 9;
/// With the one that checks the others.
const LEN: usize = CHOSEN + 1;
/// Where the hyphen stands.
const HALF: usize = LEN / 2;
/// More than anybody types for a code, spaces and hyphens among it.
const TYPED_MAX: usize = 64;

/// One code, as it is printed: `K7PRM-4XW2C`.
#[derive(Clone, PartialEq, Eq)]
pub struct Code([u8; LEN]);

/// What was typed is no code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoCode {
    #[error("a code has {LEN} letters and digits")]
    Length,
    #[error("a letter or digit is not as it is printed")]
    Slip,
}

impl Code {
    pub fn new() -> Self {
        let mut numbers = [0; CHOSEN];
        let mut made = 0;
        while made < CHOSEN {
            let mut chance = [0_u8; 32];
            getrandom::fill(&mut chance).expect("the system's random source answers");
            // What is left over above the last whole round would make some likelier.
            let fair = chance.iter().filter(|byte| **byte < 8 * 29);
            for (slot, byte) in numbers[made..].iter_mut().zip(fair) {
                *slot = byte % 29;
                made += 1;
            }
        }
        let mut text = [0; LEN];
        for (slot, number) in text.iter_mut().zip(numbers) {
            *slot = ALPHABET[usize::from(number)];
        }
        text[CHOSEN] = ALPHABET[usize::from(check(&numbers))];
        Self(text)
    }

    /// What somebody typed, in any case, with or without what stands between.
    pub fn parse(typed: &str) -> Result<Self, NoCode> {
        if typed.len() > TYPED_MAX {
            return Err(NoCode::Length);
        }
        let between = |c: &char| !(c.is_whitespace() || matches!(c, '-' | '–' | '.' | '_'));
        let letters: Vec<char> = typed.chars().filter(between).collect();
        if letters.len() != LEN {
            return Err(NoCode::Length);
        }
        let mut numbers = [0; LEN];
        let mut text = [0; LEN];
        for (place, letter) in letters.iter().enumerate() {
            let letter = u8::try_from(letter.to_ascii_uppercase()).map_err(|_| NoCode::Slip)?;
            let number = ALPHABET.iter().position(|one| *one == letter);
            numbers[place] = number
                .and_then(|n| u8::try_from(n).ok())
                .ok_or(NoCode::Slip)?;
            text[place] = letter;
        }
        match check(&numbers[..CHOSEN]) == numbers[CHOSEN] {
            true => Ok(Self(text)),
            false => Err(NoCode::Slip),
        }
    }

    /// As it is printed.
    pub fn shown(&self) -> String {
        let text = String::from_utf8_lossy(&self.0);
        format!("{}-{}", &text[..HALF], &text[HALF..])
    }
}

impl Default for Code {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(***)")
    }
}

/// Each place weighs something else, so that neighbours are not exchanged unseen.
fn check(numbers: &[u8]) -> u8 {
    let weighed = numbers.iter().zip(2_u32..);
    let sum: u32 = weighed
        .map(|(number, weight)| u32::from(*number) * weight)
        .sum();
    // The remainder is below 29.
    u8::try_from((29 - sum % 29) % 29).unwrap_or(0)
}

/// By which codes are kept.
#[derive(Clone)]
pub struct CodeKey([u8; 32]);

impl CodeKey {
    pub fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// What is kept of a code. Of the same code at another sitting the same: a code is looked for without
    /// anybody saying where.
    pub fn hash(&self, code: &Code) -> String {
        blake3::keyed_hash(&self.0, &code.0).to_hex().to_string()
    }
}

impl fmt::Debug for CodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CodeKey(***)")
    }
}

/// As a secret: what is not to be in a log.
impl From<&Code> for Secret {
    fn from(code: &Code) -> Self {
        Self::new(code.shown())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn what_is_printed_is_read_however_it_is_typed() {
        for _ in 0..200 {
            let code = Code::new();
            let shown = code.shown();
            assert_eq!(shown.len(), 11);
            for typed in [
                shown.clone(),
                shown.to_lowercase(),
                shown.replace('-', ""),
                shown.replace('-', " "),
                format!("  {} \n", shown.replace('-', " – ")),
            ] {
                assert_eq!(Code::parse(&typed), Ok(code.clone()), "{typed}");
            }
        }
    }

    #[test]
    fn each_slip_is_told() {
        for _ in 0..20 {
            let shown = Code::new().shown().replace('-', "").into_bytes();
            for place in 0..LEN {
                for letter in ALPHABET {
                    let mut typed = shown.clone();
                    typed[place] = *letter;
                    let read = Code::parse(std::str::from_utf8(&typed).expect("letters"));
                    assert_eq!(read.is_ok(), typed == shown);
                }
                let mut typed = shown.clone();
                typed.swap(place, (place + 1) % LEN);
                let is_neighbour = place + 1 < LEN;
                let read = Code::parse(std::str::from_utf8(&typed).expect("letters"));
                if is_neighbour {
                    assert_eq!(read.is_ok(), typed == shown, "{place}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_code() {
        let check =
            |typed: &str, why: NoCode| assert_eq!(Code::parse(typed), Err(why), "{typed:.20}");
        check("", NoCode::Length);
        check("K7PRM-4XW2", NoCode::Length);
        check("K7PRM-4XW2CC", NoCode::Length);
        check(&"A".repeat(1_000_000), NoCode::Length);
        check(&" ".repeat(1_000_000), NoCode::Length);
        check("IIIII-IIIII", NoCode::Slip);
        check("ÄÄÄÄÄ-ÄÄÄÄÄ", NoCode::Slip);
        check("00000-00000", NoCode::Slip);
        check("' OR 1=1--", NoCode::Length);
    }

    #[test]
    fn codes_differ_and_every_letter_comes() {
        let codes: Vec<String> = (0..2_000).map(|_| Code::new().shown()).collect();
        let different: HashSet<&String> = codes.iter().collect();
        assert_eq!(different.len(), codes.len());
        for place in (0..11).filter(|place| *place != HALF) {
            let seen: HashSet<u8> = codes.iter().map(|code| code.as_bytes()[place]).collect();
            assert_eq!(seen.len(), ALPHABET.len(), "{place}");
        }
    }

    #[test]
    fn what_is_kept_needs_the_key() {
        let code = Code::new();
        let (one, other) = (CodeKey::new([1; 32]), CodeKey::new([2; 32]));
        assert_eq!(one.hash(&code), one.hash(&code.clone()));
        assert_ne!(one.hash(&code), other.hash(&code));
        assert_ne!(one.hash(&code), one.hash(&Code::new()));
        let told = format!("{code:?} {one:?}");
        assert_eq!(told, "Code(***) CodeKey(***)");
    }
}
