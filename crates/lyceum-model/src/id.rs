//! Ids made by us: sortable by time of making, safe in URLs, file names and labels.

use crate::clock::Millis;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A fresh id: ten characters of time, sixteen of chance (80 bits).
pub fn new_id(now: Millis) -> String {
    let mut chance = [0u8; 10];
    getrandom::fill(&mut chance).expect("the system's random source answers");
    let time = u128::from(now.0.max(0).unsigned_abs()) & ((1 << 50) - 1);
    let mut value = time << 80;
    for (place, byte) in chance.iter().enumerate() {
        value |= u128::from(*byte) << (8 * place);
    }
    let mut text = [0u8; 26];
    for slot in text.iter_mut().rev() {
        *slot = ALPHABET[(value & 31) as usize];
        value >>= 5;
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// A secret of 256 bits as 43 characters: tokens, codes, session ids.
pub fn new_secret() -> String {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes).expect("the system's random source answers");
    data_encoding::BASE64URL_NOPAD.encode(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_differ() {
        let early = new_id(Millis(1_000));
        let late = new_id(Millis(2_000));
        assert!(early < late);
        assert_eq!(early.len(), 26);
        assert_ne!(new_id(Millis(1_000)), new_id(Millis(1_000)));
    }

    #[test]
    fn secrets_are_long_and_differ() {
        assert_eq!(new_secret().len(), 43);
        assert_ne!(new_secret(), new_secret());
    }
}
