/* The CPU table: the entries of particles, by field name; those of networks are filled in by their files. */
#include "ops/network_loops.h"
#include "ops/ops_cpu.h"
#include "ops/simd.h"

#include <cblas.h>

static struct ops table = {
    .name = "cpu",
    .chunk = 1040,
    .allocate = cpu_allocate,
    .release = cpu_release,
    .to_device = cpu_copy,
    .to_host = cpu_copy,
    .copy = cpu_copy,
    .zero = cpu_zero,
    .synchronise = cpu_synchronise,
    .gather8 = cpu_gather8,
    .gather4 = cpu_gather4,
    .fetch = cpu_fetch,
    .store = cpu_store,
    .extents = cpu_extents,
    .id_range = cpu_id_range,
    .outside = cpu_outside,
    .order_in_space = cpu_order_in_space,
    .gather_neighbours = cpu_gather_neighbours,
    .narrow = cpu_narrow,
    .cells_sort = cpu_cells_sort,
    .pair_list = cpu_pair_list,
    .nearest = cpu_nearest,
    .pair_force = cpu_pair_force,
    .align = cpu_align,
    .close_align = cpu_close_align,
    .turn = cpu_turn,
    .close_pairs = cpu_close_pairs,
    .close_force = cpu_close_force,
    .pair_terms = cpu_pair_terms,
    .drift = cpu_drift,
    .pair_quadratic = cpu_pair_quadratic,
    .stiffness_squared = cpu_stiffness_squared,
    .pair_count = cpu_pair_count,
    .step = cpu_step,
    .kick = cpu_kick,
    .move = cpu_move,
    .normal = cpu_normal,
    .rademacher = cpu_rademacher,
    .shift_positions = cpu_shift_positions,
    .shift_propulsion = cpu_shift_propulsion,
    .edge_list = cpu_edge_list,
    .spread = cpu_spread,
};

static const struct simd_kernels *kernels = &simd_avx2;

const struct simd_kernels *simd_kernels(void) {
    return kernels;
}

#define FILL_AVX2(part) avx2_##part(&table);
#define FILL_AVX512(part) avx512_##part(&table);

static void fill_networks(bool avx512) {
    if (avx512) {
        EACH_NETWORK_PART(FILL_AVX512)
    } else {
        EACH_NETWORK_PART(FILL_AVX2)
    }
}

const char *ops_cpu_choose(enum simd_choice choice) {
    const bool has_avx512 =
        __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"); /* x86-64-v4; not every compiler knows the name */
    if (choice == SIMD_AUTO)
        choice = has_avx512 ? SIMD_AVX512 : SIMD_AVX2;
    if (choice == SIMD_AVX512 && !has_avx512)
        return NULL;
    kernels = choice == SIMD_PLAIN ? NULL : choice == SIMD_AVX2 ? &simd_avx2 : &simd_avx512;
    fill_networks(choice == SIMD_AVX512);
    return choice == SIMD_PLAIN ? "plain loops" : choice == SIMD_AVX2 ? "AVX2" : "AVX-512";
}

const struct ops *ops_cpu(void) {
    openblas_set_num_threads(1); /* a rank is a core; the environment is read too early to say so there */
    if (!table.linear)
        fill_networks(false);
    return &table;
}
