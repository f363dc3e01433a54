/**
 * Bounds of what a job may ask for.
 *
 * @module
 */

/** Least memory of a job, in bytes: with less neither systemd nor an engine starts a program. */
export const JOB_MEMORY_MIN_BYTES = 8 * 1024 * 1024;
