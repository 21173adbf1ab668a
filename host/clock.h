/* clock.h - the host's one reading of time. Each turn of a loop reads it once and hands it on. */
#ifndef AO_HOST_CLOCK_H
#define AO_HOST_CLOCK_H

#include <stdint.h>

#define CLOCK_MS UINT64_C(1000000)
#define CLOCK_SECOND UINT64_C(1000000000)

/* ns since the Unix epoch; never goes backwards within the process. */
uint64_t clock_now(void);

#endif
