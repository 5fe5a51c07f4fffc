//! Counter-based random streams: every draw is a function of (seed, purpose, index, counter).
//!
//! A stream is a ChaCha8 generator whose key comes from the seed and a purpose name and whose stream number is the index of
//! the item being drawn (a simulation, an epoch, an observation). Two items never share a stream, and no draw depends on how
//! many threads, shards or batches the work was cut into.

mod variates;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};

/// The seed of a run. All randomness of the run derives from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Seed(pub u64);

impl Seed {
    /// The stream of item `index` for one `purpose` (for example `"simulate"`, `"shuffle"`).
    pub fn stream(self, purpose: &str, index: u64) -> Rng {
        let mut state = self.0 ^ fnv1a(purpose).rotate_left(17);
        let mut key = [0u8; 32];
        for word in key.chunks_exact_mut(8) {
            word.copy_from_slice(&splitmix64(&mut state).to_le_bytes());
        }
        let mut generator = ChaCha8Rng::from_seed(key);
        generator.set_stream(index);
        Rng { generator, spare_normal: None }
    }

    /// A seed for a sub-task (a network of an ensemble, a round) that is independent of this seed's own streams.
    pub fn derive(self, purpose: &str, index: u64) -> Self {
        Self(self.stream(purpose, index).next_u64())
    }
}

/// One random stream.
#[derive(Clone, Debug)]
pub struct Rng {
    generator: ChaCha8Rng,
    spare_normal: Option<f64>,
}

impl Rng {
    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.generator.next_u64()
    }

    /// Uniform on [0, 1) with 53 random bits.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform on (0, 1]: safe to take the logarithm of.
    pub fn uniform_open_low(&mut self) -> f64 {
        1.0 - self.uniform()
    }

    /// Standard normal by Box and Muller (1958); the pair's second value is kept for the next call.
    ///
    /// Logarithm and cosine come from the `libm` crate, so the draws do not depend on the system's C library.
    pub fn normal(&mut self) -> f64 {
        if let Some(z) = self.spare_normal.take() {
            return z;
        }
        let radius = (-2.0 * libm::log(self.uniform_open_low())).sqrt();
        let (sin, cos) = libm::sincos(std::f64::consts::TAU * self.uniform());
        self.spare_normal = Some(radius * sin);
        radius * cos
    }

    /// Uniform integer in 0..n without bias (Lemire 2019, arXiv:1805.10941). `n` must be positive.
    pub fn below(&mut self, n: usize) -> usize {
        assert!(n > 0, "below(0) has no value to return");
        let n = n as u64;
        let threshold = n.wrapping_neg() % n;
        loop {
            let wide = u128::from(self.next_u64()) * u128::from(n);
            if wide as u64 >= threshold {
                return (wide >> 64) as usize;
            }
        }
    }

    /// Fisher-Yates shuffle in place.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_reproducible_and_distinct() {
        let draw = |seed, purpose, index| Seed(seed).stream(purpose, index).next_u64();
        assert_eq!(draw(0, "a", 0), draw(0, "a", 0));
        let all = [draw(0, "a", 0), draw(1, "a", 0), draw(0, "b", 0), draw(0, "a", 1)];
        for i in 0..all.len() {
            for j in 0..i {
                assert_ne!(all[i], all[j]);
            }
        }
    }

    /// 200 000 draws: the mean's standard error is 0.0022, the variance's 0.0032, the fourth moment's 0.022; bounds at 4.5 of them.
    #[test]
    fn normal_has_the_moments_of_a_standard_normal() {
        let mut rng = Seed(3).stream("normal", 0);
        let n = 200_000;
        let (mut m1, mut m2, mut m4) = (0.0, 0.0, 0.0);
        for _ in 0..n {
            let z = rng.normal();
            m1 += z;
            m2 += z * z;
            m4 += z.powi(4);
        }
        let n = f64::from(n);
        assert!((m1 / n).abs() < 0.01, "{}", m1 / n);
        assert!((m2 / n - 1.0).abs() < 0.015, "{}", m2 / n);
        assert!((m4 / n - 3.0).abs() < 0.1, "{}", m4 / n);
    }

    #[test]
    fn below_is_uniform() {
        let mut rng = Seed(5).stream("below", 0);
        let mut counts = [0u32; 6];
        for _ in 0..60_000 {
            counts[rng.below(6)] += 1;
        }
        // Standard deviation of a count: sqrt(60000 * 5/36) = 91.
        assert!(counts.iter().all(|&c| (f64::from(c) - 10_000.0).abs() < 450.0), "{counts:?}");
    }
}
