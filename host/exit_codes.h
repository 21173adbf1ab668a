/*
 * exit_codes.h - what the host program's exit code says.
 *
 * Those of `run` follow timeout(1) and env(1): a child that ran gives its own
 * code, 128 + n when signal n ended it.
 */
#ifndef AO_HOST_EXIT_CODES_H
#define AO_HOST_EXIT_CODES_H

enum ao_exit {
    AO_EXIT_OK = 0,
    AO_EXIT_FAILURE = 1,       /* it was tried and did not work */
    AO_EXIT_USAGE = 2,         /* a bad option, argument, file or setting; nothing was done */
    AO_EXIT_BUDGET = 123,      /* run, read: a limit was crossed (budget.h) */
    AO_EXIT_TIMEOUT = 124,     /* run: --timeout ended the command */
    AO_EXIT_SELF = 125,        /* run: agentobs-host itself failed before the command started */
    AO_EXIT_CANNOT_RUN = 126,  /* run: the command was found but cannot be executed */
    AO_EXIT_NO_COMMAND = 127,  /* run: the command was not found */
    AO_EXIT_SIGNAL = 128,      /* run: plus the number of the signal that ended the command */
};

#endif
