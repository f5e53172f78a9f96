//! What is random, and what follows from a number.

/// Splitmix64: the same numbers in every run.
pub(super) struct Rng(pub(super) u64);

impl Rng {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub(super) fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}

/// The whole body that belongs to a number.
pub(super) fn body_of(number: u64) -> Vec<u8> {
    let mut rng = Rng(number);
    let length = rng.pick(&[0, 1, 10, 1_000, 5_000, 70_000, 300_000]);
    let word = format!("<{number}>").into_bytes();
    word.iter().copied().cycle().take(length).collect()
}

/// Chunks of sizes that follow from the number; without the last one.
pub(super) fn chunks(number: u64, body: &[u8]) -> Vec<u8> {
    let mut rng = Rng(!number);
    let mut bytes = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let (chunk, later) = rest.split_at(rest.len().min(1 + rng.below(20_000)));
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
        rest = later;
    }
    bytes
}
