#include "fault_vfs.h"

#include <sqlite3.h>
#include <stddef.h>
#include <stdint.h>

struct fault_file {
    sqlite3_file base;
    sqlite3_file *real; /* behind this struct */
};

static sqlite3_vfs shim;
static sqlite3_vfs *real_vfs;
static unsigned long countdown;
static bool persistent_fault;
static bool fired;
static int fault_code;

void fault_vfs_arm(unsigned long nth, bool persistent, int code)
{
    countdown = nth;
    persistent_fault = persistent;
    fault_code = code;
    fired = false;
}

bool fault_vfs_fired(void)
{
    return fired;
}

static bool fails(void)
{
    if (fired && persistent_fault)
        return true;
    if (countdown == 0 || --countdown > 0)
        return false;
    fired = true;
    return true;
}

static sqlite3_file *real_of(sqlite3_file *file)
{
    return ((struct fault_file *)file)->real;
}

#define REAL(file, method) real_of(file)->pMethods->method

static int shim_close(sqlite3_file *file)
{
    return REAL(file, xClose)(real_of(file));
}

static int shim_read(sqlite3_file *file, void *out, int len, sqlite3_int64 offset)
{
    return REAL(file, xRead)(real_of(file), out, len, offset);
}

static int shim_write(sqlite3_file *file, const void *bytes, int len, sqlite3_int64 offset)
{
    return fails() ? fault_code : REAL(file, xWrite)(real_of(file), bytes, len, offset);
}

static int shim_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    return fails() ? SQLITE_IOERR_TRUNCATE : REAL(file, xTruncate)(real_of(file), size);
}

/* It may fail; but no test takes the power away, and what is written outlives a killed process without it. */
static int shim_sync(sqlite3_file *file, int flags)
{
    (void)file;
    (void)flags;
    return fails() ? SQLITE_IOERR_FSYNC : SQLITE_OK;
}

static int shim_file_size(sqlite3_file *file, sqlite3_int64 *ret_size)
{
    return REAL(file, xFileSize)(real_of(file), ret_size);
}

static int shim_lock(sqlite3_file *file, int lock)
{
    return REAL(file, xLock)(real_of(file), lock);
}

static int shim_unlock(sqlite3_file *file, int lock)
{
    return REAL(file, xUnlock)(real_of(file), lock);
}

static int shim_check_reserved(sqlite3_file *file, int *ret_reserved)
{
    return REAL(file, xCheckReservedLock)(real_of(file), ret_reserved);
}

static int shim_control(sqlite3_file *file, int op, void *arg)
{
    return REAL(file, xFileControl)(real_of(file), op, arg);
}

static int shim_sector_size(sqlite3_file *file)
{
    return REAL(file, xSectorSize)(real_of(file));
}

static int shim_characteristics(sqlite3_file *file)
{
    return REAL(file, xDeviceCharacteristics)(real_of(file));
}

static int shim_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **ret_map)
{
    return extend && fails() ? SQLITE_IOERR_SHMMAP : REAL(file, xShmMap)(real_of(file), page, size, extend, ret_map);
}

static int shim_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
    return REAL(file, xShmLock)(real_of(file), offset, count, flags);
}

static void shim_shm_barrier(sqlite3_file *file)
{
    REAL(file, xShmBarrier)(real_of(file));
}

static int shim_shm_unmap(sqlite3_file *file, int delete)
{
    return REAL(file, xShmUnmap)(real_of(file), delete);
}

static const sqlite3_io_methods shim_methods = {
    .iVersion = 2, /* without xFetch: every read and write passes here */
    .xClose = shim_close,
    .xRead = shim_read,
    .xWrite = shim_write,
    .xTruncate = shim_truncate,
    .xSync = shim_sync,
    .xFileSize = shim_file_size,
    .xLock = shim_lock,
    .xUnlock = shim_unlock,
    .xCheckReservedLock = shim_check_reserved,
    .xFileControl = shim_control,
    .xSectorSize = shim_sector_size,
    .xDeviceCharacteristics = shim_characteristics,
    .xShmMap = shim_shm_map,
    .xShmLock = shim_shm_lock,
    .xShmBarrier = shim_shm_barrier,
    .xShmUnmap = shim_shm_unmap,
};

static int shim_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
    (void)vfs;
    struct fault_file *mine = (struct fault_file *)file;
    mine->base.pMethods = NULL;
    mine->real = (sqlite3_file *)(mine + 1);
    if ((flags & SQLITE_OPEN_CREATE) && fails())
        return SQLITE_CANTOPEN;
    int rc = real_vfs->xOpen(real_vfs, name, mine->real, flags, ret_flags);
    if (mine->real->pMethods)
        mine->base.pMethods = &shim_methods;
    return rc;
}

void fault_vfs_install(void)
{
    sqlite3_initialize();
    real_vfs = sqlite3_vfs_find(NULL);
    shim = *real_vfs;
    shim.zName = "fault";
    shim.szOsFile = (int)sizeof(struct fault_file) + real_vfs->szOsFile;
    shim.xOpen = shim_open;
    sqlite3_vfs_register(&shim, 1);
}
