/* restart.h5. Positions are the integers themselves: a float64 position would lose 11 of their bits. */
#include "io/checksum.h"
#include "io/trajectory.h"

static uint64_t own_part(const struct restart *r, int d, const void *rows, size_t size) {
    return checksum_rows(r->begin, r->count, (size_t)d * size, rows);
}

enum status restart_write(struct comm *comm, const char *path, const char *previous, size_t particles, int d,
                          const struct config *config, const char *device, const struct restart *r) {
    enum status status = STATUS_OK;
    struct h5_file *file = NULL;
    const size_t shape[2] = {particles, (size_t)d}, offset[2] = {r->begin, 0},
                 count[2] = {r->count, (size_t)d};
    TRY(file_begin(comm, path, &file));
    TRY(file_describe(file, "restart", config, comm, device));
    TRY(h5_write_integer(file, "/", "step", (int64_t)r->step));
    TRY(h5_write_integer(file, "/", "frames", (int64_t)r->frames));
    TRY(h5_write_real(file, "/", "r_c", config_cutoff(&config->system, &config->simulation)));
    TRY(h5_dataset(file, "/q", H5_UINT64, 2, shape, "L/2^64",
                   "position: x = L q / 2^64, rows in order of id"));
    TRY(h5_dataset(file, "/image", H5_INT32, 2, shape, "L", "boxes crossed: unwrapped = x + L image"));
    TRY(h5_dataset(file, "/g", H5_FLOAT64, 2, shape, "1", "self-propulsion"));
    TRY(h5_write(file, "/q", H5_UINT64, 2, offset, count, r->q));
    TRY(h5_write(file, "/image", H5_INT32, 2, offset, count, r->image));
    TRY(h5_write(file, "/g", H5_FLOAT64, 2, offset, count, r->g));
    TRY(checksum_write(file, comm, "/q", own_part(r, d, r->q, sizeof *r->q)));
    TRY(checksum_write(file, comm, "/image", own_part(r, d, r->image, sizeof *r->image)));
    TRY(checksum_write(file, comm, "/g", own_part(r, d, r->g, sizeof *r->g)));
    TRY(file_finish(comm, &file, path, previous));
out:
    h5_close(&file);
    return status;
}

enum status restart_read(struct comm *comm, const char *path, size_t particles, int d,
                         const struct config *config, struct restart *r) {
    enum status status = STATUS_OK;
    struct h5_file *file = NULL;
    int64_t step = 0, frames = 0;
    const size_t shape[2] = {particles, (size_t)d}, offset[2] = {r->begin, 0},
                 count[2] = {r->count, (size_t)d};
    TRY(file_open(comm, path, "restart", false, &file));
    TRY(file_same_parameters(file, comm, config, RUN_PARAMETERS, HINT_RESUME));
    TRY(h5_read_integer(file, "/", "step", &step));
    TRY(h5_read_integer(file, "/", "frames", &frames));
    TRY(h5_expect(file, "/q", H5_UINT64, 2, shape));
    TRY(h5_expect(file, "/image", H5_INT32, 2, shape));
    TRY(h5_expect(file, "/g", H5_FLOAT64, 2, shape));
    TRY(h5_read(file, "/q", H5_UINT64, 2, offset, count, r->q));
    TRY(h5_read(file, "/image", H5_INT32, 2, offset, count, r->image));
    TRY(h5_read(file, "/g", H5_FLOAT64, 2, offset, count, r->g));
    TRY(checksum_verify(file, comm, "/q", own_part(r, d, r->q, sizeof *r->q)));
    TRY(checksum_verify(file, comm, "/image", own_part(r, d, r->image, sizeof *r->image)));
    TRY(checksum_verify(file, comm, "/g", own_part(r, d, r->g, sizeof *r->g)));
    if (step < 0 || frames < 0)
        status = FAIL(STATUS_STORAGE, "%s: its step is negative: the file is damaged", path);
    r->step = (uint64_t)step;
    r->frames = (uint64_t)frames;
out:
    h5_close(&file);
    return status;
}
