// BEV pooling on CUDA: a sparse matrix in compressed rows, with looked-up weights, times a matrix.
//
//   bev_pool_rows           out[r, :] = sum over entries e of row r:
//                                           weights[weight_index[e]] * rows[row_index[e], :]
//   bev_pool_weight_grad    out[w]    = sum over entries e of weight w:
//                                           dot(rows[row_index[e], :], grad[cell_index[e], :])
//
// The first is the pooling itself (row r = BEV cell) and, with the transposed matrix (row r =
// feature pixel, rows = gradient of the cells), its gradient with respect to the features. The
// second is its gradient with respect to the depth. The sum is that of Lift-Splat-Shoot (Philion &
// Fidler 2020) over precomputed intervals as in BEVPoolv2 (arXiv 2211.17111).
//
// Work. A row of C scalars is read in packs of V scalars (at most 16 bytes) by as many lanes; as
// many such groups of lanes as fit a warp take different entries of an interval side by side, and
// shuffles sum them at the end. An index and its weight are loaded by one lane and shuffled to all
// of a group. A warp owns an output row; the first `long_rows` of `order`, which runs from the
// longest interval to the shortest, have a block each. Rows of more packs than a warp has lanes are
// cut into tiles, one per blockIdx.y. Sums are float32.
//
// Memory safety and races. The caller guarantees, once per matrix: offsets rise from 0 to the number
// of entries; row_index, cell_index and weight_index lie within their arrays; order is a permutation
// of the rows. And per launch: V divides C, matrices are contiguous and aligned to V scalars, the
// output overlaps no input.
// - Reads: an entry is read only at first <= e < last of an interval, and its row only by active
//   lanes, whose V channels end at or before C. Offsets into matrices are of 64 bits.
// - Writes: order is a permutation and tiles are disjoint, so every V scalars of the output belong
//   to one lane, which writes them once, also where the interval is empty. Nothing needs clearing,
//   no atomics are needed, and blocks share nothing.
// - Inside a warp data moves by shuffles alone, and all 32 lanes reach every one of them: what the
//   loops around them run over is the same for all lanes, and a warp returns whole or not at all.
// - Between warps data moves only for a long row: each warp writes its own part of `partial`, then
//   comes the one barrier, then the first warp reads. Whether a row is long follows from blockIdx,
//   so that the whole block comes to the barrier; nobody returns before.
// - The order of every sum depends on the matrix, C and V alone: equal inputs give equal bits.
//
// It includes no header, so that NVRTC needs none.

constexpr int WARP = 32;
constexpr int WARPS = 8;  // of a block
constexpr int AHEAD = 4;  // rows that a lane has in flight
constexpr unsigned ALL_LANES = 0xffffffffu;

struct Float16 {
  unsigned short bits;
};

struct BFloat16 {
  unsigned short bits;
};

#ifndef BEV_POOL_EMULATED
__device__ __forceinline__ float half_bits_to_float(unsigned short bits) {
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
  return value;
}

__device__ __forceinline__ unsigned short float_to_half_bits(float value) {
  unsigned short bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
  return bits;
}
#endif

__device__ __forceinline__ float to_float(float value) { return value; }

__device__ __forceinline__ float to_float(Float16 value) { return half_bits_to_float(value.bits); }

__device__ __forceinline__ float to_float(BFloat16 value) {
  return __uint_as_float(static_cast<unsigned>(value.bits) << 16);
}

__device__ __forceinline__ void from_float(float value, float& out) { out = value; }

__device__ __forceinline__ void from_float(float value, Float16& out) {
  out.bits = float_to_half_bits(value);
}

// Rounds to nearest, ties to even; NaN stays NaN.
__device__ __forceinline__ void from_float(float value, BFloat16& out) {
  const unsigned word = __float_as_uint(value);
  const bool is_nan = (word & 0x7fffffffu) > 0x7f800000u;
  const unsigned rounded = (word + 0x7fffu + ((word >> 16) & 1u)) >> 16;
  out.bits = static_cast<unsigned short>(is_nan ? 0x7fffu : rounded);
}

// V neighbouring scalars, moved by one instruction.
template <typename T, int V>
struct alignas(sizeof(T) * V) Pack {
  T scalar[V];
};

template <typename T, int V>
__device__ __forceinline__ Pack<T, V> load_pack(const T* __restrict__ place) {
  return *reinterpret_cast<const Pack<T, V>*>(place);
}

template <typename T, int V>
__device__ __forceinline__ void store_pack(const float (&values)[V], T* place) {
  Pack<T, V> pack;
#pragma unroll
  for (int i = 0; i < V; ++i) from_float(values[i], pack.scalar[i]);
  *reinterpret_cast<Pack<T, V>*>(place) = pack;
}

// What a lane does in its warp: group `group` of `groups`, and in it the pack that starts at
// `channel`. Lanes left over, and packs past the end of a row, are not active.
struct Lane {
  int index;
  int lanes;
  int groups;
  int group;
  int channel;
  bool active;

  __device__ __forceinline__ Lane(int lanes_of_row, int channels, int pack)
      : index(static_cast<int>(threadIdx.x) % WARP),
        lanes(lanes_of_row),
        groups(WARP / lanes_of_row),
        group(index / lanes_of_row),
        channel((static_cast<int>(blockIdx.y) * lanes_of_row + index % lanes_of_row) * pack),
        active(group < groups && channel < channels) {}
};

// Sums `count` values that lie `stride` lanes apart, pairwise, into position 0. All lanes of the warp
// call it; `position` is the caller's own, and lanes that hold no value have one >= count.
__device__ __forceinline__ float sum_lanes(float value, int position, int count, int stride) {
  for (int width = count; width > 1;) {
    const int half = (width + 1) / 2;
    const float other = __shfl_down_sync(ALL_LANES, value, half * stride);
    if (position + half < width) value += other;
    width = half;
  }
  return value;
}

// Adds the entries first, first + 1 .. of every `step` >= WARP up to last, WARP at a time. On return
// the lanes of group 0 hold their channels of the sum. All lanes of the warp call it with the same
// first, last and step.
template <typename T, int V>
__device__ __forceinline__ void sum_entries(const Lane& lane, const T* __restrict__ rows,
                                            const T* __restrict__ weights,
                                            const int* __restrict__ row_index,
                                            const int* __restrict__ weight_index, int channels,
                                            int first, int last, int step, float (&sum)[V]) {
#pragma unroll
  for (int i = 0; i < V; ++i) sum[i] = 0.0f;
  for (int begin = first; begin < last; begin += step) {
    const int count = min(last - begin, WARP);
    int row = 0;
    float weight = 0.0f;
    if (lane.index < count) {
      row = row_index[begin + lane.index];
      weight = to_float(weights[weight_index[begin + lane.index]]);
    }
    for (int done = 0; done < count; done += AHEAD * lane.groups) {
      Pack<T, V> packs[AHEAD];
      float factors[AHEAD];
#pragma unroll
      for (int k = 0; k < AHEAD; ++k) {
        const int source = done + k * lane.groups + lane.group;
        const int source_row = __shfl_sync(ALL_LANES, row, source % WARP);
        const float factor = __shfl_sync(ALL_LANES, weight, source % WARP);
        const bool mine = lane.active && source < count;
        packs[k] = Pack<T, V>{};
        factors[k] = mine ? factor : 0.0f;
        if (mine) {
          packs[k] = load_pack<T, V>(rows + static_cast<long long>(source_row) * channels +
                                     lane.channel);
        }
      }
#pragma unroll
      for (int k = 0; k < AHEAD; ++k) {
#pragma unroll
        for (int i = 0; i < V; ++i) {
          sum[i] = fmaf(factors[k], to_float(packs[k].scalar[i]), sum[i]);
        }
      }
    }
  }
#pragma unroll
  for (int i = 0; i < V; ++i) sum[i] = sum_lanes(sum[i], lane.group, lane.groups, lane.lanes);
}

// Grid: (long_rows + ceil((out_rows - long_rows) / WARPS), tiles); block: WARPS * WARP threads;
// lanes: of a row of a tile, 1 .. WARP, with tiles * lanes * V >= channels.
template <typename T, int V>
__global__ void __launch_bounds__(WARPS * WARP, 4)
    bev_pool_rows(const T* __restrict__ rows, const T* __restrict__ weights,
                  const int* __restrict__ row_index, const int* __restrict__ weight_index,
                  const int* __restrict__ offsets, const int* __restrict__ order,
                  T* __restrict__ out, int out_rows, int long_rows, int channels, int lanes) {
  const Lane lane(lanes, channels, V);
  const int warp = static_cast<int>(threadIdx.x) / WARP;
  const int block = static_cast<int>(blockIdx.x);
  float sum[V];

  if (block >= long_rows) {
    const int rank = long_rows + (block - long_rows) * WARPS + warp;
    if (rank >= out_rows) return;
    const int row = order[rank];
    sum_entries<T, V>(lane, rows, weights, row_index, weight_index, channels, offsets[row],
                      offsets[row + 1], WARP, sum);
    if (lane.active && lane.group == 0) {
      store_pack<T, V>(sum, out + static_cast<long long>(row) * channels + lane.channel);
    }
    return;
  }

  __shared__ float partial[WARPS][V][WARP];
  const int row = order[block];
  sum_entries<T, V>(lane, rows, weights, row_index, weight_index, channels,
                    offsets[row] + warp * WARP, offsets[row + 1], WARPS * WARP, sum);
#pragma unroll
  for (int i = 0; i < V; ++i) partial[warp][i][lane.index] = sum[i];
  __syncthreads();
  if (warp == 0 && lane.active && lane.group == 0) {
#pragma unroll
    for (int i = 0; i < V; ++i) {
      for (int other = 1; other < WARPS; ++other) sum[i] += partial[other][i][lane.index];
    }
    store_pack<T, V>(sum, out + static_cast<long long>(row) * channels + lane.channel);
  }
}

// Every weight belongs to a group of `lanes` lanes, at most WARP, that also writes the
// weights without entries. Grid: (ceil(weight_count / (WARPS * (WARP / lanes)))).
template <typename T, int V>
__global__ void __launch_bounds__(WARPS * WARP, 4)
    bev_pool_weight_grad(const T* __restrict__ rows, const T* __restrict__ grad,
                         const int* __restrict__ row_index, const int* __restrict__ cell_index,
                         const int* __restrict__ offsets, T* __restrict__ out, int weight_count,
                         int channels, int lanes) {
  const int index = static_cast<int>(threadIdx.x) % WARP;
  const int warp = static_cast<int>(threadIdx.x) / WARP;
  const int groups = WARP / lanes;
  const int group = index / lanes;
  const int position = index % lanes;
  const long long weight =
      (static_cast<long long>(blockIdx.x) * WARPS + warp) * groups + group;
  const bool active = group < groups && weight < weight_count;

  float sum = 0.0f;
  if (active) {
    const int last = offsets[weight + 1];
    for (int entry = offsets[weight]; entry < last; ++entry) {
      const T* row = rows + static_cast<long long>(row_index[entry]) * channels;
      const T* cell = grad + static_cast<long long>(cell_index[entry]) * channels;
      for (int channel = position * V; channel < channels; channel += lanes * V) {
        const Pack<T, V> left = load_pack<T, V>(row + channel);
        const Pack<T, V> right = load_pack<T, V>(cell + channel);
#pragma unroll
        for (int i = 0; i < V; ++i) {
          sum = fmaf(to_float(left.scalar[i]), to_float(right.scalar[i]), sum);
        }
      }
    }
  }
  sum = sum_lanes(sum, position, lanes, 1);
  if (active && position == 0) from_float(sum, out[weight]);
}
