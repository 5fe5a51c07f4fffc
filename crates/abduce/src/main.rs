//! The `abduce` program.
fn main() {}
