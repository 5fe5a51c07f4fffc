// Runs the kernels of ../src/cuda/kernels.cu on a CPU: a block is as many threads of C++ with a barrier, blocks follow one another.
// Arguments: the sizes. Prints one line per result: its name and its values.

#include <barrier>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <thread>
#include <vector>

struct Three { unsigned x; };
static thread_local Three threadIdx, blockIdx;
static Three blockDim;
static std::barrier<> *everyone;
#define __global__
#define __device__ static
#define __shared__ static
#define __syncthreads() everyone->arrive_and_wait()

#include "../src/cuda/kernels.cu"

static const unsigned THREADS = 4;

static void launch(unsigned blocks, const std::function<void()> &kernel) {
    std::barrier<> barrier(THREADS);
    everyone = &barrier;
    blockDim.x = THREADS;
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < THREADS; t++)
        threads.emplace_back([&, t] {
            for (unsigned b = 0; b < blocks; b++) {
                threadIdx.x = t;
                blockIdx.x = b;
                kernel();
                barrier.arrive_and_wait();
            }
        });
    for (auto &thread : threads) thread.join();
}

// The numbers of tests/cuda.rs.
static std::vector<float> numbers(unsigned n, unsigned salt) {
    std::vector<float> v(n);
    for (unsigned i = 0; i < n; i++) v[i] = (float)(((i * 2654435761u + salt * 40503u) >> 8) % 2001) / 500.0f - 2.0f;
    return v;
}

static void show(const char *name, const std::vector<float> &values) {
    printf("%s", name);
    for (float v : values) printf(" %.9g", v);
    printf("\n");
}

int main(int count, char **words) {
    unsigned rows = atoi(words[1]), cols = atoi(words[2]), n = rows * cols, all = (n + THREADS - 1) / THREADS, per_column = (cols + THREADS - 1) / THREADS;
    auto x = numbers(n, 1), grad = numbers(n, 2), gain = numbers(cols, 3), shift = numbers(cols, 4);
    std::vector<float> y(n), statistics(2 * rows);
    for (int kind = TANH; kind <= MISH; kind++) {
        launch(all, [&] { activate(kind, n, x.data(), y.data()); });
        show("activate", y);
        auto to = numbers(n, 5);
        launch(all, [&] { activate_backward(kind, n, x.data(), grad.data(), to.data(), kind % 2); });
        show("activate_backward", to);
    }
    for (int centre = 0; centre < 2; centre++) {
        launch(rows, [&] { row_norm(centre, cols, 1e-5f, x.data(), gain.data(), shift.data(), y.data(), statistics.data()); });
        show("row_norm", y);
        auto to = numbers(n, 5), to_gain = numbers(cols, 6), to_shift = numbers(cols, 7);
        launch(rows, [&] { row_norm_backward(centre, cols, x.data(), gain.data(), statistics.data(), grad.data(), to.data(), 1); });
        launch(per_column, [&] { row_norm_parameters(rows, cols, x.data(), statistics.data(), grad.data(), to_gain.data(), to_shift.data()); });
        show("row_norm_backward", to);
        show("row_norm_gain", to_gain);
        show("row_norm_shift", to_shift);
    }
    launch(rows, [&] { softmax(cols, x.data(), y.data()); });
    show("softmax", y);
    auto to = numbers(n, 5);
    launch(rows, [&] { softmax_backward(cols, y.data(), grad.data(), to.data(), 0); });
    show("softmax_backward", to);
    launch(all, [&] { fill_rows(n, cols, shift.data(), y.data()); });
    launch(per_column, [&] { add_column_sums(rows, cols, x.data(), gain.data()); });
    show("fill_rows", y);
    show("add_column_sums", gain);
    auto theta = numbers(n, 8), m = numbers(n, 9), v = numbers(n, 10);
    for (float &value : v) value = value * value;
    launch(all, [&] { adam(n, 0.01f, 0.9f, 0.99f, 1e-6f, 1.5f, 1.25f, 0.5f, 0.1f, theta.data(), grad.data(), m.data(), v.data()); });
    show("adam_theta", theta);
    show("adam_m", m);
    show("adam_v", v);
    return 0;
}
