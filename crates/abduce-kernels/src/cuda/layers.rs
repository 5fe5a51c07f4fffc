//! The layers.

use super::{Buffer, Device, DeviceError, failed};
use crate::elementwise::{Activation, Update};
use crate::norm::{EPSILON, RowNorm};
use crate::optimiser::AdamStep;
use cudarc::cublas::sys::cublasOperation_t::{CUBLAS_OP_N, CUBLAS_OP_T};
use cudarc::cublas::{Gemm as _, GemmConfig};
use cudarc::driver::{LaunchConfig, PushKernelArg as _};

/// Threads of a block: `BLOCK` of the kernels.
const BLOCK: u32 = 256;

/// y (rows, outputs) = x (rows, inputs) Wᵀ + b with W (outputs, inputs), the order in which weights are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinearShape {
    /// Rows of x and y.
    pub rows: usize,
    /// Features of x.
    pub inputs: usize,
    /// Features of y.
    pub outputs: usize,
}

/// A number of kernels' arguments: sizes are 32-bit there.
fn size(n: usize) -> u32 {
    u32::try_from(n).expect("a tensor has fewer than 2³² values")
}

/// A dimension of cuBLAS.
fn dimension(n: usize) -> i32 {
    i32::try_from(n).expect("a matrix has fewer than 2³¹ rows")
}

fn adds(update: Update) -> i32 {
    i32::from(update == Update::Accumulate)
}

/// One thread per item.
fn threads(n: u32) -> LaunchConfig {
    LaunchConfig { grid_dim: (n.div_ceil(BLOCK), 1, 1), block_dim: (BLOCK, 1, 1), shared_mem_bytes: 0 }
}

/// One block per row.
fn blocks(rows: u32) -> LaunchConfig {
    LaunchConfig { grid_dim: (rows, 1, 1), block_dim: (BLOCK, 1, 1), shared_mem_bytes: 0 }
}

/// Puts a kernel on the stream; a grid of no block is nothing to do.
macro_rules! launch {
    ($device:expr, $kernel:ident, $grid:expr, $($argument:expr),+ $(,)?) => {{
        let grid = $grid;
        if grid.grid_dim.0 > 0 {
            let mut launch = $device.stream.launch_builder(&$device.kernels.$kernel);
            $(launch.arg($argument);)+
            // SAFETY: the arguments have the kernel's order and types, and the caller has checked that the buffers are as long as it reads and writes.
            unsafe { launch.launch(grid) }.map(|_| ()).map_err(failed(concat!("the kernel ", stringify!($kernel))))
        } else {
            Ok(())
        }
    }};
}

impl Device {
    /// The affine map of every row.
    ///
    /// # Errors
    /// CUDA reports an error.
    ///
    /// # Panics
    /// If a buffer does not have the length of the shape.
    pub fn linear(&self, shape: LinearShape, weight: &Buffer, bias: &Buffer, x: &Buffer, y: &mut Buffer) -> Result<(), DeviceError> {
        let LinearShape { rows, inputs, outputs } = shape;
        assert!(weight.len() == outputs * inputs && bias.len() == outputs, "linear: parameters of {shape:?}");
        assert!(x.len() == rows * inputs && y.len() == rows * outputs, "linear: rows of {shape:?}");
        let (n, cols) = (size(y.len()), size(outputs));
        launch!(self, fill_rows, threads(n), &n, &cols, &bias.data, &mut y.data)?;
        // Column-major, as cuBLAS sees it: yᵀ (outputs, rows) = W (outputs, inputs) xᵀ (inputs, rows).
        self.product((CUBLAS_OP_T, inputs, weight), (CUBLAS_OP_N, inputs, x), [outputs, rows, inputs], Update::Accumulate, y)
    }

    /// Gradients of [`Device::linear`]: `grad_x` as told, those by the parameters are added to.
    ///
    /// # Errors
    /// CUDA reports an error.
    ///
    /// # Panics
    /// If a buffer does not have the length of the shape.
    pub fn linear_backward(
        &self,
        shape: LinearShape,
        weight: &Buffer,
        x: &Buffer,
        grad_y: &Buffer,
        grad_x: Option<(&mut Buffer, Update)>,
        (grad_weight, grad_bias): (&mut Buffer, &mut Buffer),
    ) -> Result<(), DeviceError> {
        let LinearShape { rows, inputs, outputs } = shape;
        assert!(weight.len() == outputs * inputs && grad_weight.len() == weight.len(), "linear_backward: weights of {shape:?}");
        assert!(x.len() == rows * inputs && grad_y.len() == rows * outputs, "linear_backward: rows of {shape:?}");
        assert!(grad_bias.len() == outputs, "linear_backward: bias of {shape:?}");
        self.add_column_sums(grad_y, grad_bias)?;
        // dWᵀ (inputs, outputs) += xᵀ (inputs, rows) dy (rows, outputs)
        self.product((CUBLAS_OP_N, inputs, x), (CUBLAS_OP_T, outputs, grad_y), [inputs, outputs, rows], Update::Accumulate, grad_weight)?;
        let Some((grad_x, update)) = grad_x else { return Ok(()) };
        assert!(grad_x.len() == x.len(), "linear_backward: rows of {shape:?}");
        // dxᵀ (inputs, rows) = Wᵀ (inputs, outputs) dyᵀ (outputs, rows)
        self.product((CUBLAS_OP_N, inputs, weight), (CUBLAS_OP_N, outputs, grad_y), [inputs, rows, outputs], update, grad_x)
    }

    /// c (m, n) (=, or +=) op(a) op(b) over a depth of k, column-major; each operand with its leading dimension.
    fn product(
        &self,
        (transa, lda, a): (cudarc::cublas::sys::cublasOperation_t, usize, &Buffer),
        (transb, ldb, b): (cudarc::cublas::sys::cublasOperation_t, usize, &Buffer),
        [m, n, k]: [usize; 3],
        update: Update,
        c: &mut Buffer,
    ) -> Result<(), DeviceError> {
        if m == 0 || n == 0 {
            return Ok(());
        }
        let beta = if update == Update::Accumulate { 1.0 } else { 0.0 };
        let (lda, ldb, ldc) = (dimension(lda), dimension(ldb), dimension(m));
        let config = GemmConfig { transa, transb, m: ldc, n: dimension(n), k: dimension(k), alpha: 1.0f32, lda, ldb, beta, ldc };
        // SAFETY: the callers have checked that the buffers have the lengths of these dimensions.
        unsafe { self.blas.gemm(config, &a.data, &b.data, &mut c.data) }.map_err(failed("a product of cuBLAS"))
    }

    /// y = f(x).
    ///
    /// # Errors
    /// CUDA reports an error.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn activate(&self, f: Activation, x: &Buffer, y: &mut Buffer) -> Result<(), DeviceError> {
        assert_eq!(x.len(), y.len(), "activate: lengths differ");
        let (kind, n) = (f as i32, size(x.len()));
        launch!(self, activate, threads(n), &kind, &n, &x.data, &mut y.data)
    }

    /// Gradient of [`Device::activate`].
    ///
    /// # Errors
    /// CUDA reports an error.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn activate_backward(
        &self,
        f: Activation,
        x: &Buffer,
        grad_y: &Buffer,
        (grad_x, update): (&mut Buffer, Update),
    ) -> Result<(), DeviceError> {
        assert!(x.len() == grad_y.len() && x.len() == grad_x.len(), "activate_backward: lengths differ");
        let (kind, n, add) = (f as i32, size(x.len()), adds(update));
        launch!(self, activate_backward, threads(n), &kind, &n, &x.data, &grad_y.data, &mut grad_x.data, &add)
    }

    /// Layer or root-mean-square normalisation of every row of as many features as `gain` has; mean and 1/√(variance + 1e-5) of each row go to `statistics`
    /// (rows, 2).
    ///
    /// # Errors
    /// CUDA reports an error.
    ///
    /// # Panics
    /// If lengths don't fit.
    pub fn row_norm(
        &self,
        kind: RowNorm,
        (gain, shift): (&Buffer, &Buffer),
        x: &Buffer,
        y: &mut Buffer,
        statistics: &mut Buffer,
    ) -> Result<(), DeviceError> {
        let rows = rows_of(x, gain);
        assert!(shift.len() == gain.len() && y.len() == x.len() && statistics.len() == 2 * rows, "row_norm: lengths differ");
        let (centre, cols, epsilon) = (i32::from(kind == RowNorm::Layer), size(gain.len()), EPSILON);
        let grid = blocks(size(rows));
        launch!(self, row_norm, grid, &centre, &cols, &epsilon, &x.data, &gain.data, &shift.data, &mut y.data, &mut statistics.data)
    }

    /// Gradients of [`Device::row_norm`]: `grad_x` as told, those by gain and shift are added to.
    ///
    /// # Errors
    /// CUDA reports an error.
    ///
    /// # Panics
    /// If lengths don't fit.
    pub fn row_norm_backward(
        &self,
        kind: RowNorm,
        gain: &Buffer,
        (x, statistics): (&Buffer, &Buffer),
        grad_y: &Buffer,
        grad_x: Option<(&mut Buffer, Update)>,
        (grad_gain, grad_shift): (&mut Buffer, &mut Buffer),
    ) -> Result<(), DeviceError> {
        let rows = rows_of(x, gain);
        assert!(grad_y.len() == x.len() && statistics.len() == 2 * rows, "row_norm_backward: lengths differ");
        assert!(grad_gain.len() == gain.len() && grad_shift.len() == gain.len(), "row_norm_backward: parameters");
        let (centre, rows, cols) = (i32::from(kind == RowNorm::Layer), size(rows), size(gain.len()));
        let (to_gain, to_shift) = (&mut grad_gain.data, &mut grad_shift.data);
        launch!(self, row_norm_parameters, threads(cols), &rows, &cols, &x.data, &statistics.data, &grad_y.data, to_gain, to_shift)?;
        let Some((grad_x, update)) = grad_x else { return Ok(()) };
        assert!(grad_x.len() == x.len(), "row_norm_backward: lengths differ");
        let (add, to) = (adds(update), &mut grad_x.data);
        launch!(self, row_norm_backward, blocks(rows), &centre, &cols, &x.data, &gain.data, &statistics.data, &grad_y.data, to, &add)
    }

    /// y = e^x/Σ e^x of every row of `cols` values.
    ///
    /// # Errors
    /// CUDA reports an error.
    ///
    /// # Panics
    /// If lengths don't fit.
    pub fn softmax(&self, cols: usize, x: &Buffer, y: &mut Buffer) -> Result<(), DeviceError> {
        assert!(cols > 0 && x.len().is_multiple_of(cols) && y.len() == x.len(), "softmax: lengths differ");
        let (rows, cols) = (size(x.len() / cols), size(cols));
        launch!(self, softmax, blocks(rows), &cols, &x.data, &mut y.data)
    }

    /// Gradient of [`Device::softmax`], whose output y is.
    ///
    /// # Errors
    /// CUDA reports an error.
    ///
    /// # Panics
    /// If lengths don't fit.
    pub fn softmax_backward(
        &self,
        cols: usize,
        y: &Buffer,
        grad_y: &Buffer,
        (grad_x, update): (&mut Buffer, Update),
    ) -> Result<(), DeviceError> {
        assert!(cols > 0 && y.len().is_multiple_of(cols), "softmax_backward: whole rows");
        assert!(grad_y.len() == y.len() && grad_x.len() == y.len(), "softmax_backward: lengths differ");
        let (rows, cols, add) = (size(y.len() / cols), size(cols), adds(update));
        launch!(self, softmax_backward, blocks(rows), &cols, &y.data, &grad_y.data, &mut grad_x.data, &add)
    }

    /// `sums[c] += Σ` of column c of x.
    ///
    /// # Errors
    /// CUDA reports an error.
    ///
    /// # Panics
    /// If x is not made of whole rows.
    pub fn add_column_sums(&self, x: &Buffer, sums: &mut Buffer) -> Result<(), DeviceError> {
        let (rows, cols) = (size(rows_of(x, sums)), size(sums.len()));
        launch!(self, add_column_sums, threads(cols), &rows, &cols, &x.data, &mut sums.data)
    }

    /// One step of Adam; `m` and `v` are the running moments.
    ///
    /// # Errors
    /// CUDA reports an error.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn adam(
        &self,
        step: &AdamStep,
        theta: &mut Buffer,
        gradient: &Buffer,
        (m, v): (&mut Buffer, &mut Buffer),
    ) -> Result<(), DeviceError> {
        let n = size(theta.len());
        assert!([gradient.len(), m.len(), v.len()] == [theta.len(); 3], "adam: lengths differ");
        launch!(
            self,
            adam,
            threads(n),
            &n,
            &step.learning_rate,
            &step.beta1,
            &step.beta2,
            &step.epsilon,
            &step.correction1,
            &step.correction2,
            &step.gradient_scale,
            &step.weight_decay,
            &mut theta.data,
            &gradient.data,
            &mut m.data,
            &mut v.data,
        )
    }
}

/// Rows of x, each as long as `row`.
fn rows_of(x: &Buffer, row: &Buffer) -> usize {
    assert!(!row.is_empty() && x.len().is_multiple_of(row.len()), "{} values are no rows of {}", x.len(), row.len());
    x.len() / row.len()
}
