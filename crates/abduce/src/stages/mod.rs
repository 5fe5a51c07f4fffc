//! The stages of a run, each a function with typed input and output: simulate → train → sample → validate → compare.
//!
//! Commands and the pipeline both call these; nothing here knows the command line.

pub mod calibrate;
pub mod compare;
pub mod compress;
pub mod draw;
pub mod export;
pub mod inputs;
pub mod nets;
pub mod run;
pub mod sample;
pub mod sequential;
pub mod simulate;
pub mod study;
pub mod train;
pub mod validate;
