/* csv_out.h - cells of CSV (RFC 4180) on stdout; a comma goes before each cell but the first of a line. */
#ifndef AO_HOST_CSV_OUT_H
#define AO_HOST_CSV_OUT_H

#include "core/base.h"

void csv_out_text(const char *text, bool first); /* quoted; a text that a spreadsheet would take for a formula gets an apostrophe */
void csv_out_usd(int64_t pusd);    /* exact digits; empty for AO_COST_UNKNOWN */
void csv_out_u64(uint64_t number);
void csv_out_end(void); /* of the line */

#endif
