/**
 * Paths in a job's container.
 *
 * @module
 */

/** The workspace and default working directory. */
export const CONTAINER_WORKSPACE = "/workspace";
/** The job's home, removed with the workspace. */
export const CONTAINER_HOME = "/home/job";
/** The script of a script job, read-only. */
export const CONTAINER_SCRIPT = "/run/cicd/script";
