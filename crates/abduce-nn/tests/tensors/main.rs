//! Layers on images, volumes, sequences and sets.

mod clouds;
mod convolutions;
mod harness;
mod imports;
mod networks;
mod sequences;
mod torch;
mod workloads;
