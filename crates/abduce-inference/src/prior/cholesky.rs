//! Cholesky factors of the small covariance matrices of priors.

/// Lower-triangular L of A = L Lᵀ, with positive diagonal.
#[derive(Clone, Debug)]
pub(crate) struct Cholesky {
    size: usize,
    /// Row-major (size, size); zero above the diagonal.
    lower: Vec<f64>,
}

impl Cholesky {
    /// Factors the symmetric matrix `a`, row-major (size, size). `Err(i)` where the i-th pivot is not positive compared with its diagonal
    /// element: the first i + 1 rows are linearly dependent to rounding, or A is not positive definite.
    pub(crate) fn factor(a: &[f64], size: usize) -> Result<Self, usize> {
        let mut lower = vec![0.0; size * size];
        for i in 0..size {
            for j in 0..=i {
                let dot: f64 = (0..j).map(|k| lower[i * size + k] * lower[j * size + k]).sum();
                let rest = a[i * size + j] - dot;
                if i > j {
                    lower[i * size + j] = rest / lower[j * size + j];
                } else if rest > 1e-13 * a[i * size + i] {
                    lower[i * size + i] = rest.sqrt();
                } else {
                    return Err(i);
                }
            }
        }
        Ok(Self { size, lower })
    }

    /// Takes a lower-triangular matrix with positive diagonal as the factor itself.
    pub(crate) fn from_lower(lower: Vec<f64>, size: usize) -> Self {
        Self { size, lower }
    }

    /// Row `i` of L up to and including the diagonal.
    pub(crate) fn row(&self, i: usize) -> &[f64] {
        &self.lower[i * self.size..i * self.size + i + 1]
    }

    /// The diagonal element L_ii.
    pub(crate) fn diagonal(&self, i: usize) -> f64 {
        self.lower[i * self.size + i]
    }

    /// ln det L = ½ ln det A.
    pub(crate) fn log_det_lower(&self) -> f64 {
        (0..self.size).map(|i| libm::log(self.diagonal(i))).sum()
    }

    /// (L z)_i for the i-th component only; needs z_0..=z_i.
    pub(crate) fn apply_row(&self, i: usize, z: &[f64]) -> f64 {
        self.row(i).iter().zip(z).map(|(l, z)| l * z).sum()
    }

    /// Overwrites `y` with the z that solves L z = y.
    pub(crate) fn solve_lower(&self, y: &mut [f64]) {
        for i in 0..self.size {
            let dot: f64 = self.row(i)[..i].iter().zip(&y[..i]).map(|(l, z)| l * z).sum();
            y[i] = (y[i] - dot) / self.diagonal(i);
        }
    }

    /// Overwrites `y` with the x that solves Lᵀ x = y.
    pub(crate) fn solve_upper(&self, y: &mut [f64]) {
        for i in (0..self.size).rev() {
            y[i] /= self.diagonal(i);
            let value = y[i];
            y[..i].iter_mut().zip(self.row(i)).for_each(|(y, l)| *y -= l * value);
        }
    }

    /// A⁻¹, row-major.
    pub(crate) fn inverse(&self) -> Vec<f64> {
        let n = self.size;
        let mut inverse_lower = vec![0.0; n * n];
        for column in 0..n {
            let mut y = vec![0.0; n];
            y[column] = 1.0;
            self.solve_lower(&mut y);
            for (row, value) in y.into_iter().enumerate() {
                inverse_lower[row * n + column] = value;
            }
        }
        let mut inverse = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..n {
                inverse[i * n + j] = (i.max(j)..n).map(|k| inverse_lower[k * n + i] * inverse_lower[k * n + j]).sum();
            }
        }
        inverse
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factor_solve_and_inverse_agree() {
        let a = [4.0, 1.0, 0.5, 1.0, 3.0, -0.2, 0.5, -0.2, 2.0];
        let factor = Cholesky::factor(&a, 3).unwrap();
        let inverse = factor.inverse();
        for i in 0..3 {
            for j in 0..3 {
                let product: f64 = (0..3).map(|k| a[i * 3 + k] * inverse[k * 3 + j]).sum();
                assert!((product - f64::from(u8::from(i == j))).abs() < 1e-14);
                let rebuilt: f64 = (0..3).map(|k| factor.lower[i * 3 + k] * factor.lower[j * 3 + k]).sum();
                assert!((rebuilt - a[i * 3 + j]).abs() < 1e-14);
            }
        }
        let mut z = [1.0, 2.0, 3.0];
        factor.solve_lower(&mut z);
        for (i, expected) in [1.0, 2.0, 3.0].into_iter().enumerate() {
            assert!((factor.apply_row(i, &z) - expected).abs() < 1e-14);
        }
    }

    #[test]
    fn a_singular_matrix_names_its_row() {
        assert_eq!(Cholesky::factor(&[1.0, 2.0, 2.0, 4.0], 2).unwrap_err(), 1);
        assert_eq!(Cholesky::factor(&[-1.0], 1).unwrap_err(), 0);
    }
}
