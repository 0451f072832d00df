/* log: who speaks, what reaches the file, and progress on a terminal (a pseudo-terminal) and elsewhere.
 * Standard error is turned to where the test can read it. Moments of progress are public, so that the tests
 * move them instead of waiting. */
#include "test.h"

#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <unistd.h>

#include "base/log.h"
#include "base/progress.h"
#include "base/timer.h"

static int saved; /* the standard error of the test program */
static char heard[16384];

static void listen_to(int descriptor) {
    fflush(stderr);
    saved = dup(STDERR_FILENO);
    dup2(descriptor, STDERR_FILENO);
}

static void listen_end(void) {
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
}

static char *contents(FILE *stream) {
    rewind(stream);
    heard[fread(heard, 1, sizeof heard - 1, stream)] = '\0';
    return heard;
}

/* One message of every kind, as `rank`; what standard error got. */
static const char *heard_from(int rank, const char *path) {
    FILE *stream = tmpfile();
    log_start(rank);
    if (path)
        assert_int_equal(log_open(path), STATUS_OK);
    listen_to(fileno(stream));
    log_info("step %d of %s", 3, "run");
    log_warning("skin %.2f", 0.5);
    log_error("no such file", "file.c:12");
    log_error_alone("a consequence", "file.c:14");
    listen_end();
    log_stop();
    log_start(0);
    contents(stream);
    fclose(stream);
    return heard;
}

static void rank_zero_speaks(void **state) {
    (void)state;
    assert_string_equal(heard_from(0, NULL),
                        "step 3 of run\nwarning: skin 0.50\nepflow: error: no such file\n");
    assert_string_equal(heard_from(2, NULL), "epflow: error: rank 2: a consequence\n");
}

/* Time stamps are cut off; an older log is kept; other ranks make no file. */
static void file_keeps_the_story(void **state) {
    (void)state;
    static const char *const lines[] = {"step 3 of run", "warning: skin 0.50", "epflow: error: no such file",
                                        "(recorded at file.c:12)"};
    char path[] = "/tmp/epflow_log_XXXXXX", line[256];
    close(mkstemp(path));
    heard_from(0, path);
    heard_from(0, path);
    FILE *file = fopen(path, "r");
    for (int i = 0; i < 8; i++) {
        int year, month, day, hour, minute, second;
        assert_non_null(fgets(line, sizeof line, file));
        line[strcspn(line, "\n")] = '\0';
        assert_string_equal(line + 21, lines[i % 4]);
        if (i % 4 < 3)
            assert_int_equal(
                sscanf(line, "%4d-%2d-%2d %2d:%2d:%2d", &year, &month, &day, &hour, &minute, &second), 6);
    }
    assert_null(fgets(line, sizeof line, file));
    fclose(file);
    remove(path);
    log_start(1);
    assert_int_equal(log_open(path), STATUS_OK);
    log_info("nobody hears this");
    assert_int_equal(access(path, F_OK), -1);
    heard_from(1, path); /* an error that rank 0 cannot say any more */
    file = fopen(path, "r");
    assert_non_null(fgets(line, sizeof line, file));
    assert_string_equal(line + 21, "epflow: error: rank 1: a consequence\n");
    fclose(file);
    remove(path);
}

static void file_that_cannot_be(void **state) {
    (void)state;
    status_clear();
    assert_int_equal(log_open("/no/such/folder/log.txt"), STATUS_STORAGE);
    assert_non_null(strstr(status_message(), "/no/such/folder/log.txt"));
    status_clear();
}

/* Longer than the room for a line: cut, not overrun. */
static void long_message(void **state) {
    (void)state;
    static char word[9000];
    memset(word, 'x', sizeof word - 1);
    FILE *stream = tmpfile();
    listen_to(fileno(stream));
    log_info("%s", word);
    log_error(word, "");
    listen_end();
    size_t length = strlen(contents(stream));
    assert_true(length > 2000 && length < 2 * 4000);
    fclose(stream);
}

/* 1.23e11 units in 10000 s, and as many more as take 125 s; an earlier run did 1e9 that do not count. So long
 * ago that a test which is held up on a busy machine still reads the same. */
static const double DONE = 1e9 + 1.23e11;

static struct progress started(void) {
    struct progress p;
    progress_start(&p, "burn-in", DONE + 125 * 12.3e6, 1e9);
    p.started -= 10000;
    return p;
}

/* What a terminal got, up to `end`: it arrives in pieces, and a little later. */
static const char *terminal_contents(int terminal, const char *end) {
    struct pollfd ready = {.fd = terminal, .events = POLLIN};
    size_t length = 0;
    heard[0] = '\0';
    while (!strstr(heard, end) && length < sizeof heard - 1 && poll(&ready, 1, 5000) > 0) {
        ssize_t more = read(terminal, heard + length, sizeof heard - 1 - length);
        if (more <= 0)
            break;
        length += (size_t)more;
        heard[length] = '\0';
    }
    return heard;
}

static void progress_in_a_file(void **state) {
    (void)state;
    struct progress p = started();
    FILE *stream = tmpfile();
    listen_to(fileno(stream));
    p.shown -= 450; /* the longer it takes, the fewer lines: a twentieth of the time so far, at least 30 s */
    progress_show(&p, DONE, "too soon");
    p.shown -= 60;
    progress_show(&p, DONE, NULL);
    progress_show(&p, DONE, "too soon");
    p.shown -= 510;
    progress_show(&p, DONE, "loss 0.5");
    p.shown -= 510;
    progress_show(&p, 1e9, NULL); /* nothing done yet: no rate to tell from */
    log_start(1);
    p.shown -= 510;
    progress_show(&p, DONE, NULL); /* not rank 0 */
    log_start(0);
    progress_end(&p, "3 frames");
    listen_end();
    assert_string_equal(contents(stream), "burn-in  98 %  12.3e6 /s  2 min 05 s left\n"
                                          "burn-in  98 %  12.3e6 /s  2 min 05 s left  loss 0.5\n"
                                          "burn-in   0 %  0 /s  unknown time left\n"
                                          "burn-in done in 2 h 46 min  3 frames\n");
    fclose(stream);
}

/* Rates of every size have three digits, and exponents are multiples of three. */
static void rates(void **state) {
    (void)state;
    static const struct {
        double rate;
        const char *text;
    } known[] = {{0.0123, "0.0123"}, {7, "7"},         {850, "850"},
                 {999.6, "1e3"},     {1234, "1.23e3"}, {5.61e11, "561e9"}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        struct progress p;
        char got[64];
        FILE *stream = tmpfile();
        progress_start(&p, "x", known[i].rate * 2e5, 0);
        p.started -= 1e5;
        p.shown -= 1e5;
        listen_to(fileno(stream));
        progress_show(&p, known[i].rate * 1e5, NULL);
        listen_end();
        assert_int_equal(sscanf(contents(stream), "x 50 %% %63s", got), 1);
        assert_string_equal(got, known[i].text);
        fclose(stream);
    }
}

/* As if so many seconds had passed. */
static void wait_for(struct progress *p, double seconds) {
    p->started -= seconds;
    p->shown -= seconds;
    p->also.begun -= seconds;
}

/* Minutes that are left, by the line that is shown now. */
static double minutes_left(struct progress *p, double done) {
    int percent, minutes, seconds, hours;
    FILE *stream = tmpfile();
    p->shown -= 1e9;
    listen_to(fileno(stream));
    progress_show(p, done, NULL);
    listen_end();
    contents(stream);
    fclose(stream);
    if (sscanf(heard, "x %d %% %*s /s %d h %d min left", &percent, &hours, &minutes) == 3)
        return 60 * hours + minutes;
    assert_int_equal(sscanf(heard, "x %d %% %*s /s %d min %d s left", &percent, &minutes, &seconds), 3);
    return minutes + seconds / 60.0;
}

/* Units from..to - 1, each of which takes so many seconds, looked at after each. */
static void work(struct progress *p, int from, int to, double each) {
    for (int m = from; m < to; m++) {
        wait_for(p, each);
        progress_show(p, m + 1, NULL);
    }
}

static void something_else(struct progress *p, double seconds) {
    progress_also_begin(p);
    wait_for(p, seconds);
    progress_also_end(p);
}

/* 900 units more of 10 s each after a tenth of the way, of which the first ones took three times as long, and an earlier
 * run did more of them than this one; and 20 of something else, of 60 s each, that is first taken for less. */
static void time_left(void **state) {
    (void)state;
    struct progress p;
    FILE *stream = tmpfile();
    listen_to(fileno(stream));
    progress_start(&p, "x", 1000, 50);
    progress_also(&p, 20, 3);
    work(&p, 50, 54, 30);
    work(&p, 54, 100, 10);
    listen_end();
    fclose(stream);
    assert_true(fabs(minutes_left(&p, 100) - (900 * 10 + 20 * 30) / 60.0) < 3);
    something_else(&p, 60);
    assert_true(fabs(minutes_left(&p, 100) - (900 * 10 + 19 * 60) / 60.0) < 3);
    /* Work that has become twice as long is told as that when half of the way is new. */
    stream = tmpfile();
    listen_to(fileno(stream));
    work(&p, 100, 400, 20);
    listen_end();
    fclose(stream);
    assert_true(fabs(minutes_left(&p, 400) - (600 * 20 + 19 * 60) / 60.0) < 10);
    /* Going back, as a training does, starts the reckoning anew. */
    minutes_left(&p, 400);
    stream = tmpfile();
    listen_to(fileno(stream));
    work(&p, 90, 92, 20);
    listen_end();
    fclose(stream);
    assert_true(fabs(minutes_left(&p, 92) - (908 * 20 + 19 * 60) / 60.0) < 10);
}

/* On a terminal the line rewrites itself twice a second, an ordinary line goes below it, and the end replaces
 * it. */
static void progress_on_a_terminal(void **state) {
    (void)state;
    const int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    if (terminal < 0 || grantpt(terminal) < 0 || unlockpt(terminal) < 0)
        skip(); /* this machine has no pseudo-terminals */
    const int slave = open(ptsname(terminal), O_RDWR | O_NOCTTY);
    assert_true(slave >= 0);
    struct progress p = started();
    listen_to(slave);
    p.shown -= 0.2;
    progress_show(&p, DONE, "too soon");
    p.shown -= 0.4;
    progress_show(&p, DONE, NULL);
    p.shown -= 0.6;
    progress_show(&p, DONE, "loss 0.5");
    log_info("restart written");
    p.shown -= 0.6;
    progress_show(&p, DONE, NULL);
    progress_end(&p, NULL);
    listen_end();
    assert_string_equal(terminal_contents(terminal, "2 h 46 min\r\n"),
                        "\r\033[Kburn-in  98 %  12.3e6 /s  2 min 05 s left"
                        "\r\033[Kburn-in  98 %  12.3e6 /s  2 min 05 s left  loss 0.5\r\n"
                        "restart written\r\n"
                        "\r\033[Kburn-in  98 %  12.3e6 /s  2 min 05 s left"
                        "\r\033[Kburn-in done in 2 h 46 min\r\n");
    close(slave);
    close(terminal);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rank_zero_speaks),    cmocka_unit_test(file_keeps_the_story),
        cmocka_unit_test(file_that_cannot_be), cmocka_unit_test(long_message),
        cmocka_unit_test(progress_in_a_file),  cmocka_unit_test(rates),
        cmocka_unit_test(time_left),           cmocka_unit_test(progress_on_a_terminal)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
