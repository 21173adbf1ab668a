/*
 * otlp_vocabulary.h - private to the OTLP encoder: what a span's facts are called.
 */
#ifndef AO_OTLP_VOCABULARY_H
#define AO_OTLP_VOCABULARY_H

#include "core/otlp_attributes.h"

enum ao_otlp_kind { AO_OTLP_KIND_OTHER, AO_OTLP_KIND_LLM, AO_OTLP_KIND_TOOL, AO_OTLP_KIND_AGENT };

enum ao_otlp_kind ao_otlp_kind(const struct ao_otlp_span *span);
/* The span's name by the GenAI conventions: an operation and what it is about; `about` absent: the first alone. */
void ao_otlp_span_name(const struct ao_otlp_span *span, unsigned vocabularies, struct ao_str *ret_name,
                       struct ao_str *ret_about);
/* Session and user: the span's own, else the run's. */
struct ao_str ao_otlp_session(const struct ao_otlp_span *span, const struct ao_otlp_resource *resource);
struct ao_str ao_otlp_user(const struct ao_otlp_span *span, const struct ao_otlp_resource *resource);

/* All attributes of a span. */
void ao_otlp_put_attributes(struct ao_oa *a, const struct ao_otlp_span *span, const struct ao_otlp_resource *resource,
                            unsigned vocabularies);
/* Those that a further vocabulary adds (otlp_langfuse.c, otlp_openinference.c). */
void ao_otlp_put_langfuse(struct ao_oa *a, const struct ao_otlp_span *span, const struct ao_otlp_resource *resource);
void ao_otlp_put_openinference(struct ao_oa *a, const struct ao_otlp_span *span,
                               const struct ao_otlp_resource *resource);
/* "input" -> input.value and input.mime_type: OpenInference's, which others read too. */
void ao_otlp_put_value(struct ao_oa *a, const char *value_key, const char *type_key, struct ao_str json);
/* True for a key in the name space of resources: it stands on the resource, not on the root span. */
bool ao_otlp_is_resource_key(struct ao_str key);

#endif
