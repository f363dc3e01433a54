/**
 * The environment of a job, built from nothing.
 *
 * @module
 */

/** A set of variables. */
export type Env = Readonly<Record<string, string>>;

/** What a job's environment is made of. */
export interface JobEnvInput {
  /** The agent's own environment. */
  readonly own: Readonly<Record<string, string | undefined>>;
  /** Names taken over from {@linkcode JobEnvInput.own}. */
  readonly passEnv: readonly string[];
  readonly account: {
    readonly home: string;
    readonly user: string;
    readonly shell: string;
  };
  readonly job: {
    readonly id: string;
    /** Counts from 1. */
    readonly attempt: number;
    readonly project: string;
    /** Absolute path of the job's own directory. */
    readonly workspace: string;
  };
  /** Weakest first: of the configuration, of the project, of the job. */
  readonly layers: readonly Env[];
}

const FALLBACK_PATH = "/usr/local/bin:/usr/bin:/bin";
const FALLBACK_LANG = "C.UTF-8";

/**
 * What the service manager tells the agent itself, and would mislead a job:
 * it might take the agent's sockets, answer its watchdog or write to its directories.
 */
const NEVER_PASSED = new RegExp(
  "^(?:LISTEN_.*|WATCHDOG_.*|NOTIFY_SOCKET|FDSTORE|MAINPID|MANAGERPID|INVOCATION_ID" +
    "|JOURNAL_STREAM|SYSTEMD_EXEC_PID|MEMORY_PRESSURE_.*|CREDENTIALS_DIRECTORY" +
    "|(?:STATE|RUNTIME|CACHE|LOGS|CONFIGURATION)_DIRECTORY|CICD_.*)$",
);

/** Whether `name` may be taken over from the agent. */
export function mayPass(name: string): boolean {
  return !NEVER_PASSED.test(name);
}

/**
 * Builds the whole environment of a job; nothing else is inherited.
 *
 * In order, the later wins: the account, what is passed on, the layers, and at
 * last the variables that say which job this is. Those a job cannot change for
 * itself, so that they can be relied on.
 *
 * @returns To be checked with `envProblem` of `lib/core/exec_limits.ts`.
 */
export function buildJobEnv(input: JobEnvInput): Env {
  const { own, account, job } = input;
  const passed = input.passEnv.flatMap((name) => {
    const value = Object.hasOwn(own, name) && mayPass(name) ? own[name] : undefined;
    return value === undefined ? [] : [[name, value] as const];
  });
  return Object.fromEntries([
    ["PATH", FALLBACK_PATH],
    ["LANG", FALLBACK_LANG],
    ["HOME", account.home],
    ["USER", account.user],
    ["LOGNAME", account.user],
    ["SHELL", account.shell],
    ...passed,
    ["CI", "true"],
    ...input.layers.flatMap((layer) => Object.entries(layer)),
    ...jobVariables(job),
  ]);
}

function jobVariables(job: JobEnvInput["job"]): readonly (readonly [string, string])[] {
  return [
    ["CICD", "true"],
    ["CICD_JOB_ID", job.id],
    ["CICD_ATTEMPT", String(job.attempt)],
    ["CICD_PROJECT", job.project],
    ["CICD_WORKSPACE", job.workspace],
  ];
}

/** What is of this machine or this account, and would mislead a job that sees neither. */
const OF_THE_MACHINE =
  /^(?:PATH|HOME|USER|LOGNAME|SHELL|PWD|TMPDIR|LANG|LANGUAGE|LC_.*|TZ|XDG_.*|SSH_.*|DBUS_.*|.*_HOST)$/;

/**
 * Builds the environment of a job in a container, over the image's own.
 *
 * As {@linkcode buildJobEnv}, but what describes the machine and the account stays away unless a
 * layer sets it: the image's `PATH` is the job's.
 *
 * @param input.account.home The home in the container; the rest of the account is not used.
 */
export function buildContainerEnv(input: JobEnvInput): Env {
  const { own, account, job } = input;
  const passed = input.passEnv.flatMap((name) => {
    const value = Object.hasOwn(own, name) && mayPass(name) && !OF_THE_MACHINE.test(name)
      ? own[name]
      : undefined;
    return value === undefined ? [] : [[name, value] as const];
  });
  return Object.fromEntries([
    ["HOME", account.home],
    ...passed,
    ["CI", "true"],
    ...input.layers.flatMap((layer) => Object.entries(layer)),
    ...jobVariables(job),
  ]);
}

/** The environment of a helper program that the suite itself runs. */
export function buildHelperEnv(
  own: Readonly<Record<string, string | undefined>>,
  names: readonly string[] = ["PATH", "HOME", "USER", "XDG_RUNTIME_DIR"],
): Env {
  const taken = names.flatMap((name) => {
    const value = Object.hasOwn(own, name) ? own[name] : undefined;
    return value === undefined ? [] : [[name, value] as const];
  });
  return Object.fromEntries([["PATH", FALLBACK_PATH], ...taken, ["LC_ALL", FALLBACK_LANG]]);
}
