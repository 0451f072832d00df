/* The checker's memory: see emulated_shadow.h. */
#include "emulated_shadow.h"

#include <deque>

/* Cells of single bytes, where accesses were of less than 4: their `set` is 1 or 0. */
struct byte_cells {
    struct cell byte[4];
};
static std::deque<byte_cells> split_cells;

static bool before(const struct stamp &s, int thread, const struct accessor &who) {
    if (s.flags & STAMP_BLOCKS || s.block != who.block)
        return false;
    if (s.tick < who.barrier)
        return true;
    return !(s.flags & STAMP_WARPS) && s.thread / 32 == thread / 32 && s.tick < who.warps[thread / 32];
}

/* Whether an earlier access may be at the same time as one of this thread. */
static bool collides(const struct stamp &s, int thread, const struct accessor &who) {
    if (s.work != who.work || before(s, thread, who))
        return false;
    return s.block != who.block || (s.flags & (STAMP_LANES | STAMP_WARPS | STAMP_BLOCKS)) ||
           s.thread != thread;
}

/* Adds this thread to those that the stamp stands for. */
static void note(struct stamp *s, int thread, int32_t site, uint8_t flags, const struct accessor &who) {
    if (s->work == who.work && (s->flags & STAMP_ATOMIC) == flags && !before(*s, thread, who)) {
        flags |= s->flags;
        if (s->block != who.block)
            flags |= STAMP_BLOCKS;
        else if (s->thread / 32 != thread / 32)
            flags |= STAMP_WARPS;
        else if (s->thread != thread)
            flags |= STAMP_LANES;
    }
    *s = {who.work, who.block, who.warps[thread / 32], site, (uint16_t)thread, s->set, flags};
}

/* A cell, or the cell of a byte; `mask`: the bytes of it. */
static struct finding access_cell(struct cell *c, uint8_t mask, enum access access, bool local, int thread,
                                  int32_t site, const struct accessor &who) {
    if (local && c->write.block != who.block)
        c->write = {};
    if (local && c->read.block != who.block)
        c->read = {};
    if (access != ACCESS_WRITE && (c->write.set & mask) != mask)
        return {FAULT_UNSET, c->write, true};
    const bool both_atomic = access == ACCESS_ATOMIC && (c->write.flags & STAMP_ATOMIC);
    if (c->write.work && c->write.work != who.work && !shadow_ordered(c->write.work))
        return {FAULT_STREAMS, c->write, true};
    if (c->write.work && !both_atomic && collides(c->write, thread, who))
        return {FAULT_RACE, c->write, true};
    if (access == ACCESS_READ) {
        note(&c->read, thread, site, 0, who);
        return {};
    }
    if (c->read.work && c->read.work != who.work && !shadow_ordered(c->read.work))
        return {FAULT_STREAMS, c->read, false};
    if (c->read.work && collides(c->read, thread, who))
        return {FAULT_RACE, c->read, false};
    if (access == ACCESS_ATOMIC)
        note(&c->write, thread, site, STAMP_ATOMIC, who);
    else
        c->write = {who.work, who.block, who.warps[thread / 32], site, (uint16_t)thread, c->write.set, 0};
    c->write.set |= mask;
    return {};
}

static void split(struct cell *c) {
    byte_cells bytes;
    for (int i = 0; i < 4; i++) {
        bytes.byte[i] = *c;
        bytes.byte[i].write.set = c->write.set >> i & 1;
    }
    split_cells.push_back(bytes);
    c->write.flags = STAMP_SPLIT;
    c->write.block = (uint32_t)split_cells.size() - 1;
}

struct finding shadow_access(struct cell *cells, size_t at, size_t bytes, enum access access, bool local,
                             int thread, int32_t site, const struct accessor &who) {
    const size_t end = at + bytes;
    while (at < end) {
        struct cell *c = &cells[at / 4];
        const bool whole = at % 4 == 0 && end - at >= 4;
        struct finding f = {};
        if (!whole && !(c->write.flags & STAMP_SPLIT))
            split(c);
        if (c->write.flags & STAMP_SPLIT) {
            struct cell *byte = split_cells[c->write.block].byte;
            const size_t last = end < at / 4 * 4 + 4 ? end : at / 4 * 4 + 4;
            for (; at < last && f.fault == FAULT_NONE; at++)
                f = access_cell(&byte[at % 4], 1, access, local, thread, site, who);
        } else {
            f = access_cell(c, 0xf, access, local, thread, site, who);
            at += 4;
        }
        if (f.fault != FAULT_NONE)
            return f;
    }
    return {};
}

/* ---- other work: one accessor, no threads ---- */

static struct finding range_cell(struct cell *c, uint8_t mask, bool write, bool must_be_set,
                                 const struct accessor &who) {
    if (must_be_set && (c->write.set & mask) != mask)
        return {FAULT_UNSET, c->write, true};
    if (c->write.work && c->write.work != who.work && !shadow_ordered(c->write.work))
        return {FAULT_STREAMS, c->write, true};
    if (!write) {
        c->read = {who.work, 0, 0, 0, 0, 0, 0};
        return {};
    }
    if (c->read.work && c->read.work != who.work && !shadow_ordered(c->read.work))
        return {FAULT_STREAMS, c->read, false};
    c->write = {who.work, 0, 0, 0, 0, (uint8_t)(c->write.set | mask), 0};
    return {};
}

struct finding shadow_range(struct cell *cells, size_t at, size_t bytes, bool write, bool must_be_set,
                            const struct accessor &who) {
    const size_t end = at + bytes;
    while (at < end) {
        struct cell *c = &cells[at / 4];
        const bool whole = at % 4 == 0 && end - at >= 4;
        struct finding f;
        if (!whole && !(c->write.flags & STAMP_SPLIT))
            split(c);
        if (c->write.flags & STAMP_SPLIT) {
            f = range_cell(&split_cells[c->write.block].byte[at % 4], 1, write, must_be_set, who);
            at++;
        } else {
            f = range_cell(c, 0xf, write, must_be_set, who);
            at += 4;
        }
        if (f.fault != FAULT_NONE)
            return f;
    }
    return {};
}

static bool byte_set(const struct cell *cells, size_t at) {
    const struct cell &c = cells[at / 4];
    if (c.write.flags & STAMP_SPLIT)
        return split_cells[c.write.block].byte[at % 4].write.set & 1;
    return c.write.set >> at % 4 & 1;
}

void shadow_copy(struct cell *to, size_t to_at, const struct cell *from, size_t from_at, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) {
        if (byte_set(from, from_at + i))
            continue;
        struct cell *c = &to[(to_at + i) / 4];
        if (c->write.flags & STAMP_SPLIT)
            split_cells[c->write.block].byte[(to_at + i) % 4].write.set = 0;
        else
            c->write.set &= (uint8_t) ~(1u << (to_at + i) % 4);
    }
}
