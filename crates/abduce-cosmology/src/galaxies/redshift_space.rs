//! Redshift space: positions as an observer far away infers them.

use super::GalaxyError;
use crate::background::Background;
use crate::mesh::MeshError;

/// Positions in redshift space: s = x + v_los (1 + z)/H(z) along `axis`, periodic, with H = 100 E(z) km/s per Mpc/h (Kaiser 1987).
///
/// `positions` comoving [Mpc/h], `velocities` peculiar and physical [km/s], `a` the scale factor.
///
/// # Errors
/// No such axis, velocities of another number, or one that is not finite.
pub fn redshift_space_from_real(
    positions: &[[f32; 3]],
    velocities: &[[f32; 3]],
    box_size_mpc_h: f64,
    background: &Background,
    a: f64,
    axis: usize,
) -> Result<Vec<[f32; 3]>, GalaxyError> {
    if axis > 2 {
        return Err(GalaxyError::Axis { axis });
    }
    if positions.len() != velocities.len() {
        return Err(MeshError::Length { what: "velocities", expected: positions.len(), found: velocities.len() }.into());
    }
    let per_km_s = 1.0 / (a * 100.0 * background.e(a));
    positions
        .iter()
        .zip(velocities)
        .enumerate()
        .map(|(index, (x, v))| {
            let shifted = f64::from(x[axis]) + f64::from(v[axis]) * per_km_s;
            if !shifted.is_finite() {
                return Err(MeshError::NotFinite { index, position: *v }.into());
            }
            let mut s = *x;
            let wrapped = shifted.rem_euclid(box_size_mpc_h) as f32;
            // Rounding to f32 may reach L, which is 0.
            s[axis] = if f64::from(wrapped) >= box_size_mpc_h { 0.0 } else { wrapped };
            Ok(s)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cosmology;
    use crate::background::Radiation;

    #[test]
    fn a_velocity_becomes_a_distance() {
        let background = Background::new(&Cosmology::QUIJOTE, Radiation::Neglected).unwrap();
        // Today H = 100 km/s per Mpc/h: 100 km/s are 1 Mpc/h.
        let moved = redshift_space_from_real(&[[1.0, 2.0, 99.5]], &[[5.0, 5.0, 100.0]], 100.0, &background, 1.0, 2).unwrap();
        assert!((moved[0][2] - 0.5).abs() < 1e-5 && moved[0][..2] == [1.0, 2.0]);
        // At a = 0.5: (1 + z)/H = 2/(100 E).
        let moved = redshift_space_from_real(&[[50.0; 3]], &[[100.0; 3]], 100.0, &background, 0.5, 0).unwrap();
        assert!((f64::from(moved[0][0]) - 50.0 - 2.0 / background.e(0.5)).abs() < 1e-5);
        assert!(redshift_space_from_real(&[[50.0; 3]], &[[f32::NAN; 3]], 100.0, &background, 0.5, 0).is_err());
        assert!(redshift_space_from_real(&[[50.0; 3]], &[[0.0; 3]], 100.0, &background, 0.5, 3).is_err());
    }
}
