// Runs CUDA C++ kernels on a CPU, one block after another: every thread is a coroutine that goes on
// until it meets a shuffle or a barrier. Which thread, and which block, goes on next is drawn from a
// seed, so that a kernel whose result depends on it shows. Lanes that do not all come to the same
// shuffle, and threads that do not all come to a barrier, end the launch with an error.
//
// Only what bev_pool.cu uses: one-dimensional blocks of whole warps, two-dimensional grids, static
// shared memory, full-mask shuffles.

#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#define __device__
#define __global__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static
#define __shfl_sync(mask, value, source) \
  emulation::shuffle(__LINE__, mask, value, (source) & (emulation::WARP_SIZE - 1))
#define __shfl_down_sync(mask, value, delta) \
  emulation::shuffle(__LINE__, mask, value, emulation::down(delta))
#define __syncthreads() emulation::wait(emulation::State::AT_BARRIER, __LINE__)

using std::min;

struct Index {
  unsigned x = 0, y = 0;
};
inline Index threadIdx, blockIdx;

inline float __uint_as_float(unsigned word) {
  float value;
  std::memcpy(&value, &word, sizeof(value));
  return value;
}

inline unsigned __float_as_uint(float value) {
  unsigned word;
  std::memcpy(&word, &value, sizeof(word));
  return word;
}

// A definition of binary16 that rounds to nearest, ties to even; _Float16 needs a newer compiler.
inline float half_bits_to_float(unsigned short bits) {
  const int exponent = (bits >> 10) & 31, mantissa = bits & 1023;
  float value;
  if (exponent == 31) {
    value = mantissa ? NAN : INFINITY;
  } else {
    value = exponent ? std::ldexp(1024.0f + mantissa, exponent - 25) : std::ldexp(mantissa, -24);
  }
  return bits & 0x8000 ? -value : value;
}

inline unsigned short float_to_half_bits(float value) {
  const unsigned sign = std::signbit(value) ? 0x8000 : 0;
  const float size = std::fabs(value);
  if (std::isnan(value)) return static_cast<unsigned short>(sign | 0x7e00);
  if (size >= 65520.0f) return static_cast<unsigned short>(sign | 0x7c00);
  const int exponent = std::max(size > 0.0f ? std::ilogb(size) : -14, -14);
  const int steps = static_cast<int>(std::nearbyint(std::ldexp(size, 10 - exponent)));
  // A carry out of the mantissa lands in the exponent, where it belongs.
  return static_cast<unsigned short>(sign | (((exponent + 14) << 10) + steps));
}

namespace emulation {

constexpr int WARP_SIZE = 32;
constexpr std::size_t STACK_BYTES = 1 << 16;

enum class State { READY, AT_SHUFFLE, AT_BARRIER, DONE };

struct Thread {
  ucontext_t start;
  jmp_buf place;  // where it goes on; jumps are much quicker than swapcontext()
  bool started;
  std::unique_ptr<char[]> stack{new char[STACK_BYTES]};
  State state;
  int line;
};

inline jmp_buf scheduler;
inline std::vector<Thread> threads;
inline std::vector<unsigned> slots;  // what each lane hands to its warp
inline int current;
inline std::function<void()> body;

inline void wait(State state, int line) {
  Thread& thread = threads[current];
  thread.state = state;
  thread.line = line;
  if (_setjmp(thread.place) == 0) _longjmp(scheduler, 1);
}

inline void resume(Thread& thread) {
  if (_setjmp(scheduler) != 0) return;
  if (thread.started) _longjmp(thread.place, 1);
  thread.started = true;
  setcontext(&thread.start);
}

inline int down(int delta) {
  const int lane = current % WARP_SIZE;
  return lane + delta < WARP_SIZE ? lane + delta : lane;
}

template <typename T>
T shuffle(int line, unsigned mask, T value, int source) {
  static_assert(sizeof(T) == sizeof(unsigned), "shuffles move 32 bits");
  const int first = current - current % WARP_SIZE;
  std::memcpy(&slots[current], &value, sizeof(value));
  // With any other mask the thread ends here, and the rest of its warp waits in vain.
  wait(mask == 0xffffffffu ? State::AT_SHUFFLE : State::DONE, line);
  std::memcpy(&value, &slots[first + source], sizeof(value));
  wait(State::AT_SHUFFLE, line);
  return value;
}

inline void run_thread() {
  body();
  wait(State::DONE, 0);
}

// Sets all of first .. last READY when they wait in one state at one line.
inline bool release(int first, int last, State state) {
  for (int i = first; i < last; ++i) {
    if (threads[i].state != state || threads[i].line != threads[first].line) return false;
  }
  for (int i = first; i < last; ++i) threads[i].state = State::READY;
  return true;
}

inline bool release_any(int count) {
  bool released = release(0, count, State::AT_BARRIER);
  for (int first = 0; first < count; first += WARP_SIZE) {
    released |= release(first, first + WARP_SIZE, State::AT_SHUFFLE);
  }
  return released;
}

// Runs the threads of one block; returns an error or an empty string.
inline std::string run_block(int count, std::mt19937& random) {
  for (int i = 0; i < count; ++i) {
    Thread& thread = threads[i];
    getcontext(&thread.start);
    thread.start.uc_stack.ss_sp = thread.stack.get();
    thread.start.uc_stack.ss_size = STACK_BYTES;
    thread.start.uc_link = nullptr;
    makecontext(&thread.start, run_thread, 0);
    thread.started = false;
    thread.state = State::READY;
  }
  std::vector<int> order(count);
  std::iota(order.begin(), order.end(), 0);
  for (;;) {
    std::shuffle(order.begin(), order.end(), random);
    for (int i : order) {
      if (threads[i].state != State::READY) continue;
      current = i;
      threadIdx.x = i;
      resume(threads[i]);
    }
    if (release_any(count)) continue;
    for (int i = 0; i < count; ++i) {
      if (threads[i].state == State::DONE) continue;
      return "thread " + std::to_string(i) + " of block (" + std::to_string(blockIdx.x) + ", " +
             std::to_string(blockIdx.y) + ") waits for ever in line " +
             std::to_string(threads[i].line);
    }
    return "";
  }
}

inline std::string run(std::function<void()> kernel, Index grid, int count, unsigned seed) {
  std::mt19937 random(seed);
  threads.resize(count);
  slots.resize(count);
  body = std::move(kernel);
  std::vector<unsigned> blocks(grid.x * grid.y);
  std::iota(blocks.begin(), blocks.end(), 0u);
  std::shuffle(blocks.begin(), blocks.end(), random);
  for (unsigned block : blocks) {
    blockIdx.x = block % grid.x;
    blockIdx.y = block / grid.x;
    const std::string error = run_block(count, random);
    if (!error.empty()) return error;
  }
  return "";
}

}  // namespace emulation
