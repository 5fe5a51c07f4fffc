//! The commands of the program, one module each.

pub mod completions;
pub mod explain;
pub mod schema;
