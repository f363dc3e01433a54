/**
 * The directory of one attempt on disk.
 *
 * One directory per attempt, mode 0700, below
 * `<state>/projects/<project>/jobs/<job id>/<attempt number>/`:
 *
 * | name | written by | what |
 * |---|---|---|
 * | `fence` | runner | the attempt is given up and never starts |
 * | `attempt.json` | agent, before the start | the spec, without secrets |
 * | `secrets.sealed` | agent, before the start | the secrets, sealed with the key file; removed when the job has ended for good |
 * | `script` | agent, before the start | the text of a script job |
 * | `work/` | agents of earlier releases, and job | the workspace; removed after the end |
 * | `home/` | agent and job | the home of a container; removed with the workspace |
 * | `checkout/` | agent | files of git during the checkout; removed after it |
 * | `container` | agent | the name of its container, if it differs from the usual one |
 * | `held` | agent, before the start | its container mounts it; the seconds for which it is held |
 * | `commit` | agent | the full id of the checked-out commit |
 * | `setup.log` | agent | the log of checkout, image and caches; read before the output |
 * | `setup.index` | agent | when its bytes were written |
 * | `setup.done` | agent | `setup.log` is complete |
 * | `output.log` | the job itself | merged output; it exists once the job has started |
 * | `stdout.log`, `stderr.log` | the job itself | instead, for `output: split` |
 * | `log.index` | agent | when its bytes arrived |
 * | `log.capped` | agent | bytes of log dropped at the size limit |
 * | `stop` | agent, before it stops the job | why the job is stopped |
 * | `result` | `ExecStopPost=` or the supervisor | exit of the main process, and usage |
 * | `outcome.json` | agent | the final outcome |
 * | `result.draft`, `stop.draft`, `outcome.json.draft` | agent, before the start | room for these records on a full disk |
 * | `artifacts/`, `artifacts.json` | agent, after the end | files kept of the workspace, and their list |
 * | `caches.json`, `cache.tmp/` | agent | restored caches; caches being unpacked |
 * | `supervisor` | supervisor | its process, if there is no service manager |
 *
 * The workspace is `<state>/projects/<project>/workspaces/<slot>/`, and the job's `TMPDIR` on the host
 * `<state>/projects/<project>/tmp/<slot>/`, which is short as the paths of sockets must be.
 * `attempt.json` names the slot. See `lib/spine/attempts/workspaces.ts`.
 *
 * @module
 */
import { type JobId, parseProjectName, type ProjectName } from "@lib/core/ids.ts";
import { directoriesIn } from "@lib/foundations/files/records.ts";

/** Identifies one attempt. */
export interface AttemptRef {
  readonly project: ProjectName;
  readonly jobId: JobId;
  /** Counts from 1. */
  readonly number: number;
}

/** A stream of a job's output. */
export type OutputStream = "merged" | "stdout" | "stderr";

/** The paths of one attempt's directory. */
export type AttemptDirectory = Readonly<ReturnType<typeof attemptDirectory>>;

/** Lists the projects that have a directory. */
export function projectsIn(stateDir: string): readonly ProjectName[] {
  return directoriesIn(`${stateDir}/projects`)
    .map((name) => parseProjectName(name))
    .filter((name) => name !== undefined);
}

/** Returns the directory of a project's jobs. */
export function projectJobsPath(stateDir: string, project: ProjectName): string {
  return `${stateDir}/projects/${project}/jobs`;
}

/** Returns the directory of a job's attempts. */
export function jobPath(stateDir: string, project: ProjectName, jobId: JobId): string {
  return `${projectJobsPath(stateDir, project)}/${jobId}`;
}

/** Returns the directory with a record for each attempt whose place is held. */
export function holdsPath(stateDir: string, project: ProjectName): string {
  return `${stateDir}/projects/${project}/holds`;
}

/** Returns the record of an attempt's hold; it exists as long as the hold. */
export function holdFile(stateDir: string, { project, jobId, number }: AttemptRef): string {
  return `${holdsPath(stateDir, project)}/${jobId}.${number}`;
}

/** Returns the directories of a project's workspaces and of its jobs' temporary files. */
export function slotParents(
  stateDir: string,
  project: ProjectName,
): readonly [workspaces: string, temporary: string] {
  return [`${stateDir}/projects/${project}/workspaces`, `${stateDir}/projects/${project}/tmp`];
}

/** The name of a directory beside workspaces that is to be removed begins with it. */
export const ASIDE = ".gone-";

/**
 * Returns the paths of one attempt's directory; touches nothing.
 *
 * @param slot The workspace's number; without it, the workspace is that of earlier releases.
 */
export function attemptDirectory(stateDir: string, ref: AttemptRef, slot?: number) {
  const { project, jobId, number } = ref;
  const path = `${jobPath(stateDir, project, jobId)}/${number}`;
  const [workspaces, temporary] = slotParents(stateDir, project);
  return {
    path,
    slot,
    /** The directory and those above it that a job could reach, from the top down. */
    levels: [
      `${stateDir}/projects`,
      `${stateDir}/projects/${project}`,
      projectJobsPath(stateDir, project),
      jobPath(stateDir, project, jobId),
      path,
    ],
    fenceFile: `${path}/fence`,
    attemptFile: `${path}/attempt.json`,
    secretsFile: `${path}/secrets.sealed`,
    scriptFile: `${path}/script`,
    workspace: slot === undefined ? `${path}/work` : `${workspaces}/${slot}`,
    home: `${path}/home`,
    heldFile: `${path}/held`,
    commitFile: `${path}/commit`,
    /** The private directory for temporary files; outside the workspace, so that no glob finds it. */
    temporary: slot === undefined ? `${path}/tmp` : `${temporary}/${slot}`,
    setupLog: `${path}/setup.log`,
    setupIndex: `${path}/setup.index`,
    setupDone: `${path}/setup.done`,
    artifacts: `${path}/artifacts`,
    artifactList: `${path}/artifacts.json`,
    logIndex: `${path}/log.index`,
    logCapped: `${path}/log.capped`,
    stopFile: `${path}/stop`,
    resultFile: `${path}/result`,
    outcomeFile: `${path}/outcome.json`,
    /** The log file of one stream. */
    logFile: (stream: OutputStream) =>
      stream === "merged" ? `${path}/output.log` : `${path}/${stream}.log`,
  };
}
