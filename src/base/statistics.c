#include "base/statistics.h"

#include <math.h>

/* The jackknife with blocks of `size` frames; blocks that add to neither sum do not count. */
static double jackknife(int n, int size, const double *above, const double *below) {
    double total_above = 0, total_below = 0, spread = 0;
    int used = 0;
    for (int t = 0; t < n / size * size; t++) {
        total_above += above[t];
        total_below += below[t];
    }
    for (int b = 0; b < n / size; b++) {
        double block_above = 0, block_below = 0;
        for (int t = b * size; t < (b + 1) * size; t++) {
            block_above += above[t];
            block_below += below[t];
        }
        if (block_above == 0 && block_below == 0)
            continue;
        double without =
            (total_above - block_above) / (total_below - block_below) - total_above / total_below;
        spread += without * without;
        used++;
    }
    return used > 1 ? sqrt(spread * (used - 1) / used) : NAN;
}

double jackknife_error(int n, const double *above, const double *below) {
    return jackknife(n, 1, above, below);
}

double ratio_error(int n, const double *above, const double *below) {
    double largest = NAN;
    for (int size = 1; n / size >= (size == 1 ? 2 : 4); size *= 2)
        largest = fmax(largest, jackknife(n, size, above, below)); /* fmax passes over NaN */
    return largest;
}

double loss_watch_line(const struct loss_watch *w, double limit) {
    return w->best + limit * fmax(fabs(w->best), w->spread);
}

bool loss_watch_add(struct loss_watch *w, double limit, double loss) {
    enum { MEMORY = 100, FEW = 10, IN_A_ROW = 100 };
    const bool known = w->steps >= FEW;
    w->above = known && limit > 0 && loss > loss_watch_line(w, limit) ? w->above + 1 : 0;
    w->steps++;
    const double share = w->steps < MEMORY ? 1 / (double)w->steps : 1.0 / MEMORY, away = loss - w->mean;
    w->mean += share * away;
    w->variance = (1 - share) * (w->variance + share * away * away);
    if (w->steps >= FEW && (!known || w->mean < w->best)) {
        w->best = w->mean;
        w->spread = sqrt(w->variance);
    }
    return w->above >= IN_A_ROW;
}
