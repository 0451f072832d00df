#include "base/provenance.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "revision.h"

static char command_line[2048];
static char start_time[32];

void provenance_now(char out[32]) {
    time_t now = time(NULL);
    struct tm utc;
    strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
}

const char *provenance_version(void) {
    return EPFLOW_VERSION;
}

const char *provenance_revision(void) {
    return EPFLOW_REVISION;
}

void provenance_command_line(int argc, char **argv) {
    size_t used = 0;
    for (int i = 0; i < argc && used < sizeof command_line; i++)
        used += (size_t)snprintf(command_line + used, sizeof command_line - used, "%s%s", i > 0 ? " " : "",
                                 argv[i]);
    provenance_now(start_time);
}

enum status provenance_visit(provenance_visitor *visit, void *context) {
    enum status status = STATUS_OK;
    char host[256] = "unknown";
    gethostname(host, sizeof host - 1);
    const char *const item[][2] = {{"version", EPFLOW_VERSION},     {"revision", EPFLOW_REVISION},
                                   {"compiler", EPFLOW_COMPILER},   {"flags", EPFLOW_FLAGS},
                                   {"libraries", EPFLOW_LIBRARIES}, {"host", host},
                                   {"command_line", command_line},  {"start_time", start_time}};
    for (size_t i = 0; i < sizeof item / sizeof *item; i++)
        TRY(visit(item[i][0], item[i][1], context));
out:
    return status;
}
