/**
 * Where a job finds its things in its container.
 *
 * @module
 */

/** The workspace; jobs start here. */
export const CONTAINER_WORKSPACE = "/workspace";
/** The home, which is the job's own and goes with the workspace. */
export const CONTAINER_HOME = "/home/job";
/** The text of a script job, read-only. */
export const CONTAINER_SCRIPT = "/run/cicd/script";
