#include "host/random.h"

#include <openssl/rand.h>

#include "core/err.h"

int random_bytes(void *out, size_t len)
{
    return RAND_bytes(out, (int)len) == 1 ? AO_OK : AO_ERR_IO;
}

int random_prng(struct ao_prng *ret_prng)
{
    uint64_t seed[4];
    int err = random_bytes(seed, sizeof(seed));
    if (!err)
        ao_prng_seed(ret_prng, seed);
    return err;
}

int random_key(char out[AO_KEY_LEN + 1])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t bytes[AO_KEY_LEN / 2];
    int err = random_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; !err && i < sizeof(bytes); i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[AO_KEY_LEN] = '\0';
    return err;
}
