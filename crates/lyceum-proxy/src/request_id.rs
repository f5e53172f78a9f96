//! The code that a request carries to servers, logs and error pages.
//!
//! Each thread has a generator of its own (xoshiro256**), seeded once from the system: ids need to
//! differ, not to be secret, and asking the system for each costs more than forwarding does.

use std::cell::Cell;

thread_local! {
    static STATE: Cell<[u64; 4]> = Cell::new(seed());
}

fn seed() -> [u64; 4] {
    let mut bytes = [0_u8; 32];
    // The system's generator fails only where nothing else works either; ids that repeat after a
    // restart are then the least of the troubles.
    let _ = getrandom::fill(&mut bytes);
    let mut state = [0; 4];
    for (word, bytes) in state.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = bytes
            .iter()
            .fold(0, |word, byte| word << 8 | u64::from(*byte));
    }
    if state == [0; 4] {
        state[0] = 1;
    }
    state
}

fn next() -> u64 {
    let mut s = STATE.get();
    let result = s[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
    let t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = s[3].rotate_left(45);
    STATE.set(s);
    result
}

/// 26 characters without `i`, `l`, `o`, `u`: 128 random bits, easy to read out to support.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestId([u8; 26]);

impl RequestId {
    pub(crate) fn new() -> Self {
        const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
        let mut bits = u128::from(next()) << 64 | u128::from(next());
        let mut id = [0_u8; 26];
        for letter in id.iter_mut().rev() {
            *letter = LETTERS[(bits & 31) as usize];
            bits >>= 5;
        }
        Self(id)
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("its letters are ASCII")
    }
}

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn request_ids_are_long_and_differ() {
        let ids: std::collections::HashSet<String> = (0..10_000)
            .map(|_| super::RequestId::new().to_string())
            .collect();
        assert_eq!(ids.len(), 10_000);
        assert!(ids.iter().all(|id| id.len() == 26));
    }
}
