//! Tables of Boltzmann codes: CAMB's `matterpower.dat`, CLASS's `pk.dat`, or CSV.

use crate::error::{CosmologyError, Result};

/// k in h/Mpc and P in (Mpc/h)³ from text of two or more columns; further columns are ignored.
///
/// Columns are separated by blanks, commas, tabs or semicolons. Lines that begin with `#` or are empty are skipped, and so is a first line of names.
///
/// # Errors
/// A line with fewer than two numbers.
pub fn read_table(text: &str) -> Result<(Vec<f64>, Vec<f64>)> {
    let (mut k, mut p) = (Vec::new(), Vec::new());
    let mut header_allowed = true;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut cells = line.split([' ', '\t', ',', ';']).filter(|cell| !cell.is_empty());
        let numbers = (cells.next().and_then(|cell| cell.parse().ok()), cells.next().and_then(|cell| cell.parse().ok()));
        match numbers {
            (Some(first), Some(second)) => {
                k.push(first);
                p.push(second);
            }
            _ if header_allowed => {}
            _ => {
                let shown: String = line.chars().take(60).collect();
                return Err(CosmologyError::Line { line: index + 1, problem: format!("two numbers (k, P) are needed, not `{shown}`") });
            }
        }
        header_allowed = false;
    }
    Ok((k, p))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_layouts_are_read() {
        let expected = (vec![1e-4, 0.2], vec![400.0, 3e4]);
        for text in ["# k P\n 1e-4   400.0\n 2.0E-01 3e4  7\n", "k_h_per_mpc,p\n1e-4,400\n\n0.2,30000\n"] {
            assert_eq!(read_table(text).unwrap(), expected);
        }
        let error = read_table("1 2\n3 x\n").unwrap_err();
        assert!(error.to_string().starts_with("line 2"), "{error}");
    }
}
