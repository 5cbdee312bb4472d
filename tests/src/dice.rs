//! Choices that look random and are the same on every machine.

/// A stream of choices: SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
pub struct Dice(pub u64);

impl Dice {
    /// Any number.
    pub fn next_number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; so small a bias as a remainder has does not matter here.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next_number() % bound
    }

    /// One of them; there must be one.
    #[expect(clippy::indexing_slicing, reason = "the index is below the length")]
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

/// A number that belongs to a seed and a row, and looks like no other.
pub fn random(seed: u64, row: u64) -> u64 {
    let start = Dice(seed).next_number();
    Dice(start ^ row).next_number()
}
