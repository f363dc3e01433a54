/**
 * A checkout step on directories of its own.
 *
 * @module
 */
import { systemClock } from "@lib/core/clock.ts";
import { newJobId } from "@lib/core/ids.ts";
import type { GitScheme } from "@lib/spine/spec/git_url.ts";
import { createCheckoutStep } from "@lib/features/checkout/checkout_step.ts";
import { attemptDirectory, type AttemptRef } from "@lib/spine/jobs/attempt_directory.ts";
import type { GitSpec, JobSpec } from "@lib/spine/spec/job_spec.ts";
import { type RunCommand, runCommand } from "@lib/foundations/process/run_command.ts";
import { git } from "./git_repository.ts";
import { makeContainer, makeSpec } from "./job_fixtures.ts";

/** Options for {@linkcode setUpCheckouts}. */
export interface CheckoutFixtureOptions {
  readonly schemes?: readonly GitScheme[];
  readonly mirrors?: boolean;
  readonly knownHosts?: string;
  /** Added to the agent's environment. */
  readonly env?: Readonly<Record<string, string>>;
  readonly runCommand?: RunCommand;
}

/** The input of one checkout. */
export interface CheckoutRequest extends Partial<GitSpec> {
  readonly url: string;
  /** The value of the secret that the token is taken from. */
  readonly token?: string;
  /** Runs the job in a container. */
  readonly contained?: boolean;
  readonly signal?: AbortSignal;
  /** Told of the workspace before anything is done. */
  readonly onWorkspace?: (path: string) => Promise<void>;
  /** Told of every line at once. */
  readonly onSay?: (line: string) => void;
  /** Checks out for this attempt, in place of a new one. */
  readonly attempt?: AttemptRef;
}

/** A checkout that is done. */
export interface DoneCheckout {
  readonly workspace: string;
  readonly attemptPath: string;
  readonly said: readonly string[];
  /** Additions to the job's environment. */
  readonly env: Readonly<Record<string, string>>;
  /** The recorded commits. */
  readonly commits: readonly string[];
  /** Runs git in the workspace. */
  git(...args: readonly string[]): Promise<string>;
  read(path: string): Promise<string>;
}

const CONTAINER = makeContainer();

/** Makes a state directory with a checkout step on it; disposing removes it. */
export async function setUpCheckouts(options: CheckoutFixtureOptions = {}) {
  const root = await Deno.makeTempDir({ prefix: "checkout-" });
  const stateDir = `${root}/state`;
  const runtimeDir = `${root}/run`;
  await Deno.mkdir(stateDir);
  await Deno.mkdir(runtimeDir);
  const said: string[] = [];
  const step = createCheckoutStep({
    stateDir,
    runtimeDir,
    config: {
      schemes: options.schemes ?? ["https", "http", "ssh"],
      mirrors: options.mirrors ?? true,
      ...(options.knownHosts === undefined ? {} : { knownHosts: options.knownHosts }),
    },
    own: { PATH: Deno.env.get("PATH"), ...options.env },
    runCommand: options.runCommand ?? runCommand,
    // Nobody waits for a retry in a test.
    clock: {
      now: () => systemClock.now(),
      sleep: (ms, options) => systemClock.sleep(Math.min(ms, 20), options),
    },
  });
  const { project } = makeSpec();
  return {
    root,
    stateDir,
    runtimeDir,
    mirrors: `${stateDir}/projects/${project}/mirrors`,
    /** Every line of every checkout. */
    said,
    newAttempt: (): AttemptRef => ({ project, jobId: newJobId(), number: 1 }),
    /** Runs the step for a new attempt. */
    async checkOut(request: CheckoutRequest): Promise<DoneCheckout> {
      const { token, contained, signal, onWorkspace, onSay, attempt, ...wanted } = request;
      const ref = attempt ?? { project, jobId: newJobId(), number: 1 };
      const directory = attemptDirectory(stateDir, ref);
      await Deno.mkdir(directory.workspace, { recursive: true });
      await onWorkspace?.(directory.workspace);
      const lines: string[] = [];
      const env: Record<string, string> = {};
      const commits: string[] = [];
      const spec: JobSpec = {
        ...makeSpec(),
        ...(contained === true ? { container: CONTAINER } : {}),
        git: {
          depth: 1,
          submodules: false,
          lfs: false,
          path: ".",
          ...(token === undefined ? {} : { tokenSecret: "TOKEN" }),
          ...wanted,
        },
      };
      await step.before?.({
        ref,
        spec,
        directory,
        secrets: new Map(token === undefined ? [] : [["TOKEN", token]]),
        setEnv: (name, value) => void (env[name] = value),
        setCommit: (sha) => void commits.push(sha),
        say(line) {
          lines.push(line);
          said.push(line);
          onSay?.(line);
        },
      }, signal ?? new AbortController().signal);
      const at = spec.git?.path === "."
        ? directory.workspace
        : `${directory.workspace}/${spec.git?.path}`;
      return {
        workspace: directory.workspace,
        attemptPath: directory.path,
        said: lines,
        env,
        commits,
        git: (...args) => git(["-C", at, ...args]),
        read: (path) => Deno.readTextFile(`${at}/${path}`),
      };
    },
    async [Symbol.asyncDispose]() {
      await Deno.remove(root, { recursive: true });
    },
  };
}
