#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { WORD = 128 };

int text_distance(const char *a, const char *b) {
    int row[WORD + 1];
    int m = (int)strnlen(a, WORD), n = (int)strnlen(b, WORD);
    for (int j = 0; j <= n; j++)
        row[j] = j;
    for (int i = 1; i <= m; i++) {
        int corner = row[0];
        row[0] = i;
        for (int j = 1; j <= n; j++) {
            int replaced = corner + (a[i - 1] != b[j - 1]);
            int inserted = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            corner = row[j];
            row[j] = replaced < inserted ? replaced : inserted;
        }
    }
    return row[n];
}

const char *text_nearest(const char *word, int count, const char *const words[]) {
    const char *best = NULL;
    int least = (int)strlen(word) / 3 + 2;
    for (int i = 0; i < count; i++) {
        int distance = text_distance(word, words[i]);
        if (distance < least) {
            least = distance;
            best = words[i];
        }
    }
    return best;
}

void text_duration(double seconds, char *out, size_t size) {
    double whole = round(seconds);
    if (seconds < 59.95)
        snprintf(out, size, "%.1f s", seconds);
    else if (whole < 3600)
        snprintf(out, size, "%.0f min %02.0f s", floor(whole / 60), fmod(whole, 60));
    else
        snprintf(out, size, "%.0f h %02.0f min", floor(whole / 3600), floor(fmod(whole, 3600) / 60));
}

void text_bytes(double bytes, char *out, size_t size) {
    static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    int u = 0;
    for (; bytes >= (u == 0 ? 1024 : 1023.95) && u < 5; u++) /* 1023.95 would be written 1024.0 */
        bytes /= 1024;
    snprintf(out, size, u == 0 ? "%.0f %s" : "%.1f %s", bytes, unit[u]);
}

void text_plain(char *text, bool lines) {
    for (char *at = text; *at; at++)
        if (((unsigned char)*at < 0x20 && !(lines && *at == '\n')) || *at == 0x7f)
            *at = '?';
}
