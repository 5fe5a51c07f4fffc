//! Work cut into shards: planned once, done by independent processes, put together from files.
//!
//! A sharded command writes a [`plan::Plan`] beside its output. Any number of `abduce worker` processes, started by the local executor
//! ([`local`]), a Slurm array ([`slurm`]) or an MPI launcher ([`environment`]), each do some shards ([`worker`]); `abduce merge` puts the
//! shards together ([`work`]). They share nothing but files ([`files`]), and the files are the truth: what is there is done, what is not is
//! done by submitting again. The result has the bytes of the command without shards.

pub mod environment;
pub mod files;
pub mod indices;
pub mod local;
pub mod plan;
pub mod slurm;
pub mod squeue;
pub mod status;
pub mod work;
pub mod worker;
