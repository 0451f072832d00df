/* What device code finds under the emulation: the place of a thread, barriers, collectives of a warp, atomics, the
 * launch. Included by kernels/device.h after NVIDIA's headers; see README.md here.
 *
 * The threads of a block are fibers of one thread of the operating system: an atomic is a plain operation, and a
 * switch happens only in a barrier or a collective, which are calls into the runtime.
 */
#ifndef EPFLOW_EMULATED_KERNELS_H
#define EPFLOW_EMULATED_KERNELS_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <algorithm>
#include <memory>
#include <tuple>
#include <type_traits>

#define EMULATED_HIDDEN __attribute__((visibility("hidden")))
/* Always: so that return addresses of the runtime are in kernels. */
#define EMULATED_INLINE static inline __attribute__((always_inline))

/* Shared memory: one block runs at a time, so its arrays are static ones. As thread-local variables they all lie in
 * one segment of the library, whose ends the runtime can find; `section` does not go with templates. */
#undef __shared__
#define __shared__ static __thread
#undef __noinline__
#define __noinline__ __attribute__((noinline))
#undef __launch_bounds__
#define __launch_bounds__(...)

/* ---- the place of the thread that runs ---- */

struct emulated_position {
    uint3 thread, block;
    dim3 threads, blocks;
};
extern EMULATED_HIDDEN struct emulated_position emulated_place;
#define threadIdx (const_cast<const emulated_position &>(emulated_place).thread)
#define blockIdx (const_cast<const emulated_position &>(emulated_place).block)
#define blockDim (const_cast<const emulated_position &>(emulated_place).threads)
#define gridDim (const_cast<const emulated_position &>(emulated_place).blocks)
static constexpr int warpSize = 32;

/* ---- calls into the runtime ---- */

enum emulated_kind {
    EMULATED_SHUFFLE,
    EMULATED_SHUFFLE_UP,
    EMULATED_SHUFFLE_DOWN,
    EMULATED_SHUFFLE_XOR,
    EMULATED_BALLOT,
    EMULATED_ANY,
    EMULATED_ALL,
    EMULATED_SYNCWARP
};
/* What the lanes of a warp brought to a collective. */
struct emulated_lanes {
    uint64_t value[32];
    uint32_t present; /* lanes that took part */
};

extern "C" {
EMULATED_HIDDEN void emulated_barrier(void);
EMULATED_HIDDEN const struct emulated_lanes *emulated_collective(enum emulated_kind kind, uint32_t mask,
                                                                 uint64_t value);
/* The lanes with a value other than 0. */
EMULATED_HIDDEN uint32_t emulated_ballot(enum emulated_kind kind, uint32_t mask, int predicate);
/* The value of a lane for the lane that runs; notices lanes that have none. */
EMULATED_HIDDEN uint64_t emulated_lane_value(const struct emulated_lanes *lanes, int from);
EMULATED_HIDDEN void *emulated_dynamic_shared(void);
}

EMULATED_INLINE int emulated_lane(void) {
    const uint3 &t = emulated_place.thread;
    const dim3 &n = emulated_place.threads;
    return (int)(((t.z * n.y + t.y) * n.x + t.x) % 32);
}

EMULATED_INLINE void __syncthreads(void) {
    emulated_barrier();
}
EMULATED_INLINE void __syncwarp(uint32_t mask = 0xffffffffu) {
    emulated_collective(EMULATED_SYNCWARP, mask, 0);
}
EMULATED_INLINE void __threadfence(void) {
}
EMULATED_INLINE void __threadfence_block(void) {
}

/* ---- shuffles and votes ---- */

template <typename T> EMULATED_INLINE uint64_t emulated_bits(T value) {
    static_assert(std::is_arithmetic<T>::value && (sizeof(T) == 4 || sizeof(T) == 8),
                  "shuffles are of numbers of 4 or 8 bytes");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    return bits;
}
template <typename T> EMULATED_INLINE T emulated_value(const emulated_lanes *lanes, int from) {
    const uint64_t bits = emulated_lane_value(lanes, from);
    T value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Among segments of `width` lanes, a power of two: outside its segment a lane gets its own value. */
template <typename T> EMULATED_INLINE T __shfl_sync(uint32_t mask, T value, int from, int width = 32) {
    const int lane = emulated_lane();
    const emulated_lanes *lanes = emulated_collective(EMULATED_SHUFFLE, mask, emulated_bits(value));
    return emulated_value<T>(lanes, (lane & ~(width - 1)) + (from & (width - 1)));
}
template <typename T>
EMULATED_INLINE T __shfl_up_sync(uint32_t mask, T value, unsigned apart, int width = 32) {
    const int lane = emulated_lane(), from = lane - (int)apart;
    const emulated_lanes *lanes = emulated_collective(EMULATED_SHUFFLE_UP, mask, emulated_bits(value));
    return from < (lane & ~(width - 1)) ? value : emulated_value<T>(lanes, from);
}
template <typename T>
EMULATED_INLINE T __shfl_down_sync(uint32_t mask, T value, unsigned apart, int width = 32) {
    const int lane = emulated_lane(), from = lane + (int)apart;
    const emulated_lanes *lanes = emulated_collective(EMULATED_SHUFFLE_DOWN, mask, emulated_bits(value));
    return from > (lane | (width - 1)) ? value : emulated_value<T>(lanes, from);
}
template <typename T> EMULATED_INLINE T __shfl_xor_sync(uint32_t mask, T value, int flip, int width = 32) {
    const int lane = emulated_lane(), from = lane ^ flip;
    const emulated_lanes *lanes = emulated_collective(EMULATED_SHUFFLE_XOR, mask, emulated_bits(value));
    return from > (lane | (width - 1)) ? value : emulated_value<T>(lanes, from);
}

EMULATED_INLINE unsigned __ballot_sync(uint32_t mask, int predicate) {
    return emulated_ballot(EMULATED_BALLOT, mask, predicate);
}
EMULATED_INLINE int __any_sync(uint32_t mask, int predicate) {
    return emulated_ballot(EMULATED_ANY, mask, predicate) != 0;
}
EMULATED_INLINE int __all_sync(uint32_t mask, int predicate) {
    return emulated_ballot(EMULATED_ALL, mask, !predicate) == 0;
}

/* ---- atomics: integers only, as kernels/README.md demands ---- */

#define EMULATED_ATOMIC(name, type, expression)                                                              \
    EMULATED_INLINE type name(type *address, type value) {                                                   \
        const type old = __atomic_load_n(address, __ATOMIC_RELAXED);                                         \
        __atomic_store_n(address, (type)(expression), __ATOMIC_RELAXED);                                     \
        return old;                                                                                          \
    }
#define EMULATED_ATOMICS(type)                                                                               \
    EMULATED_ATOMIC(atomicAdd, type, old + value)                                                            \
    EMULATED_ATOMIC(atomicMax, type, old > value ? old : value)                                              \
    EMULATED_ATOMIC(atomicMin, type, old < value ? old : value)                                              \
    EMULATED_ATOMIC(atomicOr, type, old | value)                                                             \
    EMULATED_ATOMIC(atomicAnd, type, old &value)                                                             \
    EMULATED_ATOMIC(atomicXor, type, old ^ value)                                                            \
    EMULATED_ATOMIC(atomicExch, type, value)                                                                 \
    EMULATED_INLINE type atomicCAS(type *address, type expected, type value) {                               \
        const type old = __atomic_load_n(address, __ATOMIC_RELAXED);                                         \
        if (old == expected)                                                                                 \
            __atomic_store_n(address, value, __ATOMIC_RELAXED);                                              \
        return old;                                                                                          \
    }
EMULATED_ATOMICS(int)
EMULATED_ATOMICS(unsigned)
EMULATED_ATOMICS(unsigned long long)
#undef EMULATED_ATOMICS
#undef EMULATED_ATOMIC

/* ---- small functions ---- */

template <typename T> EMULATED_INLINE T __ldg(const T *address) {
    return *address;
}
template <typename To, typename From> EMULATED_INLINE To emulated_cast(From from) {
    static_assert(sizeof(To) == sizeof(From), "a bit cast");
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}
EMULATED_INLINE int __float_as_int(float x) {
    return emulated_cast<int>(x);
}
EMULATED_INLINE unsigned __float_as_uint(float x) {
    return emulated_cast<unsigned>(x);
}
EMULATED_INLINE float __int_as_float(int x) {
    return emulated_cast<float>(x);
}
EMULATED_INLINE float __uint_as_float(unsigned x) {
    return emulated_cast<float>(x);
}
EMULATED_INLINE long long __double_as_longlong(double x) {
    return emulated_cast<long long>(x);
}
EMULATED_INLINE double __longlong_as_double(long long x) {
    return emulated_cast<double>(x);
}
EMULATED_INLINE int __popc(unsigned x) {
    return __builtin_popcount(x);
}
EMULATED_INLINE int __popcll(unsigned long long x) {
    return __builtin_popcountll(x);
}
EMULATED_INLINE int __ffs(int x) {
    return __builtin_ffs(x);
}
EMULATED_INLINE int __ffsll(long long x) {
    return __builtin_ffsll(x);
}
EMULATED_INLINE int __clz(int x) {
    return x ? __builtin_clz((unsigned)x) : 32;
}
EMULATED_INLINE int __clzll(long long x) {
    return x ? __builtin_clzll((unsigned long long)x) : 64;
}
EMULATED_INLINE unsigned __umulhi(unsigned a, unsigned b) {
    return (unsigned)((unsigned long long)a * b >> 32);
}
EMULATED_INLINE unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}
EMULATED_INLINE float rsqrtf(float x) {
    return 1 / sqrtf(x);
}
EMULATED_INLINE double rsqrt(double x) {
    return 1 / sqrt(x);
}
EMULATED_INLINE float __fdividef(float a, float b) {
    return a / b;
}
#define __expf(x) expf(x) /* glibc has functions of these names, for itself */
#define __logf(x) logf(x)
/* Rounded to nearest and never contracted, as -ffp-contract=off has it everywhere here. */
EMULATED_INLINE float __fadd_rn(float a, float b) {
    return a + b;
}
EMULATED_INLINE float __fmul_rn(float a, float b) {
    return a * b;
}
EMULATED_INLINE double __dadd_rn(double a, double b) {
    return a + b;
}
EMULATED_INLINE double __dmul_rn(double a, double b) {
    return a * b;
}

/* The overloads of CUDA: of two numbers of one type; others are ambiguous there or convert. */
#define EMULATED_EXTREMES(type)                                                                              \
    EMULATED_INLINE type min(type a, type b) {                                                               \
        return b < a ? b : a;                                                                                \
    }                                                                                                        \
    EMULATED_INLINE type max(type a, type b) {                                                               \
        return a < b ? b : a;                                                                                \
    }
EMULATED_EXTREMES(int)
EMULATED_EXTREMES(unsigned)
EMULATED_EXTREMES(long)
EMULATED_EXTREMES(unsigned long)
EMULATED_EXTREMES(long long)
EMULATED_EXTREMES(unsigned long long)
#undef EMULATED_EXTREMES
EMULATED_INLINE float min(float a, float b) {
    return fminf(a, b);
}
EMULATED_INLINE float max(float a, float b) {
    return fmaxf(a, b);
}
EMULATED_INLINE double min(double a, double b) {
    return fmin(a, b);
}
EMULATED_INLINE double max(double a, double b) {
    return fmax(a, b);
}

/* ---- scratch memory: the host's part, in the order of the stream ---- */

/* From here on nobody has written these bytes. */
EMULATED_HIDDEN void emulated_scratch(cudaStream_t stream, void *memory, size_t bytes);
/* Of them, the next op uses `bytes` from `part` on, up to the next part: what is between may not be touched. */
EMULATED_HIDDEN void emulated_part(void *part, size_t bytes);

/* ---- launches ---- */

/* A kernel with its arguments; call() is one thread. */
struct emulated_kernel {
    virtual void call() const = 0;
    virtual ~emulated_kernel() = default;
    size_t bytes; /* of the object: device code reads its arguments there */
};
template <typename... P> struct emulated_arguments final : emulated_kernel {
    void (*const function)(P...);
    const std::tuple<P...> arguments;
    emulated_arguments(void (*f)(P...), P... a) : function(f), arguments(a...) {
        bytes = sizeof *this;
    }
    void call() const override {
        std::apply(function, arguments);
    }
};
EMULATED_HIDDEN cudaError_t emulated_enqueue(const char *name, std::unique_ptr<emulated_kernel> kernel,
                                             const void *function, dim3 grid, dim3 block, size_t shared,
                                             cudaStream_t stream);

template <typename... P, typename... A>
EMULATED_INLINE cudaError_t emulated_launch(const char *name, void (*kernel)(P...), dim3 grid, dim3 block,
                                            size_t shared, cudaStream_t stream, A... arguments) {
    return emulated_enqueue(name, std::make_unique<emulated_arguments<P...>>(kernel, arguments...),
                            (const void *)kernel, grid, block, shared, stream);
}

#endif
