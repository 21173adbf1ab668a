/*
 * driver.c - runs a fuzz target without libFuzzer.
 *
 *   fuzz_NAME [-runs=N] [-seed=N] [-save=FILE] [FILE|FOLDER]...
 *
 * The target is given the empty input, then each file, folders in order of
 * their names and with all that they hold, then N inputs made from those by
 * small changes. The same arguments give the same inputs. -save writes each
 * changed input to FILE before it is tried: after a crash that is the culprit.
 * Exit status: 0, or 2 for bad arguments and unreadable files. A target that
 * finds something wrong aborts.
 */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv);

#define INPUT_MAX ((size_t)4 << 20)
#define PATH_SIZE 4096

struct input {
    uint8_t *data;
    size_t size;
};

struct corpus {
    struct input *inputs;
    size_t len;
    size_t cap;
};

static _Noreturn void die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(2);
}

static void *must(void *allocated)
{
    if (!allocated)
        die("driver", "out of memory");
    return allocated;
}

/* Takes over data. */
static void corpus_add(struct corpus *corpus, uint8_t *data, size_t size)
{
    if (corpus->len == corpus->cap) {
        corpus->cap = corpus->cap ? corpus->cap * 2 : 64;
        corpus->inputs = must(realloc(corpus->inputs, corpus->cap * sizeof(struct input)));
    }
    corpus->inputs[corpus->len++] = (struct input){data, size};
}

static void corpus_release(struct corpus *corpus)
{
    for (size_t i = 0; i < corpus->len; i++)
        free(corpus->inputs[i].data);
    free(corpus->inputs);
}

static void read_file(struct corpus *corpus, const char *path, size_t size)
{
    if (size > INPUT_MAX)
        die(path, "too large for an input");
    FILE *file = fopen(path, "rb");
    if (!file)
        die(path, strerror(errno));
    uint8_t *data = must(malloc(size ? size : 1));
    if (fread(data, 1, size, file) != size)
        die(path, "cannot be read");
    fclose(file);
    corpus_add(corpus, data, size);
}

static int not_hidden(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void read_path(struct corpus *corpus, const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0)
        die(path, strerror(errno));
    if (!S_ISDIR(info.st_mode)) {
        read_file(corpus, path, (size_t)info.st_size);
        return;
    }
    struct dirent **entries;
    int n = scandir(path, &entries, not_hidden, alphasort);
    if (n < 0)
        die(path, strerror(errno));
    for (int i = 0; i < n; i++) {
        char inner[PATH_SIZE];
        int len = snprintf(inner, sizeof(inner), "%s/%s", path, entries[i]->d_name);
        if (len < 0 || (size_t)len >= sizeof(inner))
            die(path, "path too long");
        read_path(corpus, inner);
        free(entries[i]);
    }
    free(entries);
}

/* xorshift64: the same numbers from the same seed everywhere. */
static size_t below(uint64_t *state, size_t n)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return n ? (size_t)(*state % n) : 0;
}

/* Changes the input in place; there is room for one byte more than *size. */
static void change(uint8_t *data, size_t *size, uint64_t *random)
{
    static const uint8_t telling[] = "\0\"\\{}[]:,-0 9eEu\n\r\t\x7f\x80\xc0\xed\xff";
    size_t at = below(random, *size);
    switch (below(random, 6)) {
    case 0:
        *size = at;
        break;
    case 1:
        if (*size)
            data[at] ^= (uint8_t)(1u << below(random, 8));
        break;
    case 2:
        if (*size)
            data[at] = telling[below(random, sizeof(telling) - 1)];
        break;
    case 3:
        memmove(data + at + 1, data + at, *size - at);
        data[at] = telling[below(random, sizeof(telling) - 1)];
        ++*size;
        break;
    case 4:
        if (*size) {
            memmove(data + at, data + at + 1, *size - at - 1);
            --*size;
        }
        break;
    default:
        if (*size) {
            size_t from = below(random, *size);
            size_t longest = *size - (from > at ? from : at);
            memmove(data + at, data + from, below(random, longest + 1));
        }
        break;
    }
}

static void save(const char *path, const uint8_t *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(data, 1, size, file) != size || fclose(file) != 0)
        die(path, "cannot be written");
}

static void run_changed(const struct corpus *corpus, size_t runs, uint64_t seed, const char *save_path)
{
    enum { CHANGES_MAX = 8 };
    uint64_t random = seed * 2654435761u + 1;
    for (size_t i = 0; i < runs; i++) {
        const struct input *origin = &corpus->inputs[below(&random, corpus->len)];
        size_t size = origin->size;
        uint8_t *data = must(malloc(size + CHANGES_MAX + 1));
        if (size)
            memcpy(data, origin->data, size);
        for (size_t n = below(&random, CHANGES_MAX) + 1; n > 0; n--)
            change(data, &size, &random);
        if (save_path)
            save(save_path, data, size);
        /* Exactly as large as the input, so that a read past its end is seen. */
        uint8_t *exact = must(realloc(data, size ? size : 1));
        LLVMFuzzerTestOneInput(exact, size);
        free(exact);
    }
    if (save_path)
        remove(save_path);
}

static bool number_option(const char *arg, const char *name, size_t *ret_value)
{
    size_t len = strlen(name);
    if (strncmp(arg, name, len) != 0)
        return false;
    char *end;
    errno = 0;
    unsigned long long value = strtoull(arg + len, &end, 10);
    if (errno || end == arg + len || *end)
        die(arg, "not a number");
    *ret_value = (size_t)value;
    return true;
}

int main(int argc, char **argv)
{
    struct corpus corpus = {0};
    size_t runs = 0;
    size_t seed = 1;
    const char *save_path = NULL;

    if (LLVMFuzzerInitialize)
        LLVMFuzzerInitialize(&argc, &argv);
    corpus_add(&corpus, must(calloc(1, 1)), 0);
    for (int i = 1; i < argc; i++) {
        if (number_option(argv[i], "-runs=", &runs) || number_option(argv[i], "-seed=", &seed))
            continue;
        if (strncmp(argv[i], "-save=", 6) == 0)
            save_path = argv[i] + 6;
        else if (argv[i][0] == '-')
            die(argv[i], "unknown option");
        else
            read_path(&corpus, argv[i]);
    }
    for (size_t i = 0; i < corpus.len; i++)
        LLVMFuzzerTestOneInput(corpus.inputs[i].data, corpus.inputs[i].size);
    run_changed(&corpus, runs, seed, save_path);
    const char *slash = strrchr(argv[0], '/');
    printf("%s: %zu inputs and %zu changed ones, nothing wrong\n", slash ? slash + 1 : argv[0], corpus.len, runs);
    corpus_release(&corpus);
    return 0;
}
