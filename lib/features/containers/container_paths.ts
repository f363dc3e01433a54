/**
 * Paths in a job's container.
 *
 * @module
 */

/** The workspace and default working directory. */
export const CONTAINER_WORKSPACE = "/workspace";
/** The job's home, removed with the workspace. */
export const CONTAINER_HOME = "/home/job";
/** The seconds for which the container waits, read-only; empty unless it is held. */
export const CONTAINER_HELD = "/run/cicd/held";
/** The script of a script job, read-only. */
export const CONTAINER_SCRIPT = "/run/cicd/script";
