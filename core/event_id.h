/*
 * event_id.h - ids for moments (events) that a backend knows only as spans.
 */
#ifndef AO_EVENT_ID_H
#define AO_EVENT_ID_H

#include "core/id.h"

/*
 * An id made of the event's content, never zero: sending the event again replaces it. `ordinal` counts events that
 * have all else the same, from 0.
 */
struct ao_span_id ao_event_id(const struct ao_trace_id *trace_id, const struct ao_span_id *parent, uint64_t time,
                              uint64_t ordinal, struct ao_str name, struct ao_str attributes);

#endif
