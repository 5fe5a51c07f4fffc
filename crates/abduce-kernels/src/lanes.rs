//! Sixteen f32 lanes as one value, for each instruction set: the vocabulary in which every kernel is written once.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Rows per vector: one AVX-512 register, two AVX2 registers, or a plain array.
pub const LANES: usize = 16;

/// Operations on sixteen f32 lanes.
///
/// All functions are `unsafe`: pointers must be valid for the lanes touched, and the instruction set must be present.
pub(crate) trait Lanes: Copy {
    /// Sixteen floats.
    type V: Copy;
    /// Sixteen booleans.
    type M: Copy;
    /// Vectors of columns that one tile of the matrix product holds in registers.
    const TILE_VECTORS: usize;

    unsafe fn splat(x: f32) -> Self::V;
    unsafe fn load(p: *const f32) -> Self::V;
    unsafe fn store(p: *mut f32, v: Self::V);
    /// The first `count` (1..=16) lanes; the rest are zero.
    unsafe fn load_first(p: *const f32, count: usize) -> Self::V;
    unsafe fn store_first(p: *mut f32, v: Self::V, count: usize);
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn div(a: Self::V, b: Self::V) -> Self::V;
    /// a·b + c
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    unsafe fn sqrt(a: Self::V) -> Self::V;
    unsafe fn abs(a: Self::V) -> Self::V;
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn round(a: Self::V) -> Self::V;
    unsafe fn lt(a: Self::V, b: Self::V) -> Self::M;
    /// Bit i is lane i of the mask.
    unsafe fn bits(m: Self::M) -> u16;
    /// `if m { a } else { b }` per lane.
    unsafe fn select(m: Self::M, a: Self::V, b: Self::V) -> Self::V;
    /// 2^n for integral n in [-126, 127].
    unsafe fn exp2_integral(n: Self::V) -> Self::V;
    /// (m, e) with a = m·2^e and m in [1, 2), for normal positive a.
    unsafe fn mantissa_exponent(a: Self::V) -> (Self::V, Self::V);
    /// Sum of all lanes in a fixed order.
    unsafe fn sum(a: Self::V) -> f32;

    /// Transposes sixteen vectors as a 16 x 16 matrix.
    #[inline(always)]
    unsafe fn transpose(rows: &mut [Self::V; LANES]) {
        let (mut from, mut to) = ([[0.0f32; LANES]; LANES], [[0.0f32; LANES]; LANES]);
        // SAFETY: both arrays hold sixteen rows of sixteen floats.
        unsafe {
            for i in 0..LANES {
                Self::store(from[i].as_mut_ptr(), rows[i]);
            }
            for i in 0..LANES {
                for j in 0..LANES {
                    to[j][i] = from[i][j];
                }
            }
            for i in 0..LANES {
                rows[i] = Self::load(to[i].as_ptr());
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(crate) struct Avx512;

#[cfg(target_arch = "x86_64")]
impl Lanes for Avx512 {
    type V = __m512;
    type M = __mmask16;
    const TILE_VECTORS: usize = 4;

    #[inline(always)]
    unsafe fn splat(x: f32) -> __m512 {
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> __m512 {
        unsafe { _mm512_loadu_ps(p) }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: __m512) {
        unsafe { _mm512_storeu_ps(p, v) }
    }
    #[inline(always)]
    unsafe fn load_first(p: *const f32, count: usize) -> __m512 {
        unsafe { _mm512_maskz_loadu_ps(((1u32 << count) - 1) as __mmask16, p) }
    }
    #[inline(always)]
    unsafe fn store_first(p: *mut f32, v: __m512, count: usize) {
        unsafe { _mm512_mask_storeu_ps(p, ((1u32 << count) - 1) as __mmask16, v) }
    }
    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn sub(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_sub_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn div(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_div_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn fma(a: __m512, b: __m512, c: __m512) -> __m512 {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    unsafe fn sqrt(a: __m512) -> __m512 {
        unsafe { _mm512_sqrt_ps(a) }
    }
    #[inline(always)]
    unsafe fn abs(a: __m512) -> __m512 {
        unsafe { _mm512_abs_ps(a) }
    }
    #[inline(always)]
    unsafe fn max(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_max_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn min(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_min_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn round(a: __m512) -> __m512 {
        unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
    }
    #[inline(always)]
    unsafe fn lt(a: __m512, b: __m512) -> __mmask16 {
        unsafe { _mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b) }
    }
    #[inline(always)]
    unsafe fn bits(m: __mmask16) -> u16 {
        m
    }
    #[inline(always)]
    unsafe fn select(m: __mmask16, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_mask_blend_ps(m, b, a) }
    }
    #[inline(always)]
    unsafe fn exp2_integral(n: __m512) -> __m512 {
        unsafe { _mm512_scalef_ps(_mm512_set1_ps(1.0), n) }
    }
    #[inline(always)]
    unsafe fn mantissa_exponent(a: __m512) -> (__m512, __m512) {
        unsafe { (_mm512_getmant_ps::<_MM_MANT_NORM_1_2, _MM_MANT_SIGN_SRC>(a), _mm512_getexp_ps(a)) }
    }
    #[inline(always)]
    unsafe fn sum(a: __m512) -> f32 {
        unsafe { _mm512_reduce_add_ps(a) }
    }
    /// Transposes 4 x 4 blocks within 128-bit quarters, then the quarters.
    #[inline(always)]
    unsafe fn transpose(rows: &mut [__m512; LANES]) {
        unsafe {
            let mut u = [_mm512_setzero_ps(); LANES];
            for q in (0..LANES).step_by(4) {
                let (a, b) = (_mm512_unpacklo_ps(rows[q], rows[q + 1]), _mm512_unpackhi_ps(rows[q], rows[q + 1]));
                let (c, d) = (_mm512_unpacklo_ps(rows[q + 2], rows[q + 3]), _mm512_unpackhi_ps(rows[q + 2], rows[q + 3]));
                let (a, b) = (_mm512_castps_pd(a), _mm512_castps_pd(b));
                let (c, d) = (_mm512_castps_pd(c), _mm512_castps_pd(d));
                u[q] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
                u[q + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
                u[q + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
                u[q + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
            }
            for c in 0..4 {
                let a = _mm512_shuffle_f32x4::<0x88>(u[c], u[4 + c]);
                let b = _mm512_shuffle_f32x4::<0xdd>(u[c], u[4 + c]);
                let d = _mm512_shuffle_f32x4::<0x88>(u[8 + c], u[12 + c]);
                let e = _mm512_shuffle_f32x4::<0xdd>(u[8 + c], u[12 + c]);
                rows[c] = _mm512_shuffle_f32x4::<0x88>(a, d);
                rows[4 + c] = _mm512_shuffle_f32x4::<0x88>(b, e);
                rows[8 + c] = _mm512_shuffle_f32x4::<0xdd>(a, d);
                rows[12 + c] = _mm512_shuffle_f32x4::<0xdd>(b, e);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(crate) struct Avx2;

#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(crate) struct Pair(__m256, __m256);

/// Applies a 256-bit operation to both halves.
#[cfg(target_arch = "x86_64")]
macro_rules! both {
    ($op:ident($($a:ident),+)) => { unsafe { Pair($op($($a.0),+), $op($($a.1),+)) } };
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn first_lanes_mask(count: usize) -> (__m256i, __m256i) {
    unsafe {
        let (low, high) = (_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15));
        let count = _mm256_set1_epi32(count as i32);
        (_mm256_cmpgt_epi32(count, low), _mm256_cmpgt_epi32(count, high))
    }
}

/// 2^n of eight integral lanes, by placing n in the exponent bits.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn exp2_half(n: __m256) -> __m256 {
    unsafe {
        let biased = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
        _mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased))
    }
}

/// Mantissa in [1, 2) and exponent of eight positive normal lanes.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn split_half(a: __m256) -> (__m256, __m256) {
    unsafe {
        let bits = _mm256_castps_si256(a);
        let exponent = _mm256_sub_epi32(_mm256_srli_epi32::<23>(bits), _mm256_set1_epi32(127));
        let fraction = _mm256_and_si256(bits, _mm256_set1_epi32(0x007f_ffff));
        let mantissa = _mm256_or_si256(fraction, _mm256_set1_epi32(0x3f80_0000));
        (_mm256_castsi256_ps(mantissa), _mm256_cvtepi32_ps(exponent))
    }
}

#[cfg(target_arch = "x86_64")]
impl Lanes for Avx2 {
    type V = Pair;
    type M = Pair;
    const TILE_VECTORS: usize = 1;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Pair {
        unsafe { Pair(_mm256_set1_ps(x), _mm256_set1_ps(x)) }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Pair {
        unsafe { Pair(_mm256_loadu_ps(p), _mm256_loadu_ps(p.add(8))) }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: Pair) {
        unsafe {
            _mm256_storeu_ps(p, v.0);
            _mm256_storeu_ps(p.add(8), v.1);
        }
    }
    #[inline(always)]
    unsafe fn load_first(p: *const f32, count: usize) -> Pair {
        unsafe {
            let (low, high) = first_lanes_mask(count);
            Pair(_mm256_maskload_ps(p, low), _mm256_maskload_ps(p.wrapping_add(8), high))
        }
    }
    #[inline(always)]
    unsafe fn store_first(p: *mut f32, v: Pair, count: usize) {
        unsafe {
            let (low, high) = first_lanes_mask(count);
            _mm256_maskstore_ps(p, low, v.0);
            _mm256_maskstore_ps(p.wrapping_add(8), high, v.1);
        }
    }
    #[inline(always)]
    unsafe fn add(a: Pair, b: Pair) -> Pair {
        both!(_mm256_add_ps(a, b))
    }
    #[inline(always)]
    unsafe fn sub(a: Pair, b: Pair) -> Pair {
        both!(_mm256_sub_ps(a, b))
    }
    #[inline(always)]
    unsafe fn mul(a: Pair, b: Pair) -> Pair {
        both!(_mm256_mul_ps(a, b))
    }
    #[inline(always)]
    unsafe fn div(a: Pair, b: Pair) -> Pair {
        both!(_mm256_div_ps(a, b))
    }
    #[inline(always)]
    unsafe fn fma(a: Pair, b: Pair, c: Pair) -> Pair {
        both!(_mm256_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    unsafe fn sqrt(a: Pair) -> Pair {
        both!(_mm256_sqrt_ps(a))
    }
    #[inline(always)]
    unsafe fn abs(a: Pair) -> Pair {
        unsafe {
            let sign = _mm256_set1_ps(-0.0);
            Pair(_mm256_andnot_ps(sign, a.0), _mm256_andnot_ps(sign, a.1))
        }
    }
    #[inline(always)]
    unsafe fn max(a: Pair, b: Pair) -> Pair {
        both!(_mm256_max_ps(a, b))
    }
    #[inline(always)]
    unsafe fn min(a: Pair, b: Pair) -> Pair {
        both!(_mm256_min_ps(a, b))
    }
    #[inline(always)]
    unsafe fn round(a: Pair) -> Pair {
        unsafe {
            const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
            Pair(_mm256_round_ps::<NEAREST>(a.0), _mm256_round_ps::<NEAREST>(a.1))
        }
    }
    #[inline(always)]
    unsafe fn lt(a: Pair, b: Pair) -> Pair {
        unsafe { Pair(_mm256_cmp_ps::<_CMP_LT_OQ>(a.0, b.0), _mm256_cmp_ps::<_CMP_LT_OQ>(a.1, b.1)) }
    }
    #[inline(always)]
    unsafe fn bits(m: Pair) -> u16 {
        unsafe { (_mm256_movemask_ps(m.0) | (_mm256_movemask_ps(m.1) << 8)) as u16 }
    }
    #[inline(always)]
    unsafe fn select(m: Pair, a: Pair, b: Pair) -> Pair {
        both!(_mm256_blendv_ps(b, a, m))
    }
    #[inline(always)]
    unsafe fn exp2_integral(n: Pair) -> Pair {
        unsafe { Pair(exp2_half(n.0), exp2_half(n.1)) }
    }
    #[inline(always)]
    unsafe fn mantissa_exponent(a: Pair) -> (Pair, Pair) {
        unsafe {
            let ((m0, e0), (m1, e1)) = (split_half(a.0), split_half(a.1));
            (Pair(m0, m1), Pair(e0, e1))
        }
    }
    #[inline(always)]
    unsafe fn sum(a: Pair) -> f32 {
        unsafe {
            let eight = _mm256_add_ps(a.0, a.1);
            let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
        }
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Portable;

#[inline(always)]
fn map2(a: [f32; LANES], b: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> [f32; LANES] {
    let mut out = [0.0; LANES];
    for i in 0..LANES {
        out[i] = f(a[i], b[i]);
    }
    out
}

impl Lanes for Portable {
    type V = [f32; LANES];
    type M = [bool; LANES];
    const TILE_VECTORS: usize = 1;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::V {
        [x; LANES]
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self::V {
        unsafe { p.cast::<[f32; LANES]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: Self::V) {
        unsafe { p.cast::<[f32; LANES]>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn load_first(p: *const f32, count: usize) -> Self::V {
        std::array::from_fn(|i| if i < count { unsafe { *p.add(i) } } else { 0.0 })
    }
    #[inline(always)]
    unsafe fn store_first(p: *mut f32, v: Self::V, count: usize) {
        for i in 0..count {
            unsafe { *p.add(i) = v[i] };
        }
    }
    #[inline(always)]
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
        map2(a, b, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V {
        map2(a, b, |a, b| a - b)
    }
    #[inline(always)]
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
        map2(a, b, |a, b| a * b)
    }
    #[inline(always)]
    unsafe fn div(a: Self::V, b: Self::V) -> Self::V {
        map2(a, b, |a, b| a / b)
    }
    // Two roundings: `f32::mul_add` without hardware support is a slow library call.
    #[inline(always)]
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    unsafe fn sqrt(a: Self::V) -> Self::V {
        a.map(f32::sqrt)
    }
    #[inline(always)]
    unsafe fn abs(a: Self::V) -> Self::V {
        a.map(f32::abs)
    }
    #[inline(always)]
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V {
        map2(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V {
        map2(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    unsafe fn round(a: Self::V) -> Self::V {
        a.map(f32::round_ties_even)
    }
    #[inline(always)]
    unsafe fn lt(a: Self::V, b: Self::V) -> Self::M {
        std::array::from_fn(|i| a[i] < b[i])
    }
    #[inline(always)]
    unsafe fn bits(m: Self::M) -> u16 {
        m.iter().rev().fold(0, |bits, &lane| (bits << 1) | u16::from(lane))
    }
    #[inline(always)]
    unsafe fn select(m: Self::M, a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| if m[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    unsafe fn exp2_integral(n: Self::V) -> Self::V {
        n.map(|n| f32::from_bits(((n as i32 + 127) as u32) << 23))
    }
    #[inline(always)]
    unsafe fn mantissa_exponent(a: Self::V) -> (Self::V, Self::V) {
        let mantissa = a.map(|a| f32::from_bits(a.to_bits() & 0x007f_ffff | 0x3f80_0000));
        (mantissa, a.map(|a| ((a.to_bits() >> 23) as i32 - 127) as f32))
    }
    #[inline(always)]
    unsafe fn sum(a: Self::V) -> f32 {
        let eight: [f32; 8] = std::array::from_fn(|i| a[i] + a[i + 8]);
        let four: [f32; 4] = std::array::from_fn(|i| eight[i] + eight[i + 4]);
        (four[0] + four[2]) + (four[1] + four[3])
    }
}
