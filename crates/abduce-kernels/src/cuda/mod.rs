//! Whole layers on a CUDA device: the boundary of a backend, behind the feature `cuda`.
//!
//! A [`Device`] owns one stream; a [`Buffer`] is f32 in its memory; the methods of `Device` are layers, forward and backward, on tensors that lie row after row,
//! (rows, features). No tensor operation below the layer is offered. Products go to cuBLAS; the other kernels are CUDA C (`kernels.cu`), compiled by NVRTC when the
//! device is opened. The libraries are loaded then and not before: nothing of CUDA is needed to build, and a machine without it gets a
//! [`DeviceError`] that says what is missing.
//!
//! Numbers on a device differ from those of the CPU within rounding, and are the same from run to run on one kind of device and version of cuBLAS.
//!
//! **What has been run:** the kernels as plain C++ on a CPU against the kernels of [`Simd`](crate::Simd), NVRTC on their text, and the refusals. No device was at
//! hand: nothing here has run on one, and no speed is claimed. `tests/cuda.rs` compares every layer with the CPU's as soon as there is one.
//! Convolutions, group normalisation, attention, splines and the norm of a gradient are not written, and no trainer uses a device.

mod layers;

pub use layers::LinearShape;

use cudarc::cublas::CudaBlas;
use cudarc::driver::{CudaContext, CudaFunction, CudaModule, CudaSlice, CudaStream};
use cudarc::nvrtc::{CompileOptions, Ptx, compile_ptx_with_opts};
use std::fmt::Display;
use std::sync::Arc;

/// The text of the kernels.
const TEXT: &str = include_str!("kernels.cu");

/// Why a device can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// A library that is loaded at run time is not there.
    #[error("{library} can't be loaded: {provider} is not installed, or its folder is not searched")]
    Missing {
        /// Its name, without version and suffix.
        library: &'static str,
        /// What brings it.
        provider: &'static str,
    },
    /// There is no such device.
    #[error("there is no CUDA device {ordinal}: {found} were found")]
    NoDevice {
        /// The number asked for.
        ordinal: usize,
        /// Number of devices.
        found: usize,
    },
    /// The driver, NVRTC or cuBLAS reports an error.
    #[error("{doing} failed: {reason}")]
    Failed {
        /// What was tried.
        doing: &'static str,
        /// Its words.
        reason: String,
    },
}

/// Turns an error of a library into ours.
fn failed<E: Display>(doing: &'static str) -> impl Fn(E) -> DeviceError {
    move |error| DeviceError::Failed { doing, reason: error.to_string() }
}

/// f32 in the memory of a device.
#[derive(Debug)]
pub struct Buffer {
    data: CudaSlice<f32>,
}

impl Buffer {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The kernels of `kernels.cu`, by their names.
#[derive(Debug)]
struct Kernels {
    activate: CudaFunction,
    activate_backward: CudaFunction,
    fill_rows: CudaFunction,
    adam: CudaFunction,
    add_column_sums: CudaFunction,
    row_norm_parameters: CudaFunction,
    row_norm: CudaFunction,
    row_norm_backward: CudaFunction,
    softmax: CudaFunction,
    softmax_backward: CudaFunction,
}

impl Kernels {
    fn new(module: &Arc<CudaModule>) -> Result<Self, DeviceError> {
        let find = |name: &str| module.load_function(name).map_err(failed("finding a kernel"));
        Ok(Self {
            activate: find("activate")?,
            activate_backward: find("activate_backward")?,
            fill_rows: find("fill_rows")?,
            adam: find("adam")?,
            add_column_sums: find("add_column_sums")?,
            row_norm_parameters: find("row_norm_parameters")?,
            row_norm: find("row_norm")?,
            row_norm_backward: find("row_norm_backward")?,
            softmax: find("softmax")?,
            softmax_backward: find("softmax_backward")?,
        })
    }
}

/// One CUDA device, one stream on it, and the compiled kernels.
#[derive(Debug)]
pub struct Device {
    stream: Arc<CudaStream>,
    blas: CudaBlas,
    kernels: Kernels,
}

impl Device {
    /// Opens device number `ordinal`, from 0, and compiles the kernels for it.
    ///
    /// # Errors
    /// A library is missing, there is no such device, or CUDA reports an error.
    ///
    /// # Panics
    /// If a library is there but lacks a function that is called (a stub, or a version far too old): `cudarc` offers no other way.
    pub fn open(ordinal: usize) -> Result<Self, DeviceError> {
        // SAFETY: these functions load a library and unload it again; its initialisers are NVIDIA's.
        let present = unsafe {
            (cudarc::driver::sys::is_culib_present(), cudarc::nvrtc::sys::is_culib_present(), cudarc::cublas::sys::is_culib_present())
        };
        for (present, library, provider) in [
            (present.0, "libcuda", "NVIDIA's driver"),
            (present.1, "libnvrtc", "the CUDA toolkit's compiler for run time"),
            (present.2, "libcublas", "the CUDA toolkit's cuBLAS"),
        ] {
            if !present {
                return Err(DeviceError::Missing { library, provider });
            }
        }
        let found = CudaContext::device_count().map_err(failed("starting CUDA"))?;
        let found = usize::try_from(found).unwrap_or(0);
        if ordinal >= found {
            return Err(DeviceError::NoDevice { ordinal, found });
        }
        let context = CudaContext::new(ordinal).map_err(failed("opening the device"))?;
        let stream = context.default_stream();
        let module = context.load_module(compile()?).map_err(failed("loading the kernels"))?;
        let blas = CudaBlas::new(Arc::clone(&stream)).map_err(failed("starting cuBLAS"))?;
        Ok(Self { stream, blas, kernels: Kernels::new(&module)? })
    }

    /// Copies `values` to the device.
    ///
    /// # Errors
    /// CUDA reports an error: there is no room, for one.
    pub fn upload(&self, values: &[f32]) -> Result<Buffer, DeviceError> {
        Ok(Buffer { data: self.stream.clone_htod(values).map_err(failed("copying to the device"))? })
    }

    /// `len` zeros.
    ///
    /// # Errors
    /// CUDA reports an error: there is no room, for one.
    pub fn zeros(&self, len: usize) -> Result<Buffer, DeviceError> {
        Ok(Buffer { data: self.stream.alloc_zeros(len).map_err(failed("taking memory"))? })
    }

    /// Waits for everything that was asked before and copies the buffer back.
    ///
    /// # Errors
    /// CUDA reports an error, of an earlier call too.
    pub fn download(&self, buffer: &Buffer) -> Result<Vec<f32>, DeviceError> {
        let values = self.stream.clone_dtoh(&buffer.data).map_err(failed("copying from the device"))?;
        self.stream.synchronize().map_err(failed("waiting for the device"))?;
        Ok(values)
    }
}

/// Compiles the kernels to PTX, for any device of compute capability 5.2 on.
fn compile() -> Result<Ptx, DeviceError> {
    let options = CompileOptions { name: Some("kernels.cu".to_owned()), ..CompileOptions::default() };
    compile_ptx_with_opts(TEXT, options).map_err(failed("compiling the kernels"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On a machine without a device the refusal names what is missing; on one with a device a number beyond the last is refused.
    #[test]
    fn what_is_missing_is_said() {
        match Device::open(usize::MAX).expect_err("there are fewer devices") {
            error @ DeviceError::Missing { library, .. } => assert!(error.to_string().starts_with(library), "{error}"),
            DeviceError::NoDevice { ordinal, .. } => assert_eq!(ordinal, usize::MAX),
            // A driver without a device.
            DeviceError::Failed { doing, .. } => assert_eq!(doing, "starting CUDA"),
        }
    }

    /// NVRTC compiles without a device: every kernel is in what it makes.
    #[test]
    fn the_kernels_compile() {
        // SAFETY: loads a library of NVIDIA's and unloads it.
        if !unsafe { cudarc::nvrtc::sys::is_culib_present() } {
            eprintln!("skipped: libnvrtc is not here");
            return;
        }
        let ptx = compile().expect("the kernels are valid CUDA C").to_src();
        for kernel in TEXT.lines().filter_map(|line| line.strip_prefix("extern \"C\" __global__ void ")) {
            let name = kernel.split('(').next().expect("a name");
            assert!(ptx.contains(&format!(".entry {name}(")), "{name}");
        }
    }
}
