/* disk: calls on a watched file go on where the kernel stops, and failures are told by disk_error alone. The kernel's
 * limit on the size of files makes writes short, and then fail. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#include "io/disk.h"

enum { LIMIT = 4096 };

static void limit_size(rlim_t bytes) {
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static int make_file(char path[32]) {
    snprintf(path, 32, "/tmp/epflow-disk-XXXXXX");
    const int file = mkstemp(path);
    assert_true(file >= 0);
    return file;
}

static void test_watched(void **state) {
    (void)state;
    char path[32], block[2 * LIMIT], back[LIMIT];
    const int file = make_file(path), slot = disk_watch(dup(file));
    memset(block, 'x', sizeof block);
    limit_size(LIMIT);
    assert_int_equal(pwrite(file, block, LIMIT, 0), LIMIT);
    assert_int_equal(disk_error(), 0);
    assert_int_equal(pwrite(file, block, sizeof block, 0), sizeof block); /* a part of it */
    assert_int_equal(disk_error(), EFBIG);
    assert_int_equal(disk_error(), 0);
    const struct iovec pieces[2] = {{block, LIMIT / 2}, {block, LIMIT}};
    assert_int_equal(pwritev(file, pieces, 2, 0), LIMIT + LIMIT / 2);
    assert_int_equal(disk_error(), EFBIG);
    assert_int_equal(ftruncate(file, 2 * LIMIT), 0);
    assert_int_equal(disk_error(), EFBIG);
    limit_size(RLIM_INFINITY);
    assert_int_equal(pread(file, back, LIMIT, 0), LIMIT); /* what was written is there */
    assert_memory_equal(back, block, LIMIT);
    assert_int_equal(fsync(file), 0);
    assert_true(disk_sync(slot));
    assert_int_equal(disk_error(), 0);
    disk_forget(slot);
    close(file);
    unlink(path);
}

static void test_not_watched(void **state) {
    (void)state;
    char path[32], block[2 * LIMIT] = {0};
    const int file = make_file(path), slot = disk_watch(dup(file));
    disk_forget(slot);
    limit_size(LIMIT);
    assert_int_equal(pwrite(file, block, sizeof block, 0), LIMIT);
    assert_int_equal(pwrite(file, block, 1, LIMIT), -1);
    assert_int_equal(errno, EFBIG);
    assert_int_equal(ftruncate(file, 2 * LIMIT), -1);
    limit_size(RLIM_INFINITY);
    assert_int_equal(disk_error(), 0);
    assert_int_equal(pwrite(-1, block, 1, 0), -1);
    assert_int_equal(fsync(-1), -1);
    assert_int_equal(open("/nowhere/at/all", O_RDWR), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(disk_error(), 0);
    close(file);
    unlink(path);
}

/* A file that can no longer be opened (for want of a right to write it: as root there is none, so by a limit on files). */
static void test_opened_again(void **state) {
    (void)state;
    char path[32];
    struct rlimit before, few;
    const int file = make_file(path), slot = disk_watch(dup(file));
    getrlimit(RLIMIT_NOFILE, &before);
    assert_int_equal(open("/tmp", O_WRONLY), -1); /* of a folder: nobody's */
    assert_int_equal(disk_error(), 0);
    few = before;
    few.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    assert_int_equal(open(path, O_RDWR),
                     -1); /* nor is there a descriptor for it twice, but that it failed is known */
    assert_int_equal(disk_error(), EMFILE);
    setrlimit(RLIMIT_NOFILE, &before);
    const int again = open(path, O_RDWR);
    assert_true(again >= 0);
    assert_int_equal(disk_error(), 0);
    disk_forget(slot);
    close(again);
    close(file);
    unlink(path);
}

static void test_is(void **state) {
    (void)state;
    char path[32], other[40];
    const int file = make_file(path), slot = disk_watch(dup(file));
    snprintf(other, sizeof other, "%s.other", path);
    assert_true(disk_is(slot, path));
    assert_int_equal(rename(path, other), 0);
    assert_false(disk_is(slot, path));
    assert_true(disk_is(slot, other));
    unlink(other);
    assert_false(disk_is(slot, other));
    disk_forget(slot);
    close(file);
}

int main(void) {
    signal(SIGXFSZ, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_watched),
        cmocka_unit_test(test_not_watched),
        cmocka_unit_test(test_opened_again),
        cmocka_unit_test(test_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
