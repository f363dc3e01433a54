/**
 * Where everything of one attempt lies on disk.
 *
 * One directory per attempt, mode 0700, below
 * `<state>/projects/<project>/jobs/<job id>/<attempt number>/`:
 *
 * | name | written by | what |
 * |---|---|---|
 * | `attempt.json` | agent, before the start | the spec, without secrets |
 * | `secrets.sealed` | agent, before the start | the secrets, sealed with the key file |
 * | `script` | agent, before the start | the text of a script job |
 * | `work/` | agent and job | the workspace; removed after the end |
 * | `home/` | agent and job | the home of a container; removed with the workspace |
 * | `checkout/` | agent | what git needs during the checkout; removed after it |
 * | `container` | agent | the name of its container, if that was given another |
 * | `setup.log` | agent | what was done before the job: checkout, image, caches; read before the output |
 * | `setup.index` | agent | which bytes of it were written when |
 * | `setup.done` | agent | nothing is added to `setup.log` any more |
 * | `output.log` | the job itself | merged output; its existence says that the job was begun |
 * | `stdout.log`, `stderr.log` | the job itself | instead, for `output: split` |
 * | `log.index` | agent | which bytes arrived when |
 * | `log.capped` | agent | bytes of log dropped at the size cap |
 * | `stop` | agent, before it stops the job | why the job is being stopped |
 * | `result` | `ExecStopPost=` or the supervisor | how the main process ended, and usage |
 * | `outcome.json` | agent | the settled verdict |
 * | `artifacts/`, `artifacts.json` | agent, after the end | what is kept of the workspace, and its list |
 * | `caches.json`, `cache.tmp/` | agent | which caches were restored; what is being unpacked |
 * | `supervisor` | supervisor | its process, where there is no service manager |
 *
 * @module
 */
import { type JobId, parseProjectName, type ProjectName } from "@lib/core/ids.ts";
import { directoriesIn } from "@lib/foundations/files/records.ts";

/** Names one attempt. */
export interface AttemptRef {
  readonly project: ProjectName;
  readonly jobId: JobId;
  /** Counts from 1. */
  readonly number: number;
}

/** A stream of a job's output. */
export type OutputStream = "merged" | "stdout" | "stderr";

/** The paths of one attempt's directory. */
export interface AttemptDirectory {
  readonly path: string;
  readonly attemptFile: string;
  readonly secretsFile: string;
  readonly scriptFile: string;
  readonly workspace: string;
  readonly home: string;
  readonly setupLog: string;
  readonly setupIndex: string;
  readonly setupDone: string;
  readonly artifacts: string;
  readonly artifactList: string;
  readonly logIndex: string;
  readonly logCapped: string;
  readonly stopFile: string;
  readonly resultFile: string;
  readonly outcomeFile: string;
  /** The log file of one stream. */
  readonly logFile: (stream: OutputStream) => string;
}

/** Lists the projects that have a directory. */
export function projectsIn(stateDir: string): readonly ProjectName[] {
  return directoriesIn(`${stateDir}/projects`)
    .map((name) => parseProjectName(name))
    .filter((name) => name !== undefined);
}

/** The directory that holds the job directories of a project. */
export function projectJobsPath(stateDir: string, project: ProjectName): string {
  return `${stateDir}/projects/${project}/jobs`;
}

/** The directory that holds a job's attempts. */
export function jobPath(stateDir: string, project: ProjectName, jobId: JobId): string {
  return `${projectJobsPath(stateDir, project)}/${jobId}`;
}

/** The paths of one attempt's directory; touches nothing. */
export function attemptDirectory(stateDir: string, ref: AttemptRef): AttemptDirectory {
  const path = `${jobPath(stateDir, ref.project, ref.jobId)}/${ref.number}`;
  return {
    path,
    attemptFile: `${path}/attempt.json`,
    secretsFile: `${path}/secrets.sealed`,
    scriptFile: `${path}/script`,
    workspace: `${path}/work`,
    home: `${path}/home`,
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
    logFile: (stream) => stream === "merged" ? `${path}/output.log` : `${path}/${stream}.log`,
  };
}
