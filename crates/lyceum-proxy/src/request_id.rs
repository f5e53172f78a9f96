//! The code that a request carries to servers, logs and error pages.

/// 26 characters without `i`, `l`, `o`, `u`: 128 random bits, easy to read out to support.
pub(crate) fn new_request_id() -> String {
    const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut bytes = [0_u8; 16];
    // The system's generator fails only where nothing else works either; a fixed id is then the
    // least of the troubles and better than a refused request.
    let _ = getrandom::fill(&mut bytes);
    let mut bits = u128::from_be_bytes(bytes);
    let mut id = [0_u8; 26];
    for letter in id.iter_mut().rev() {
        *letter = LETTERS[(bits & 31) as usize];
        bits >>= 5;
    }
    id.iter().map(|letter| char::from(*letter)).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn request_ids_are_long_and_differ() {
        let (one, two) = (super::new_request_id(), super::new_request_id());
        assert_eq!(one.len(), 26);
        assert_ne!(one, two);
    }
}
