/**
 * The environment of a job.
 *
 * @module
 */
import type { Account } from "@lib/core/account.ts";
import { jobTraceparent } from "@lib/core/trace_context.ts";
import { CONTAINER_HOME, CONTAINER_WORKSPACE } from "@lib/features/containers/container_paths.ts";
import { collectorAddress } from "@lib/features/traces/keys.ts";
import type { Config } from "@lib/foundations/config/config.ts";
import { buildContainerEnv, buildJobEnv } from "@lib/foundations/process/scrubbed_env.ts";
import type { AttemptHandle } from "@lib/spine/jobs/executor.ts";
import { JOB_DEFAULTS } from "@lib/spine/spec/keys.ts";

/** The sources of {@linkcode jobEnvironment}. */
export interface JobEnvironmentInput {
  readonly config: () => Config;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly account: Account;
}

/** Returns the environment of a job, without its secrets. */
export function jobEnvironment(
  { config, env, account: { username, shell, home } }: JobEnvironmentInput,
  { ref, spec, directory }: AttemptHandle,
): Readonly<Record<string, string>> {
  const inside = spec.container !== undefined;
  const isTracing = collectorAddress(config(), env) !== undefined;
  const trace = jobTraceparent(ref, spec.traceparent, isTracing);
  const input = {
    own: env,
    passEnv: config().of(JOB_DEFAULTS).passEnv,
    account: {
      home: inside ? CONTAINER_HOME : home,
      user: username,
      shell,
    },
    job: {
      id: ref.jobId,
      attempt: ref.number,
      project: ref.project,
      workspace: inside ? CONTAINER_WORKSPACE : directory.workspace,
      temporary: directory.temporary,
    },
    layers: [
      trace === undefined ? {} : { TRACEPARENT: trace },
      spec.env,
    ],
  };
  return inside ? buildContainerEnv(input) : buildJobEnv(input);
}
