// bev_pool.cu as a library of the CPU: emulate_launch() takes what a CUDA launch takes.

#include "cuda_emulation.h"

#define BEV_POOL_EMULATED
#include "bev_pool.cu"

#include <cstdio>
#include <map>
#include <utility>

namespace {

using Kernel = std::function<void(void**)>;

template <typename... A, std::size_t... I>
Kernel unpacked(void (*kernel)(A...), std::index_sequence<I...>) {
  return [kernel](void** arguments) { kernel(*static_cast<A*>(arguments[I])...); };
}

template <typename... A>
Kernel unpacked(void (*kernel)(A...)) {
  return unpacked(kernel, std::index_sequence_for<A...>{});
}

#define INSTANCE(T, V)                                             \
  {"bev_pool_rows<" #T ", " #V ">", unpacked(bev_pool_rows<T, V>)}, \
      {"bev_pool_weight_grad<" #T ", " #V ">", unpacked(bev_pool_weight_grad<T, V>)}

#ifndef INSTANCES
#define INSTANCES                                                                             \
  INSTANCE(float, 1), INSTANCE(float, 2), INSTANCE(float, 4), INSTANCE(Float16, 1),           \
      INSTANCE(Float16, 2), INSTANCE(Float16, 4), INSTANCE(Float16, 8), INSTANCE(BFloat16, 1), \
      INSTANCE(BFloat16, 2), INSTANCE(BFloat16, 4), INSTANCE(BFloat16, 8)
#endif

const std::map<std::string, Kernel> KERNELS = {INSTANCES};

}  // namespace

extern "C" int emulate_launch(const char* name, unsigned grid_x, unsigned grid_y, int threads,
                              void** arguments, unsigned seed, char* error, std::size_t size) {
  const auto found = KERNELS.find(name);
  const std::string message =
      found == KERNELS.end()
          ? std::string("no kernel ") + name
          : emulation::run([&] { found->second(arguments); }, {grid_x, grid_y}, threads, seed);
  std::snprintf(error, size, "%s", message.c_str());
  return message.empty() ? 0 : 1;
}

// For tests of the conversions themselves.
extern "C" float emulated_half_to_float(unsigned short bits) { return half_bits_to_float(bits); }
extern "C" unsigned short emulated_float_to_half(float value) { return float_to_half_bits(value); }
