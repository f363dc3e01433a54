/**
 * Environment variables and sockets that the service manager passes to this
 * process, as in `sd_listen_fds(3)`.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";

/** A mutable environment such as `Deno.env`. */
export interface TakeableEnvironment {
  get(name: string): string | undefined;
  delete(name: string): void;
}

/** Reads and removes variables, so that no child inherits them. */
export function takeVariables<Name extends string>(
  env: TakeableEnvironment,
  names: readonly Name[],
): ReadonlyMap<Name, string> {
  const taken = new Map<Name, string>();
  for (const name of names) {
    const value = env.get(name);
    if (value === undefined) continue;
    taken.set(name, value);
    env.delete(name);
  }
  return taken;
}

/** One inherited socket. */
export interface ListenFd {
  readonly fd: number;
  /** From `FileDescriptorName=`; `unknown` if the manager gave none. */
  readonly name: string;
}

/** Options for {@linkcode takeListenFds}. */
export interface ListenFdsOptions {
  readonly env: TakeableEnvironment;
  readonly pid: number;
  /** Keeps a descriptor from child processes. */
  readonly setCloseOnExec: (fd: number) => void;
}

/** Begins the names of the descriptors that are no sockets to listen at: the manager only keeps them. */
export const KEPT_PREFIX = "kept-";

const FIRST_FD = 3;
/** More than any unit of this suite has; bounds the loop over a corrupt number. */
const MAX_FDS = 256;

/**
 * Takes the sockets passed to this process, and the variables that announce them.
 *
 * @returns An empty list if there are none, or they are meant for another process.
 * @throws {CicdError} `invalid_config` if the variables contradict themselves.
 */
export function takeListenFds(options: ListenFdsOptions): readonly ListenFd[] {
  const { env, pid, setCloseOnExec } = options;
  const taken = takeVariables(env, ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"]);
  const listenPid = taken.get("LISTEN_PID");
  const listenFds = taken.get("LISTEN_FDS");
  if (listenPid === undefined || listenFds === undefined) return [];
  if (parseCount(listenPid) === undefined) throw malformed("LISTEN_PID", listenPid, "not a number");
  if (parseCount(listenPid) !== pid) return [];
  const count = parseCount(listenFds);
  if (count === undefined) throw malformed("LISTEN_FDS", listenFds, "not a number");
  if (count > MAX_FDS) throw malformed("LISTEN_FDS", listenFds, `more than ${MAX_FDS}`);
  const names = taken.get("LISTEN_FDNAMES")?.split(":");
  if (count > 0 && names !== undefined && names.length !== count) {
    throw malformed(
      "LISTEN_FDNAMES",
      names.join(":"),
      `${names.length} names for ${count} sockets`,
    );
  }
  return Array.from({ length: count }, (_, index) => {
    const fd = FIRST_FD + index;
    setCloseOnExec(fd);
    return { fd, name: names?.[index] ?? "unknown" };
  });
}

function parseCount(text: string): number | undefined {
  return /^\d{1,10}$/.test(text) ? Number(text) : undefined;
}

function malformed(variable: string, value: string, state: string): CicdError {
  return new CicdError("invalid_config", `Cannot use ${variable} "${value}": it is ${state}`);
}
