/*
 * otlp_messages.h - private to the OTLP encoder: Anthropic's messages as those of
 * the GenAI semantic conventions (gen_ai.input.messages, gen_ai.output.messages).
 *
 *   text            {"type":"text","content":...}
 *   thinking        {"type":"reasoning","content":...}
 *   tool_use        {"type":"tool_call","id":...,"name":...,"arguments":...}
 *   tool_result     {"type":"tool_call_response","id":...,"response":...}; a message of these alone has the role "tool"
 *   anything else   as it is: the conventions allow further types
 */
#ifndef AO_OTLP_MESSAGES_H
#define AO_OTLP_MESSAGES_H

#include "core/json.h"

/*
 * Appends the JSON text of gen_ai.input.messages: from an array of messages, an object with `messages` (and `system`),
 * or one string, which is a user's. AO_ERR_TYPE when it is none of these (out is then as it was), else out's error.
 */
int ao_otlp_input_messages(struct ao_str json, struct ao_buf *out);
/* gen_ai.output.messages from one message or one string. `stop_reason` (JSON) is used where the message has none. */
int ao_otlp_output_messages(struct ao_str json, struct ao_str stop_reason, struct ao_buf *out);

/* The conventions' word for a stop_reason of the Messages API; what has none stays as it is. Both without quotes. */
struct ao_str ao_otlp_finish_reason(struct ao_str stop_reason);

#endif
