//! Layers on images, volumes, sequences and sets.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod clouds;
mod convolutions;
mod harness;
mod imports;
mod networks;
mod sequences;
mod torch;
mod workloads;
