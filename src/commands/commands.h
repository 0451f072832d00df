/* The commands of the program, one page each. All are collective. */
#ifndef EPFLOW_COMMANDS_COMMANDS_H
#define EPFLOW_COMMANDS_COMMANDS_H

#include "commands/session.h"

/* Inputs where a command needs none of the user's. */
extern const char CHECK_SYSTEM[], BENCH_SYSTEM[];

enum status command_simulate(struct session *s);
enum status command_train(struct session *s);
enum status command_evaluate(struct session *s);
enum status command_run(struct session *s);
enum status command_check(struct session *s);
enum status command_info(struct session *s);
enum status command_export(struct session *s);
enum status command_bench(struct session *s);

/* Plans for --dry-run and the first lines of a run: sizes, memory per rank, steps, files. */
enum status plan_simulate(struct session *s);
/* An error where the input has no dynamics, only data. */
enum status simulate_refuse_data(const struct session *s);
enum status plan_evaluate(struct session *s);

#endif
