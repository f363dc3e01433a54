/**
 * The environment of a job, built from nothing.
 *
 * @module
 */

/** Environment variables by name. */
export type Env = Readonly<Record<string, string>>;

/** The sources of a job's environment. */
export interface JobEnvInput {
  /** The agent's own environment. */
  readonly own: Readonly<Record<string, string | undefined>>;
  /** Names to take from {@linkcode JobEnvInput.own}, besides those that every job gets. */
  readonly passEnv: readonly string[];
  readonly account: { readonly home: string; readonly user: string; readonly shell: string };
  readonly job: {
    readonly id: string;
    /** Counts from 1. */
    readonly attempt: number;
    readonly project: string;
    /** Absolute path of the job's own directory. */
    readonly workspace: string;
    /** Absolute path of its directory for temporary files; not used in a container. */
    readonly temporary: string;
  };
  /** Of the configuration, the project and the job; later ones win. */
  readonly layers: readonly Env[];
}

const FALLBACK_PATH = "/usr/local/bin:/usr/bin:/bin";
const FALLBACK_LANG = "C.UTF-8";

/** The search path, the language and the time zone: jobs on the machine always inherit them. */
const ALWAYS_PASSED = ["PATH", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ"] as const;

/**
 * Variables that the service manager sets for the agent itself. A job that got them might take the
 * agent's sockets, answer its watchdog or write to its directories.
 */
const NEVER_PASSED = new RegExp(
  "^(?:LISTEN_.*|WATCHDOG_.*|NOTIFY_SOCKET|FDSTORE|MAINPID|MANAGERPID|INVOCATION_ID" +
    "|JOURNAL_STREAM|SYSTEMD_EXEC_PID|MEMORY_PRESSURE_.*|CREDENTIALS_DIRECTORY" +
    "|(?:STATE|RUNTIME|CACHE|LOGS|CONFIGURATION)_DIRECTORY|CICD_.*)$",
);

/** Variables that describe this machine or account, and would mislead a job in a container. */
const OF_THE_MACHINE =
  /^(?:PATH|HOME|USER|LOGNAME|SHELL|PWD|TMPDIR|LANG|LANGUAGE|LC_.*|TZ|XDG_.*|SSH_.*|DBUS_.*|.*_HOST)$/;

/** Returns true if a job may get the agent's variable `name`. */
export function mayPass(name: string): boolean {
  return !NEVER_PASSED.test(name);
}

/**
 * Builds the whole environment of a job; nothing else is inherited.
 *
 * In order, later ones win: the account, the passed variables, the layers, and the variables that
 * identify the job. A job cannot override the latter, so they are reliable.
 *
 * @returns Check it with `envProblem` of `lib/core/exec_limits.ts`.
 */
export function buildJobEnv(input: JobEnvInput): Env {
  const { home, user, shell } = input.account;
  return {
    PATH: FALLBACK_PATH,
    LANG: FALLBACK_LANG,
    HOME: home,
    USER: user,
    LOGNAME: user,
    SHELL: shell,
    ...taken(input.own, [...ALWAYS_PASSED, ...input.passEnv].filter(mayPass)),
    // The machine's directory is shared, and nothing would remove the files of a killed job from it.
    TMPDIR: input.job.temporary,
    ...jobVariables(input),
  };
}

/**
 * Builds the environment of a job in a container, on top of the image's own.
 *
 * As {@linkcode buildJobEnv}, but without the variables that describe the machine and the account,
 * unless a layer sets them: the job gets the image's `PATH`. Its directory for temporary files is
 * the container's own and removed with it.
 *
 * @param input.account.home The home in the container; the rest of the account is not used.
 */
export function buildContainerEnv(input: JobEnvInput): Env {
  const names = input.passEnv.filter((name) => mayPass(name) && !OF_THE_MACHINE.test(name));
  return { HOME: input.account.home, ...taken(input.own, names), ...jobVariables(input) };
}

function jobVariables({ layers, job }: JobEnvInput): Env {
  return {
    CI: "true",
    ...Object.fromEntries(layers.flatMap((layer) => Object.entries(layer))),
    CICD: "true",
    CICD_JOB_ID: job.id,
    CICD_ATTEMPT: String(job.attempt),
    CICD_PROJECT: job.project,
    CICD_WORKSPACE: job.workspace,
  };
}

/** Builds the environment of a helper program that the suite itself runs. */
export function buildHelperEnv(
  own: Readonly<Record<string, string | undefined>>,
  names: readonly string[] = ["PATH", "HOME", "USER", "XDG_RUNTIME_DIR"],
): Env {
  return { PATH: FALLBACK_PATH, ...taken(own, names), LC_ALL: FALLBACK_LANG };
}

function taken(own: JobEnvInput["own"], names: readonly string[]): Env {
  return Object.fromEntries(names.flatMap((name) => {
    const value = Object.hasOwn(own, name) ? own[name] : undefined;
    return value === undefined ? [] : [[name, value] as const];
  }));
}
