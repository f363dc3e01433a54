/**
 * The place of a job as a terminal's: its workspace, its environment and its cgroup.
 *
 * @module
 */
import type { Account } from "@lib/core/account.ts";
import { CicdError } from "@lib/core/errors.ts";
import type { JobId, ProjectName } from "@lib/core/ids.ts";
import { existsSync } from "@lib/foundations/files/records.ts";
import { holdUnitName, jobUnitName } from "@lib/foundations/systemd/unit_name.ts";
import { readSlot, readSpec } from "@lib/spine/attempts/attempt_files.ts";
import { workdirOf } from "@lib/spine/executors/job_program.ts";
import { attemptDirectory, holdFile } from "@lib/spine/jobs/attempt_directory.ts";
import type { AttemptHandle } from "@lib/spine/jobs/executor.ts";
import type { ContainerPlace } from "@lib/features/terminals/program.ts";
import { COLOURS, found, type TerminalProgram } from "@lib/features/terminals/terminal_program.ts";

/** Options for {@linkcode jobPlace}. */
export interface JobPlaceOptions {
  readonly project: ProjectName;
  readonly stateDir: string;
  readonly account: Account;
  /** Jobs are units of the service manager. */
  readonly usesUnits: boolean;
  /** Returns the environment of a job, without its secrets. */
  readonly environmentOf: (attempt: AttemptHandle) => Readonly<Record<string, string>>;
  /** Finds the running container of a job. */
  readonly containerOf: (
    attempt: AttemptHandle,
    signal: AbortSignal,
  ) => Promise<ContainerPlace | undefined>;
  readonly signal: AbortSignal;
}

/**
 * Finds the program of a terminal in the place of an attempt that runs or is held. No command is the
 * account's shell.
 *
 * @throws {CicdError} `state_conflict`
 */
export async function jobPlace(
  attempt: { readonly jobId: JobId; readonly number: number },
  command: readonly string[],
  { project, stateDir, account, usesUnits, environmentOf, containerOf, signal }: JobPlaceOptions,
): Promise<TerminalProgram> {
  const ref = { project, ...attempt };
  const directory = attemptDirectory(
    stateDir,
    ref,
    await readSlot(attemptDirectory(stateDir, ref)),
  );
  const spec = await readSpec(directory);
  const refused = (why: string) =>
    new CicdError("state_conflict", `Cannot open a terminal in job "${ref.jobId}": ${why}`);
  if (spec === undefined) throw refused("it has not begun");
  const isHeld = existsSync(holdFile(stateDir, ref));
  if (!isHeld && existsSync(directory.outcomeFile)) throw refused("it has ended and is not held");
  if (spec.container !== undefined) {
    const container = await containerOf({ ref, spec, directory }, signal);
    if (container === undefined) throw refused("its container does not run");
    return {
      shown: command.length === 0 ? "sh" : command.join(" "),
      argv: ["/bin/sh", "-c", within(spec.secretNames), "sh", ...command],
      env: COLOURS,
      // Its own, and its own limits.
      workdir: "",
      limits: {},
      container,
    };
  }
  if (!isHeld && !usesUnits) {
    throw refused(
      "without systemd a terminal cannot be put under the limits of a running job; " +
        `'cicd-runner attach ${project}' opens one of its project`,
    );
  }
  return {
    shown: command.length === 0 ? account.shell : command.join(" "),
    argv: command.length === 0 ? [account.shell] : found(command),
    env: { ...COLOURS, ...environmentOf({ ref, spec, directory }) },
    workdir: workdirOf(spec, directory),
    // Those of the unit hold.
    limits: usesUnits ? {} : spec.limits,
    ...(usesUnits ? { unit: isHeld ? holdUnitName(ref) : jobUnitName(ref) } : {}),
  };
}

/** Returns the script that runs a command in a container, whose own environment has the secrets. */
function within(secretNames: readonly string[]): string {
  const unset = secretNames.length === 0 ? "" : `unset ${secretNames.join(" ")}; `;
  return `${unset}[ $# -gt 0 ] && exec "$@"; command -v bash >/dev/null && exec bash; exec sh`;
}
