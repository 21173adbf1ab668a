#include "core/err.h"

const char *ao_err_text(int err)
{
    switch (err) {
    case AO_OK:
        return "success";
#define AO_ERR_CASE(name, value, text) \
    case AO_ERR_##name:                \
        return text;
        AO_ERR_LIST(AO_ERR_CASE)
#undef AO_ERR_CASE
    default:
        return "unknown error";
    }
}
