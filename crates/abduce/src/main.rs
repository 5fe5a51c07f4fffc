//! The `abduce` program; everything is in the library, beginning with [`abduce::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    abduce::cli::main()
}
