//! The stages of a run, each a function with typed input and output: simulate → train → sample → validate → compare.
//!
//! Commands and the pipeline both call these; nothing here knows the command line.

pub mod abc;
pub mod calibrate;
pub mod compare;
pub mod compress;
pub mod cosmology;
pub mod dimension;
pub mod draw;
pub mod estimate;
pub mod export;
pub mod gflownet;
pub mod inputs;
pub mod measure;
pub mod model;
pub mod nets;
pub mod predict;
pub mod refine;
pub mod regions;
pub mod run;
pub mod sample;
pub mod sequential;
pub mod simulate;
pub mod study;
pub mod train;
pub mod validate;
