//! Amortised inference with generative models in science: the facade library and the program.
//!
//! Start reading at [`pipeline`]: it is the program. [`cli`] is the command line, [`commands`] what it offers, [`stages`] the work, [`exec`] the same in shards,
//! [`config`] the files that a user writes, [`present`] the pictures and the report.

pub mod cli;
pub mod commands;
pub mod config;
pub mod error;
pub mod event_files;
pub mod exec;
pub mod pipeline;
pub mod present;
pub mod progress;
pub mod session;
pub mod stages;
