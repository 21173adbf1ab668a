/*
 * writer.h - the emitter's thread: ring -> records -> framed lines -> write(2).
 */
#ifndef AO_WRITER_H
#define AO_WRITER_H

/* Body of the thread; `emitter` is a struct ao_emitter. */
void *ao_writer_main(void *emitter);

#endif
