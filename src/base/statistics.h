/* Errors of means of correlated series, and whether a series of losses still goes down. */
#ifndef EPFLOW_BASE_STATISTICS_H
#define EPFLOW_BASE_STATISTICS_H

#include <stdbool.h>
#include <stdint.h>

/* Standard error of sum(above) / sum(below) over n successive frames, by the jackknife over blocks of 1, 2, 4, ...
 * frames, at least 4 blocks: the largest, so that correlations in time count as far as the series is long enough
 * to show them. NaN where fewer than two frames have below > 0. */
double ratio_error(int n, const double *above, const double *below);

/* The same of n independent pairs, in any order: blocks of 1. */
double jackknife_error(int n, const double *above, const double *below);

/* Losses of successive steps. Zero-initialised before the first. */
struct loss_watch {
    int64_t steps, above;  /* in all; the last ones in a row that were above the limit */
    double mean, variance; /* over about the last 100 steps */
    double best, spread;   /* the lowest such mean, and the standard deviation of single losses then */
};
/* Takes the loss of the next step. Whether the training has diverged: each of the last 100 losses was above the line. A
 * good training has half of its losses below their mean, whatever single ones are, so a line half of that above the best
 * mean is crossed by no 100 in a row unless it has lost what it had learnt. limit 0: never. */
bool loss_watch_add(struct loss_watch *watch, double limit, double loss);
/* best + limit max(|best|, spread). */
double loss_watch_line(const struct loss_watch *watch, double limit);

#endif
