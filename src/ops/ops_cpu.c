/* The CPU table: every entry of ops.h, filled by field name. */
#include "ops/ops_cpu.h"
#include "ops/simd.h"

#include <cblas.h>

static const struct ops table = {
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
    .gather_neighbours = cpu_gather_neighbours,
    .narrow = cpu_narrow,
    .cells_sort = cpu_cells_sort,
    .pair_list = cpu_pair_list,
    .nearest = cpu_nearest,
    .pair_force = cpu_pair_force,
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
    .window_offsets = cpu_window_offsets,
    .propulsion_rows = cpu_propulsion_rows,
    .gather_rows = cpu_gather_rows,
    .scatter_rows = cpu_scatter_rows,
    .linear = cpu_linear,
    .linear_parts = cpu_linear_parts,
    .linear_onto = cpu_linear_onto,
    .linear_backward = cpu_linear_backward,
    .column_sums = cpu_column_sums,
    .gelu = cpu_gelu,
    .gelu_tangent = cpu_gelu_tangent,
    .gelu_backward = cpu_gelu_backward,
    .linear_gelu = cpu_linear_gelu,
    .gelu_linear_backward = cpu_gelu_linear_backward,
    .gelu_tangents = cpu_gelu_tangents,
    .norm = cpu_norm,
    .norm_tangent = cpu_norm_tangent,
    .norm_backward = cpu_norm_backward,
    .trace = cpu_trace,
    .attention = cpu_attention,
    .attention_tangents = cpu_attention_tangents,
    .attention_backward = cpu_attention_backward,
    .gelu_tangent_backward = cpu_gelu_tangent_backward,
    .norm_tangent_kept = cpu_norm_tangent_kept,
    .norm_tangent_backward = cpu_norm_tangent_backward,
    .attention_tangent_backward = cpu_attention_tangent_backward,
    .window_inputs = cpu_window_inputs,
    .window_inputs_tangent = cpu_window_inputs_tangent,
    .add_column = cpu_add_column,
    .spread_rows = cpu_spread_rows,
    .probe = cpu_probe,
    .probe_backward = cpu_probe_backward,
    .attention_tangent_query = cpu_attention_tangent_query,
    .attention_tangent_key = cpu_attention_tangent_key,
    .turn_back = cpu_turn_back,
    .carry_on = cpu_carry_on,
    .head_weights = cpu_head_weights,
    .pool = cpu_pool,
    .pool_tangent = cpu_pool_tangent,
    .pool_backward = cpu_pool_backward,
    .edge_list = cpu_edge_list,
    .edge_terms = cpu_edge_terms,
    .velocity_rows = cpu_velocity_rows,
    .response_sources = cpu_response_sources,
    .response_sources_tangent = cpu_response_sources_tangent,
    .contact_vectors = cpu_contact_vectors,
    .contact_stiffness = cpu_contact_stiffness,
    .contact_stiffness_tangent = cpu_contact_stiffness_tangent,
    .contact_step = cpu_contact_step,
    .contact_step_tangent = cpu_contact_step_tangent,
    .response_state = cpu_response_state,
    .response_state_tangent = cpu_response_state_tangent,
    .edge_features = cpu_edge_features,
    .edge_features_tangent = cpu_edge_features_tangent,
    .edge_features_backward = cpu_edge_features_backward,
    .silu = cpu_silu,
    .silu_slope = cpu_silu_slope,
    .edge_hidden = cpu_edge_hidden,
    .edge_hidden_tangent = cpu_edge_hidden_tangent,
    .edge_hidden_backward = cpu_edge_hidden_backward,
    .edge_messages = cpu_edge_messages,
    .edge_messages_tangent = cpu_edge_messages_tangent,
    .edge_messages_backward = cpu_edge_messages_backward,
    .vector_features = cpu_vector_features,
    .vector_features_tangent = cpu_vector_features_tangent,
    .vector_features_backward = cpu_vector_features_backward,
    .turn_vectors = cpu_turn_vectors,
    .turn_vectors_tangent = cpu_turn_vectors_tangent,
    .turn_vectors_backward = cpu_turn_vectors_backward,
    .whiten = cpu_whiten,
    .response_score = cpu_response_score,
    .response_score_tangent = cpu_response_score_tangent,
    .response_score_backward = cpu_response_score_backward,
    .spread = cpu_spread,
    .denoising = cpu_denoising,
    .sum_squares = cpu_sum_squares,
    .radam = cpu_radam,
};

static const struct simd_kernels *kernels = &simd_avx2;

const struct simd_kernels *simd_kernels(void) {
    return kernels;
}

const char *ops_cpu_choose(enum simd_choice choice) {
    const bool has_avx512 = __builtin_cpu_supports("x86-64-v4");
    if (choice == SIMD_AUTO)
        choice = has_avx512 ? SIMD_AVX512 : SIMD_AVX2;
    if (choice == SIMD_AVX512 && !has_avx512)
        return NULL;
    kernels = choice == SIMD_PLAIN ? NULL : choice == SIMD_AVX2 ? &simd_avx2 : &simd_avx512;
    return choice == SIMD_PLAIN ? "plain loops" : choice == SIMD_AVX2 ? "AVX2" : "AVX-512";
}

const struct ops *ops_cpu(void) {
    openblas_set_num_threads(1); /* a rank is a core; the environment is read too early to say so there */
    return &table;
}
