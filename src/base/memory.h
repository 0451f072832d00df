/* Memory: what this process has, and what a stage will need (a plan). */
#ifndef EPFLOW_BASE_MEMORY_H
#define EPFLOW_BASE_MEMORY_H

/* Large blocks go back to the system once they are freed, so that the peak is that of what is held. Call it first. */
void memory_start(void);

/* Bytes of this process in memory now, and the most there have been since it began or memory_forget_peak (which does
 * nothing where the system cannot forget). Pages that ranks share count for each of them. 0: not known. */
double memory_now(void);
double memory_peak(void);
void memory_forget_peak(void);

/* Bytes that processes of this node can have together: its memory, or what the control group of this one is limited to
 * where that is less. */
double memory_of_node(void);

/* What a rank holds at one moment, in bytes, by what it is for. Modules that allocate by particles or cells say how much
 * (..._bytes beside the functions that allocate), from numbers that may be estimates. */
enum memory_part {
    MEMORY_PROGRAM, /* the program, its libraries and their buffers */
    MEMORY_STATE,   /* own particles, and what belongs to each */
    MEMORY_GHOSTS,  /* copies of others, and their messages */
    MEMORY_LISTS,   /* neighbours, cells, edges */
    MEMORY_NETWORK, /* weights and workspace */
    MEMORY_RESULTS, /* columns of what is known of particles, in an evaluation */
    MEMORY_FIELDS,  /* cells of the grid */
    MEMORY_FILES,   /* rows in order of id, on their way between ranks and files */
    MEMORY_PARTS
};
struct memory_plan {
    double bytes[MEMORY_PARTS];
};
extern const char *const memory_part_name[MEMORY_PARTS];
double memory_total(const struct memory_plan *plan);
/* *most becomes the plan of another moment where that holds more. */
void memory_or(struct memory_plan *most, const struct memory_plan *moment);

#endif
