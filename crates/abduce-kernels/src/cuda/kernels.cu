// Kernels of whole layers, compiled at run time. Tensors lie row after row, as `Form::Rows` does: (rows, cols), cols contiguous.
// A reduction runs in a fixed order, so that results don't change from run to run. Threads of a block: a power of two, at most BLOCK.

#define BLOCK 256

// Numbers of `Activation`, in its order.
enum { TANH, RELU, LEAKY_RELU, ELU, SILU, GELU, SIGMOID, SOFTPLUS, MISH };

__device__ float logistic(float x) { return 1.0f / (1.0f + expf(-x)); }
__device__ float softplus(float x) { return fmaxf(x, 0.0f) + log1pf(expf(-fabsf(x))); }
__device__ float normal_cdf(float x) { return 0.5f + 0.5f * erff(x * 0.70710678f); }

__device__ float curve(int kind, float x) {
    switch (kind) {
    case TANH: return tanhf(x);
    case RELU: return fmaxf(x, 0.0f);
    case LEAKY_RELU: return x > 0.0f ? x : 0.01f * x;
    case ELU: return x > 0.0f ? x : expf(x) - 1.0f;
    case SILU: return x * logistic(x);
    case GELU: return x * normal_cdf(x);
    case SIGMOID: return logistic(x);
    case SOFTPLUS: return softplus(x);
    default: return x * tanhf(softplus(x));
    }
}

__device__ float slope(int kind, float x) {
    switch (kind) {
    case TANH: { float y = tanhf(x); return 1.0f - y * y; }
    case RELU: return x > 0.0f ? 1.0f : 0.0f;
    case LEAKY_RELU: return x > 0.0f ? 1.0f : 0.01f;
    case ELU: return x > 0.0f ? 1.0f : expf(x);
    case SILU: { float s = logistic(x); return s * (1.0f + x * (1.0f - s)); }
    case GELU: return normal_cdf(x) + x * 0.39894228f * expf(-0.5f * x * x);
    case SIGMOID: { float s = logistic(x); return s * (1.0f - s); }
    case SOFTPLUS: return logistic(x);
    default: { float t = tanhf(softplus(x)); return t + x * logistic(x) * (1.0f - t * t); }
    }
}

// Sum of one number per thread, the same in every thread.
__device__ float block_sum(float value) {
    __shared__ float part[BLOCK];
    part[threadIdx.x] = value;
    __syncthreads();
    for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) part[threadIdx.x] += part[threadIdx.x + half];
        __syncthreads();
    }
    float total = part[0];
    __syncthreads();
    return total;
}

__device__ float block_max(float value) {
    __shared__ float part[BLOCK];
    part[threadIdx.x] = value;
    __syncthreads();
    for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) part[threadIdx.x] = fmaxf(part[threadIdx.x], part[threadIdx.x + half]);
        __syncthreads();
    }
    float most = part[0];
    __syncthreads();
    return most;
}

__device__ void put(float *to, float value, int add) { *to = add ? *to + value : value; }

// ---- one thread per element ----

extern "C" __global__ void activate(int kind, unsigned n, const float *x, float *y) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = curve(kind, x[i]);
}

extern "C" __global__ void activate_backward(int kind, unsigned n, const float *x, const float *grad_y, float *grad_x, int add) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) put(grad_x + i, grad_y[i] * slope(kind, x[i]), add);
}

extern "C" __global__ void fill_rows(unsigned n, unsigned cols, const float *row, float *y) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = row[i % cols];
}

// theta, gradient, m, v: one step of Adam with decoupled weight decay; the constants are those of `AdamStep`.
extern "C" __global__ void adam(unsigned n, float rate, float beta1, float beta2, float epsilon, float correction1, float correction2,
                                float scale, float decay, float *theta, const float *gradient, float *m, float *v) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float g = gradient[i] * scale;
    m[i] = beta1 * m[i] + (1.0f - beta1) * g;
    v[i] = beta2 * v[i] + (1.0f - beta2) * g * g;
    theta[i] = theta[i] * (1.0f - rate * decay) - rate * correction1 * m[i] / (sqrtf(v[i] * correction2) + epsilon);
}

// ---- one thread per column ----

extern "C" __global__ void add_column_sums(unsigned rows, unsigned cols, const float *x, float *sums) {
    unsigned c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c >= cols) return;
    float total = 0.0f;
    for (unsigned r = 0; r < rows; r++) total += x[(size_t)r * cols + c];
    sums[c] += total;
}

// Gradients by gain and shift of `row_norm`.
extern "C" __global__ void row_norm_parameters(unsigned rows, unsigned cols, const float *x, const float *statistics, const float *grad_y,
                                               float *grad_gain, float *grad_shift) {
    unsigned c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c >= cols) return;
    float gain = 0.0f, shift = 0.0f;
    for (unsigned r = 0; r < rows; r++) {
        float g = grad_y[(size_t)r * cols + c];
        gain += g * (x[(size_t)r * cols + c] - statistics[2 * r]) * statistics[2 * r + 1];
        shift += g;
    }
    grad_gain[c] += gain;
    grad_shift[c] += shift;
}

// ---- one block per row ----

// y = gain (x - mean) / sqrt(variance + epsilon) + shift; `centre` 0: root mean square, nothing is subtracted.
// statistics: mean and 1/sqrt(...) of each row.
extern "C" __global__ void row_norm(int centre, unsigned cols, float epsilon, const float *x, const float *gain, const float *shift, float *y,
                                    float *statistics) {
    const float *row = x + (size_t)blockIdx.x * cols;
    float mean = 0.0f, squares = 0.0f;
    if (centre) {
        for (unsigned c = threadIdx.x; c < cols; c += blockDim.x) mean += row[c];
        mean = block_sum(mean) / cols;
    }
    for (unsigned c = threadIdx.x; c < cols; c += blockDim.x) squares += (row[c] - mean) * (row[c] - mean);
    float inverse = 1.0f / sqrtf(block_sum(squares) / cols + epsilon);
    for (unsigned c = threadIdx.x; c < cols; c += blockDim.x) y[(size_t)blockIdx.x * cols + c] = gain[c] * (row[c] - mean) * inverse + shift[c];
    if (threadIdx.x == 0) {
        statistics[2 * blockIdx.x] = mean;
        statistics[2 * blockIdx.x + 1] = inverse;
    }
}

// With h = (x - mean) / sd and u = gain * grad_y: grad_x = (u - mean(u) - h mean(u h)) / sd, without mean(u) for the root mean square.
extern "C" __global__ void row_norm_backward(int centre, unsigned cols, const float *x, const float *gain, const float *statistics,
                                             const float *grad_y, float *grad_x, int add) {
    size_t at = (size_t)blockIdx.x * cols;
    float mean = statistics[2 * blockIdx.x], inverse = statistics[2 * blockIdx.x + 1];
    float first = 0.0f, second = 0.0f;
    for (unsigned c = threadIdx.x; c < cols; c += blockDim.x) {
        float u = gain[c] * grad_y[at + c];
        first += u;
        second += u * (x[at + c] - mean) * inverse;
    }
    first = centre ? block_sum(first) / cols : 0.0f;
    second = block_sum(second) / cols;
    for (unsigned c = threadIdx.x; c < cols; c += blockDim.x) {
        float h = (x[at + c] - mean) * inverse;
        put(grad_x + at + c, inverse * (gain[c] * grad_y[at + c] - first - h * second), add);
    }
}

extern "C" __global__ void softmax(unsigned cols, const float *x, float *y) {
    size_t at = (size_t)blockIdx.x * cols;
    float most = x[at], total = 0.0f;
    for (unsigned c = threadIdx.x; c < cols; c += blockDim.x) most = fmaxf(most, x[at + c]);
    most = block_max(most);
    for (unsigned c = threadIdx.x; c < cols; c += blockDim.x) total += expf(x[at + c] - most);
    total = block_sum(total);
    for (unsigned c = threadIdx.x; c < cols; c += blockDim.x) y[at + c] = expf(x[at + c] - most) / total;
}

// grad_x = y (grad_y - Σ y grad_y)
extern "C" __global__ void softmax_backward(unsigned cols, const float *y, const float *grad_y, float *grad_x, int add) {
    size_t at = (size_t)blockIdx.x * cols;
    float dot = 0.0f;
    for (unsigned c = threadIdx.x; c < cols; c += blockDim.x) dot += y[at + c] * grad_y[at + c];
    dot = block_sum(dot);
    for (unsigned c = threadIdx.x; c < cols; c += blockDim.x) put(grad_x + at + c, y[at + c] * (grad_y[at + c] - dot), add);
}
