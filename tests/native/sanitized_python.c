// The Python that runs the tests under the sanitizers: the interpreter with their runtime linked in, so that it is in the
// process before Python is. Preloaded instead, it would be in every program that a test starts, and not all can bear it.

#include <Python.h>

int main(int argc, char **argv)
{
    return Py_BytesMain(argc, argv);
}

// The interpreter leaves memory behind when it ends. (ASAN_OPTIONS comes on top of this.)
const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}
