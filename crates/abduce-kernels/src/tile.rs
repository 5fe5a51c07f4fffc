//! Tiles of a matrix product that stay in registers: what products of all kinds of operands share.

use crate::lanes::{LANES, Lanes};

/// V vectors, the last of `last` lanes.
#[inline(always)]
pub(crate) unsafe fn load_row<S: Lanes, const V: usize>(p: *const f32, last: usize) -> [S::V; V] {
    // SAFETY: the caller's pointer is good for (V - 1)·16 + last floats.
    unsafe {
        let mut row = [S::splat(0.0); V];
        for v in 0..V - 1 {
            row[v] = S::load(p.add(v * LANES));
        }
        row[V - 1] = if last == LANES { S::load(p.add((V - 1) * LANES)) } else { S::load_first(p.add((V - 1) * LANES), last) };
        row
    }
}

/// Writes what [`load_row`] reads.
#[inline(always)]
pub(crate) unsafe fn store_row<S: Lanes, const V: usize>(p: *mut f32, row: &[S::V; V], last: usize) {
    // SAFETY: the caller's pointer is good for (V - 1)·16 + last floats.
    unsafe {
        for v in 0..V - 1 {
            S::store(p.add(v * LANES), row[v]);
        }
        if last == LANES {
            S::store(p.add((V - 1) * LANES), row[V - 1]);
        } else {
            S::store_first(p.add((V - 1) * LANES), row[V - 1], last);
        }
    }
}

/// Calls `$tile::<S, R, V>(row, …)` for tiles of R rows, the tallest that fill the registers beside V vectors of the right operand, and then of 4, 2 and 1 rows
/// until all `$rows` are done. `$width` columns, at most `S::TILE_VECTORS` vectors, decide V.
macro_rules! for_each_tile {
    ($tile:ident::<$S:ident>, $width:expr, $rows:expr, $($argument:expr),+) => {
        match $width.div_ceil($crate::lanes::LANES) {
            4 => $crate::tile::for_each_tile!(@ $tile, $S, 6, 4, $rows, $($argument),+),
            3 => $crate::tile::for_each_tile!(@ $tile, $S, 8, 3, $rows, $($argument),+),
            2 => $crate::tile::for_each_tile!(@ $tile, $S, 8, 2, $rows, $($argument),+),
            _ if $S::TILE_VECTORS == 1 => $crate::tile::for_each_tile!(@ $tile, $S, 5, 1, $rows, $($argument),+),
            _ => $crate::tile::for_each_tile!(@ $tile, $S, 8, 1, $rows, $($argument),+),
        }
    };
    (@ $tile:ident, $S:ident, $R:literal, $V:literal, $rows:expr, $($argument:expr),+) => {{
        let (mut row, rows) = (0, $rows);
        while row + $R <= rows {
            $tile::<$S, $R, $V>(row, $($argument),+);
            row += $R;
        }
        if rows - row >= 4 {
            $tile::<$S, 4, $V>(row, $($argument),+);
            row += 4;
        }
        if rows - row >= 2 {
            $tile::<$S, 2, $V>(row, $($argument),+);
            row += 2;
        }
        while row < rows {
            $tile::<$S, 1, $V>(row, $($argument),+);
            row += 1;
        }
    }};
}

pub(crate) use for_each_tile;
