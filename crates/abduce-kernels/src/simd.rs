//! The instruction set in use, and how a generic kernel body becomes three compiled functions.

use std::fmt;
use std::str::FromStr;

/// A SIMD level that this processor supports. Copy it around; every kernel is a method of it.
///
/// Levels differ in rounding (fused or separate multiply-add), so a run records its level and results agree across levels
/// only to stated tolerances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Simd(pub(crate) Level);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

/// Why a SIMD level can't be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SimdError {
    /// The name is not one of the known levels.
    #[error("unknown SIMD level `{0}`; known: avx512, avx2, portable")]
    Unknown(String),
    /// The processor lacks the instructions.
    #[error("this processor does not support the SIMD level `{0}`")]
    Unsupported(&'static str),
}

impl Simd {
    /// The best level that this processor supports.
    pub fn best() -> Self {
        Self::all()[0]
    }

    /// Portable code, available everywhere.
    pub const fn portable() -> Self {
        Self(Level::Portable)
    }

    /// All levels that this processor supports, best first.
    pub fn all() -> Vec<Self> {
        let mut levels = Vec::with_capacity(3);
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq") && is_x86_feature_detected!("fma") {
                levels.push(Self(Level::Avx512));
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                levels.push(Self(Level::Avx2));
            }
        }
        levels.push(Self(Level::Portable));
        levels
    }

    /// The level's name: `avx512`, `avx2` or `portable`.
    pub const fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => "avx2",
            Level::Portable => "portable",
        }
    }
}

impl fmt::Display for Simd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Simd {
    type Err = SimdError;

    fn from_str(name: &str) -> Result<Self, SimdError> {
        let known = ["avx512", "avx2", "portable"].into_iter().find(|&k| k == name).ok_or_else(|| SimdError::Unknown(name.to_owned()))?;
        Self::all().into_iter().find(|level| level.name() == known).ok_or(SimdError::Unsupported(known))
    }
}

/// Compiles one generic body for every level and dispatches to the right copy.
///
/// `dispatch!(simd, body::<_>(args) -> T)`: the body is `#[inline(always)] unsafe fn body<S: Lanes>(…)`, so that its
/// intrinsics are compiled inside a function that has the instruction set enabled.
macro_rules! dispatch {
    ($simd:expr, $body:ident ( $($arg:ident : $ty:ty),* $(,)? )) => { dispatch!($simd, $body($($arg: $ty),*) -> ()) };
    ($simd:expr, $body:ident ( $($arg:ident : $ty:ty),* $(,)? ) -> $ret:ty) => {{
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512dq,avx2,fma")]
        unsafe fn avx512($($arg: $ty),*) -> $ret {
            // SAFETY: forwarded from the caller of the kernel, which checked the lengths.
            unsafe { $body::<$crate::lanes::Avx512>($($arg),*) }
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma")]
        unsafe fn avx2($($arg: $ty),*) -> $ret {
            // SAFETY: as above.
            unsafe { $body::<$crate::lanes::Avx2>($($arg),*) }
        }
        match $simd.0 {
            // SAFETY: a `Simd` of this level exists only where the processor was found to support it.
            #[cfg(target_arch = "x86_64")]
            $crate::simd::Level::Avx512 => unsafe { avx512($($arg),*) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            $crate::simd::Level::Avx2 => unsafe { avx2($($arg),*) },
            // SAFETY: the portable level needs no instruction set.
            $crate::simd::Level::Portable => unsafe { $body::<$crate::lanes::Portable>($($arg),*) },
        }
    }};
}
pub(crate) use dispatch;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_unknown_ones_are_errors() {
        for level in Simd::all() {
            assert_eq!(level.name().parse(), Ok(level));
        }
        assert_eq!("sse".parse::<Simd>(), Err(SimdError::Unknown("sse".into())));
    }
}
