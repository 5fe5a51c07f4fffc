//! White-noise cubes in the format of GRAFIC (Bertschinger 2001, astro-ph/0103301), which MUSIC, N-GenIC's relatives and others exchange.
//!
//! Fortran records, little- or big-endian: one of n1, n2, n3 and the seed as i32, then n3 planes of n1 × n2 f32, n1 fastest.

use crate::error::{CosmologyError, Result};

/// White noise on a mesh, and the seed that its maker wrote down.
#[derive(Clone, Debug, PartialEq)]
pub struct WhiteNoiseCube {
    /// (n3, n2, n1): the shape in C order.
    pub shape: [usize; 3],
    /// Seed, for information.
    pub seed: i32,
    /// Values in C order.
    pub values: Vec<f32>,
}

/// Most cells per side of a file that is believed.
const MOST_CELLS: usize = 1 << 14;

fn broken(problem: String) -> CosmologyError {
    CosmologyError::Format { format: "GRAFIC", problem }
}

/// Reads a cube.
///
/// # Errors
/// What is not such a file, or ends early.
pub fn read_grafic(bytes: &[u8]) -> Result<WhiteNoiseCube> {
    let word = |at: usize| bytes.get(at..at + 4).and_then(|word| <[u8; 4]>::try_from(word).ok());
    let marker = word(0).ok_or_else(|| broken("the file is empty".into()))?;
    let big = match (i32::from_le_bytes(marker), i32::from_be_bytes(marker)) {
        (16, _) => false,
        (_, 16) => true,
        (found, _) => return Err(broken(format!("the first record should have 16 bytes, not {found}"))),
    };
    let number = |at: usize| {
        let word = word(at).ok_or_else(|| broken(format!("it ends after {} bytes, before byte {at}", bytes.len())))?;
        Ok::<u32, CosmologyError>(if big { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) })
    };
    let mut sides = [0; 3];
    for (i, side) in sides.iter_mut().enumerate() {
        *side = number(4 + 4 * i)? as usize;
        if !(1..=MOST_CELLS).contains(side) {
            return Err(broken(format!("a side of {side} cells")));
        }
    }
    let [n1, n2, n3] = sides;
    let plane = 4 * n1 * n2;
    let expected = 24 + n3 * (plane + 8);
    if bytes.len() != expected {
        return Err(broken(format!("{n1} x {n2} x {n3} cells take {expected} bytes, the file has {}", bytes.len())));
    }
    let mut values = Vec::with_capacity(n1 * n2 * n3);
    for record in 0..n3 {
        let start = 24 + record * (plane + 8);
        if number(start)? as usize != plane {
            return Err(broken(format!("plane {record} should have {plane} bytes")));
        }
        for cell in 0..n1 * n2 {
            values.push(f32::from_bits(number(start + 4 + 4 * cell)?));
        }
    }
    Ok(WhiteNoiseCube { shape: [n3, n2, n1], seed: number(16)? as i32, values })
}

/// Writes a cube, little-endian.
///
/// # Errors
/// The values do not have the length of the shape, or a side is too long for the format.
pub fn write_grafic(cube: &WhiteNoiseCube) -> Result<Vec<u8>> {
    let [n3, n2, n1] = cube.shape;
    if cube.shape.iter().any(|side| !(1..=MOST_CELLS).contains(side)) || cube.values.len() != n1 * n2 * n3 {
        return Err(broken(format!("{} values do not fill {n1} x {n2} x {n3} cells", cube.values.len())));
    }
    let mut bytes = Vec::with_capacity(24 + n3 * (4 * n1 * n2 + 8));
    let mut put = |number: u32| bytes.extend_from_slice(&number.to_le_bytes());
    [16, n1 as u32, n2 as u32, n3 as u32, cube.seed as u32, 16].into_iter().for_each(&mut put);
    let marker = (4 * n1 * n2) as u32;
    for plane in cube.values.chunks(n1 * n2) {
        put(marker);
        plane.iter().for_each(|value| put(value.to_bits()));
        put(marker);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cubes_survive_and_broken_files_do_not() {
        let cube = WhiteNoiseCube { shape: [2, 3, 4], seed: -7, values: (0..24).map(|i| i as f32 * 0.5 - 3.0).collect() };
        let bytes = write_grafic(&cube).unwrap();
        assert_eq!(read_grafic(&bytes).unwrap(), cube);
        // The other byte order: every word turned round.
        let turned: Vec<u8> = bytes.chunks(4).flat_map(|word| word.iter().rev().copied().collect::<Vec<_>>()).collect();
        assert_eq!(read_grafic(&turned).unwrap(), cube);
        for length in 0..bytes.len() {
            assert!(read_grafic(&bytes[..length]).is_err());
        }
        let mut absurd = bytes;
        absurd[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(read_grafic(&absurd).is_err());
    }
}
