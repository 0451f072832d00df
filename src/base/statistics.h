/* Errors of means of correlated series. */
#ifndef EPFLOW_BASE_STATISTICS_H
#define EPFLOW_BASE_STATISTICS_H

/* Standard error of sum(above) / sum(below) over n successive frames, by the jackknife over blocks of 1, 2, 4, ...
 * frames, at least 4 blocks: the largest, so that correlations in time count as far as the series is long enough
 * to show them. NaN where fewer than two frames have below > 0. */
double ratio_error(int n, const double *above, const double *below);

/* The same of n independent pairs, in any order: blocks of 1. */
double jackknife_error(int n, const double *above, const double *below);

#endif
