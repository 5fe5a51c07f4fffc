//! Layers on images, volumes, sequences and sets.

mod clouds;
mod convolutions;
mod harness;
mod networks;
mod sequences;
