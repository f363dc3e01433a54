/**
 * Runs git under the sole control of the suite.
 *
 * Reads no settings of the account or the machine, runs no hooks or monitors,
 * and configures no filter that a repository could name.
 *
 * @module
 */
import { retry } from "@lib/core/backoff.ts";
import type { Clock } from "@lib/core/clock.ts";
import { CicdError } from "@lib/core/errors.ts";
import type { GitRemote } from "@lib/spine/spec/git_url.ts";
import type { CommandResult, RunCommand } from "@lib/foundations/process/run_command.ts";
import { explainFailure, GitFailure, quoteOutput } from "@lib/features/checkout/git_failure.ts";

/** The surroundings of git on this machine. */
export interface GitSetting {
  readonly runCommand: RunCommand;
  /** The agent's own environment; a few of its variables are passed on. */
  readonly own: Readonly<Record<string, string | undefined>>;
  /** An empty directory instead of the account's home. */
  readonly home: string;
  /** Host keys for ssh; absent: the account's own. */
  readonly knownHosts?: string;
  readonly timeoutMs: number;
  readonly clock: Clock;
  /** Told of each retry. */
  readonly say: (line: string) => void;
}

/** The remote that a command talks to. */
export interface GitAccess {
  readonly remote: GitRemote;
  /** Program for `GIT_ASKPASS`; absent: git cannot ask for credentials. */
  readonly askpass: string | undefined;
  /** To be masked in messages. */
  readonly token: string | undefined;
}

/** One command. */
export interface GitCall {
  /** The repository itself: `….git`. */
  readonly gitDir: string;
  /** The directory of the files. */
  readonly workTree?: string;
  /** Absent: git uses no network. */
  readonly access?: GitAccess;
  readonly stdin?: string;
  readonly signal: AbortSignal;
}

/** Needed behind a proxy or a private authority. */
const NETWORK_VARIABLES = [
  ...["http_proxy", "https_proxy", "all_proxy", "no_proxy"],
  ...["HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"],
  ...["SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO"],
];

const FALLBACK_PATH = "/usr/local/bin:/usr/bin:/bin";

/** Settings on the command line take precedence over those of a repository. */
const SETTINGS = [
  "core.hooksPath=/dev/null",
  "core.fsmonitor=false",
  "core.attributesFile=/dev/null",
  "core.protectHFS=true",
  "core.protectNTFS=true",
  "credential.helper=",
  "protocol.version=2",
  "protocol.ext.allow=never",
  "protocol.fd.allow=never",
  "http.followRedirects=initial",
  "http.lowSpeedLimit=1",
  "http.lowSpeedTime=120",
  // Fetched objects stay in a pack, which can be shared as one file.
  "fetch.unpackLimit=1",
  "transfer.unpackLimit=1",
  "fetch.recurseSubmodules=false",
  "submodule.recurse=false",
  "gc.auto=0",
  "maintenance.auto=false",
  "advice.detachedHead=false",
  "i18n.logOutputEncoding=UTF-8",
];

/** Runs git for one checkout. */
export class Git {
  readonly #setting: GitSetting;

  constructor(setting: GitSetting) {
    this.#setting = setting;
  }

  /**
   * Runs a command to its end; an exit code other than 0 is a result.
   *
   * @throws {GitFailure} `too_slow`, or `other` if there is no git on this machine.
   * @throws The signal's reason if the signal aborts.
   */
  async try(args: readonly string[], call: GitCall): Promise<CommandResult> {
    const { runCommand, timeoutMs } = this.#setting;
    const settings = SETTINGS.flatMap((setting) => ["-c", setting]);
    const places = [
      `--git-dir=${call.gitDir}`,
      ...(call.workTree === undefined ? [] : [`--work-tree=${call.workTree}`]),
    ];
    try {
      return await runCommand(["git", ...settings, ...places, ...args], {
        env: gitEnvironment(this.#setting, call),
        cwd: call.workTree ?? call.gitDir,
        timeoutMs,
        signal: call.signal,
        ...(call.stdin === undefined ? {} : { stdin: call.stdin }),
      });
    } catch (error) {
      if (!(error instanceof CicdError) || call.signal.aborted) throw error;
      const kind = error.code === "deadline_exceeded" ? "too_slow" : "refused";
      throw new GitFailure(kind, `Cannot check out: ${error.message}`, { cause: error });
    }
  }

  /**
   * Runs a command that must succeed, and returns its standard output. One that cannot reach its
   * remote is repeated.
   *
   * @throws {GitFailure} If it fails.
   */
  async run(args: readonly string[], call: GitCall): Promise<string> {
    const { clock, say } = this.#setting;
    return await retry(() => this.#run(args, call), {
      passing: (error) =>
        error instanceof GitFailure && error.kind === "unreachable" ? error.message : undefined,
      ...{ say, clock, signal: call.signal },
    });
  }

  async #run(args: readonly string[], call: GitCall): Promise<string> {
    const result = await this.try(args, call);
    if (result.code === 0 && !result.truncated) return result.stdout;
    if (result.signal !== undefined || /died of signal/.test(result.stderr)) {
      throw new GitFailure("killed", "Cannot check out: git was killed from outside; try again");
    }
    if (call.access !== undefined) {
      throw explainFailure({ ...call.access, stderr: result.stderr });
    }
    const full = /No space left on device|Disk quota exceeded/.test(result.stderr);
    const output = quoteOutput(result.stderr, undefined);
    throw new GitFailure(
      full ? "disk_full" : "other",
      `git ${args[0] ?? ""} exited with code ${result.code}${output === "" ? "" : `: ${output}`}`,
    );
  }
}

/** Returns the whole environment of one command. */
export function gitEnvironment(
  { own, home, knownHosts }: GitSetting,
  { access }: Pick<GitCall, "access">,
): Readonly<Record<string, string>> {
  const scheme = access?.remote.scheme;
  const passed = scheme === "http" || scheme === "https"
    ? NETWORK_VARIABLES
    : scheme === "ssh"
    ? ["SSH_AUTH_SOCK"]
    : [];
  return {
    PATH: own["PATH"] ?? FALLBACK_PATH,
    ...Object.fromEntries(passed.flatMap((name) => {
      const value = own[name];
      return value === undefined ? [] : [[name, value]];
    })),
    HOME: home,
    XDG_CONFIG_HOME: home,
    // git's output is parsed, so it must not be translated.
    LC_ALL: "C.UTF-8",
    LANGUAGE: "C",
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_ATTR_NOSYSTEM: "1",
    GIT_TERMINAL_PROMPT: "0",
    GIT_NO_REPLACE_OBJECTS: "1",
    GIT_NO_LAZY_FETCH: "1",
    // A remote may redirect from http to https, and to nothing else.
    GIT_ALLOW_PROTOCOL: scheme === "http" ? "http:https" : scheme ?? "none",
    ...(access?.askpass === undefined ? {} : { GIT_ASKPASS: access.askpass }),
    ...(scheme === "ssh"
      ? { GIT_SSH_COMMAND: sshCommand(knownHosts), GIT_SSH_VARIANT: "ssh" }
      : {}),
  };
}

function sshCommand(knownHosts: string | undefined): string {
  const options = ["BatchMode=yes", "StrictHostKeyChecking=yes", "ConnectTimeout=30"];
  if (knownHosts !== undefined) options.push(`UserKnownHostsFile="${knownHosts}"`);
  const quoted = options.map((option) => `-o '${option.replaceAll("'", `'\\''`)}'`);
  return `ssh ${quoted.join(" ")}`;
}
