/* Rows of layer norm, each held in the registers of a team of threads: EACH numbers a thread, TEAM threads, a warp (four
 * teams a block) or, for wide rows, a block. EP_LAUNCH_ROWS chooses.
 */
#ifndef EPFLOW_KERNELS_NORMAL_ROWS_H
#define EPFLOW_KERNELS_NORMAL_ROWS_H

#include "kernels/device.h"
#include "kernels/sums.h"

enum { WARPS_A_BLOCK = 4, WIDE_TEAM = 512, FEW_TEAMS = 4096, FEW_WIDE_TEAMS = 512, WARP_COLUMNS = 256 };

/* Launches kernel<EACH, TEAM> (arguments) with a team for each of `teams`; rows of up to 4096 columns. */
#define EP_LAUNCH_ROWS(device, kernel, teams, columns, ...)                                                  \
    do {                                                                                                     \
        const dim3 warps = ep_blocks(teams, WARPS_A_BLOCK), blocks = ep_blocks(teams, 1);                    \
        const unsigned threads = WARPS_A_BLOCK * WARP;                                                       \
        if ((columns) <= 64)                                                                                 \
            ep_launch(device, #kernel, kernel<2, WARP>, warps, threads, 0, __VA_ARGS__);                     \
        else if ((columns) <= 128)                                                                           \
            ep_launch(device, #kernel, kernel<4, WARP>, warps, threads, 0, __VA_ARGS__);                     \
        else if ((columns) <= WARP_COLUMNS)                                                                  \
            ep_launch(device, #kernel, kernel<8, WARP>, warps, threads, 0, __VA_ARGS__);                     \
        else                                                                                                 \
            ep_launch(device, #kernel, kernel<8, WIDE_TEAM>, blocks, WIDE_TEAM, 0, __VA_ARGS__);             \
    } while (0)

/* The bounds of such a kernel. */
#define EP_TEAM_BOUNDS(team)                                                                                 \
    __launch_bounds__((team) == WARP ? WARPS_A_BLOCK * WARP : (team), (team) == WARP ? 4 : 1)

/* The row of this thread's team, and whether the thread is the team's first. */
template <int TEAM> static __device__ __forceinline__ size_t team_row() {
    return TEAM == WARP ? (size_t)blockIdx.x * WARPS_A_BLOCK + threadIdx.x / WARP : (size_t)blockIdx.x;
}
template <int TEAM> static __device__ __forceinline__ bool team_first() {
    return threadIdx.x % TEAM == 0;
}
/* Teams of the grid, and how many rows each of them takes, one after the other. */
template <int TEAM> static __device__ __forceinline__ size_t team_count() {
    return TEAM == WARP ? (size_t)gridDim.x * WARPS_A_BLOCK : (size_t)gridDim.x;
}
template <int TEAM> static __device__ __forceinline__ size_t team_turns(size_t rows) {
    return (rows + team_count<TEAM>() - 1) / team_count<TEAM>();
}

/* of(e, c) for each of this thread's numbers e, which is of column c. */
template <int EACH, int TEAM, typename F>
static __device__ __forceinline__ void each_column(int columns, F of) {
    const int lane = (int)threadIdx.x % TEAM;
#pragma unroll
    for (int e = 0; e < EACH; e++)
        if (lane + e * TEAM < columns)
            of(e, lane + e * TEAM);
}

template <int EACH> static __device__ __forceinline__ void clear(real *x) {
#pragma unroll
    for (int e = 0; e < EACH; e++)
        x[e] = 0;
}

/* room: a warp's worth of shared memory, for wide teams. */
template <int TEAM> static __device__ __forceinline__ real team_sum(real value, real *room) {
    if (TEAM == WARP)
        return warp_sum(value);
    return block_sum(value, room);
}

/* out = inverse (t - mean t - n mean(n t)): the Jacobian of (u - mean)/root, which is symmetric. t and n are 0 where
 * there is no column. */
template <int EACH, int TEAM>
static __device__ __forceinline__ void normalise_tangent(int columns, const real *t, const real *n,
                                                         real inverse, real *room, real *out) {
    real sum = 0, along = 0;
#pragma unroll
    for (int e = 0; e < EACH; e++) {
        sum += t[e];
        along += t[e] * n[e];
    }
    const real mean = team_sum<TEAM>(sum, room) / (real)columns;
    const real projection = team_sum<TEAM>(along, room) / (real)columns;
#pragma unroll
    for (int e = 0; e < EACH; e++)
        out[e] = inverse * (t[e] - mean - n[e] * projection);
}

/* ---- sums over rows: every team adds up those of its rows, and the teams' sums are added in their order ---- */

/* How many teams take the rows where each of them has some; all teams of the grid that this makes. */
static inline size_t few_teams(size_t rows, int columns) {
    const bool warps = columns <= WARP_COLUMNS;
    const size_t most = warps ? FEW_TEAMS : FEW_WIDE_TEAMS, group = warps ? WARPS_A_BLOCK : 1;
    const size_t teams = rows < most ? rows : most;
    return (teams + group - 1) / group * group;
}

/* sums (teams, 2, columns) */
template <int EACH, int TEAM>
static __device__ __forceinline__ void store_sums(int columns, const real *first, const real *second,
                                                  real *sums) {
    real *to = sums + team_row<TEAM>() * 2 * (size_t)columns;
    each_column<EACH, TEAM>(columns, [&](int e, int c) {
        to[c] = first[e];
        to[columns + c] = second[e];
    });
}

/* sums (teams, 2, columns), and behind it what adding them needs. */
static inline real *sums_scratch(struct device *d, size_t teams, int columns) {
    return (real *)device_scratch(d, (2 * teams + device_sum_parts(teams)) * (size_t)columns * sizeof(real));
}

static inline void add_sums(struct device *d, size_t teams, int columns, real *sums, real *first,
                            real *second) {
    const size_t wide = 2 * (size_t)columns;
    real *parts = sums ? sums + teams * wide : NULL;
    device_column_sums(d, teams, columns, sums, wide, first, parts);
    device_column_sums(d, teams, columns, sums + columns, wide, second, parts);
}

#endif
