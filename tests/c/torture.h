/*
 * torture.h - makes each allocation of a piece of code fail in turn.
 *
 *   TORTURE(t) {
 *       ...code that allocates through core/mem...
 *       bool failed = torture_end(&t);
 *       ...checks, during which nothing fails...
 *   }
 *
 * runs the block with its first allocation failing, then the second, and so on,
 * until a run fails none; then all of it again with the later ones failing too.
 */
#ifndef TORTURE_H
#define TORTURE_H

#include "core/mem.h"

#ifndef AO_FAULTS
#error "the C tests are built with AO_FAULTS"
#endif

struct torture {
    unsigned long nth; /* repeats the case */
    bool persistent;
    bool failed;
    bool done;
};

static inline bool torture_next(struct torture *t)
{
    if (t->nth > 0 && !t->failed && !ao_mem_failed()) {
        t->done = t->persistent;
        t->persistent = true;
        t->nth = 0;
    }
    t->failed = false;
    if (!t->done)
        ao_mem_fail_at(++t->nth, t->persistent);
    else
        ao_mem_fail_at(0, false);
    return !t->done;
}

/* From here to the end of the block nothing fails. Says whether something did. */
static inline bool torture_end(struct torture *t)
{
    t->failed = ao_mem_failed();
    ao_mem_fail_at(0, false);
    return t->failed;
}

#define TORTURE(t) for (struct torture t = {0}; torture_next(&t);)

#endif
