/* The CPU table: every entry of ops.h, filled by field name. */
#include "ops/ops_cpu.h"

#include <cblas.h>

static const struct ops table = {
    .name = "cpu",
    .allocate = cpu_allocate,
    .release = cpu_release,
    .to_device = cpu_copy,
    .to_host = cpu_copy,
    .copy = cpu_copy,
    .zero = cpu_zero,
    .synchronise = cpu_synchronise,
    .gather8 = cpu_gather8,
    .gather_neighbours = cpu_gather_neighbours,
    .narrow = cpu_narrow,
    .cells_sort = cpu_cells_sort,
    .pair_list = cpu_pair_list,
    .nearest = cpu_nearest,
    .pair_force = cpu_pair_force,
    .pair_terms = cpu_pair_terms,
    .drift = cpu_drift,
    .pair_quadratic = cpu_pair_quadratic,
    .pair_count = cpu_pair_count,
    .step = cpu_step,
    .normal = cpu_normal,
    .shift_positions = cpu_shift_positions,
    .shift_propulsion = cpu_shift_propulsion,
    .window_offsets = cpu_window_offsets,
    .propulsion_rows = cpu_propulsion_rows,
    .gather_rows = cpu_gather_rows,
    .scatter_rows = cpu_scatter_rows,
    .linear = cpu_linear,
    .linear_backward = cpu_linear_backward,
    .column_sums = cpu_column_sums,
    .gelu = cpu_gelu,
    .gelu_tangent = cpu_gelu_tangent,
    .gelu_backward = cpu_gelu_backward,
    .gelu_tangents = cpu_gelu_tangents,
    .norm = cpu_norm,
    .norm_tangent = cpu_norm_tangent,
    .norm_backward = cpu_norm_backward,
    .trace = cpu_trace,
    .attention = cpu_attention,
    .attention_tangent = cpu_attention_tangent,
    .attention_backward = cpu_attention_backward,
    .attention_tangent_own = cpu_attention_tangent_own,
    .turn_back = cpu_turn_back,
    .carry_on = cpu_carry_on,
    .head_weights = cpu_head_weights,
    .pool = cpu_pool,
    .pool_tangent = cpu_pool_tangent,
    .pool_backward = cpu_pool_backward,
    .spread_rows = cpu_spread_rows,
    .denoising = cpu_denoising,
    .sum_squares = cpu_sum_squares,
    .radam = cpu_radam,
};

const struct ops *ops_cpu(void) {
    openblas_set_num_threads(1); /* a rank is a core; the environment is read too early to say so there */
    return &table;
}
