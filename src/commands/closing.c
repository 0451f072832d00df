#include "commands/closing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/provenance.h"
#include "base/text.h"

static struct json *json(struct session *s) {
    return &s->closing;
}

void closing_begin(struct session *s, const char *command) {
    if (!s->json || comm_rank(s->comm) > 0)
        return;
    json_start(json(s));
    json_string(json(s), "command", command);
    json_string(json(s), "version", provenance_version());
    json_string(json(s), "revision", provenance_revision());
    json_string(json(s), "input", s->file);
    json_string(json(s), "output", s->config.output.directory);
    json_string(json(s), "device", s->device);
    json_number(json(s), "ranks", comm_size(s->comm));
    json_list(json(s), "stages");
}

void closing_print(struct session *s, enum status status, const char *meaning) {
    struct json *j = json(s);
    const bool failed = status != STATUS_OK && status != STATUS_STOPPED;
    if (!j->stream)
        return;
    json_end(j);
    json_object(j, "exit");
    json_number(j, "code", status);
    json_string(j, "meaning", meaning);
    json_string(j, "message", failed ? status_message() : NULL);
    char *text = json_finish(j);
    if (text)
        fputs(text, stdout);
    else
        log_warning("out of memory for what --json prints");
    free(text);
}

/* Those of a stage that are there. Rank 0 looks. */
static void list_files(struct session *s, const char *stage) {
    static const char *const name[][2] = {{"simulate", "trajectory.h5"}, {"simulate", "restart.h5"},
                                          {"train", "model.h5"},         {"evaluate", "evaluation.h5"},
                                          {"evaluate", "fields.xdmf"},   {"evaluate", "fields.xmf"}};
    json_list(json(s), "files");
    for (size_t m = 0; m < sizeof name / sizeof *name; m++) {
        char path[SESSION_PATH];
        session_path(s, name[m][1], path);
        if (strcmp(name[m][0], stage) == 0 && access(path, F_OK) == 0)
            json_string(json(s), NULL, path);
    }
    json_end(json(s));
}

enum status closing_stage(struct session *s, const char *name, enum status (*run)(struct session *s)) {
    const double begun = timer_now();
    s->stage_done = false;
    json_object(json(s), NULL);
    json_string(json(s), "stage", name);
    const enum status status = run(s);
    if (!json(s)->stream)
        return status;
    json_string(json(s), "state",
                status == STATUS_STOPPED ? "stopped"
                : status != STATUS_OK    ? "failed"
                : s->dry_run             ? "planned"
                : s->stage_done          ? "complete"
                                         : "was complete");
    json_number(json(s), "seconds", timer_now() - begun);
    list_files(s, name);
    json_end(json(s));
    return status;
}

/* A row of the table, and an object with the same. */
static void timings_row(struct session *s, const char *name, double least, double mean, double most,
                        double total) {
    log_info("%-26s %10.3f %10.3f %10.3f %6.1f %%", name, least, mean, most, 100 * mean / total);
    json_object(json(s), NULL);
    json_string(json(s), "section", name);
    json_number(json(s), "min", least);
    json_number(json(s), "mean", mean);
    json_number(json(s), "max", most);
    json_end(json(s));
}

void closing_timings(struct session *s, const struct timings *t, double total) {
    double least[TIMER_SECTIONS], mean[TIMER_SECTIONS], most[TIMER_SECTIONS], rest = total;
    memcpy(least, t->seconds, sizeof least);
    memcpy(mean, t->seconds, sizeof mean);
    memcpy(most, t->seconds, sizeof most);
    comm_min(s->comm, least, t->count);
    comm_sum(s->comm, mean, (size_t)t->count);
    comm_max(s->comm, most, t->count);
    s->stage_done = true;
    json_list(json(s), "sections");
    log_info("%-26s %10s %10s %10s %8s", "section (seconds)", "min", "mean", "max", "share");
    for (int m = 0; m < t->count; m++) {
        mean[m] /= comm_size(s->comm);
        rest -= mean[m];
        timings_row(s, t->name[m], least[m], mean[m], most[m], total);
    }
    json_end(json(s));
    json_number(json(s), "sections_seconds", total);
    log_info("%-26s %10s %10.3f %10s %6.1f %%", "other", "", rest, "", 100 * rest / total);
    log_info("%-26s %10s %10.3f", "total", "", total);
}

void closing_rate(struct session *s, const char *what, double done, double seconds) {
    char name[64];
    log_info("%s/s%*s %10s %10.4g   of %.6g in all", what, (int)(24 - strlen(what)), "", "", done / seconds,
             done);
    snprintf(name, sizeof name, "%s", what);
    for (char *c = name; *c; c++)
        *c = *c == ' ' || *c == '-' ? '_' : *c;
    json_number(json(s), name, done);
    strcat(name, "_per_second");
    json_number(json(s), name, done / seconds);
}

void closing_memory(struct session *s, double particles) {
    static const char *const name[] = {"min", "mean", "max", "sum"};
    const double peak = memory_peak();
    double least = peak, most = peak, all = peak;
    char text[4][32];
    comm_min(s->comm, &least, 1);
    comm_max(s->comm, &most, 1);
    comm_sum(s->comm, &all, 1);
    const double bytes[] = {least, all / comm_size(s->comm), most, all};
    json_object(json(s), "memory_peak_bytes");
    for (int m = 0; m < 4; m++) {
        text_bytes(bytes[m], text[m], sizeof text[m]);
        json_number(json(s), name[m], bytes[m]);
    }
    json_end(json(s));
    log_info("%-26s %10s %10s %10s   %s in all, %.0f B a particle", "memory at most, per rank", text[0],
             text[1], text[2], text[3], all / particles);
}

void closing_results(struct session *s) {
    json_object(json(s), "results");
}

void closing_number(struct session *s, const char *name, double value) {
    json_number(json(s), name, value);
}

void closing_estimate(struct session *s, const char *name, double value, double error) {
    char of_error[64];
    snprintf(of_error, sizeof of_error, "%s_error", name);
    json_number(json(s), name, value);
    json_number(json(s), of_error, error);
}

void closing_results_end(struct session *s) {
    json_end(json(s));
}
