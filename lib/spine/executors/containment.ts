/**
 * How jobs are held together on machines without a service manager.
 *
 * @module
 */
import { CicdError, messageOf } from "@lib/core/errors.ts";
import { existsSync } from "@lib/foundations/files/records.ts";
import type { RunCommand } from "@lib/foundations/process/run_command.ts";

/** The way to contain jobs that the configuration asks for. */
export type ContainChoice = "auto" | "namespace" | "marker";

/** How the jobs of this machine are contained. */
export interface ContainmentPlan {
  /**
   * The first argument of the supervisor: `pid` is a PID namespace, `user` one in a user namespace,
   * `marker` none.
   */
  readonly way: "pid" | "user" | "marker";
  /** Why there is no namespace. */
  readonly why?: string;
  /** Paths of helpers; empty if they are not needed. `setsid` is one that can wait. */
  readonly unshare: string;
  readonly nsenter: string;
  readonly setsid: string;
}

const PLACES = ["/usr/bin", "/bin", "/usr/sbin", "/sbin", "/run/current-system/sw/bin"];
const PROBE_MS = 5_000;

/**
 * Tells a death by signal as the supervisor does, and that the children of a process can be listed.
 * 13 is SIGPIPE, which shells do not tell apart.
 */
const PROBE = `"$0" -f -w /bin/sh -c 'kill -s PIPE $$'; echo "=$?"
[ -r "/proc/$$/task/$$/children" ] && echo listed`;
const PROBED = "=13\nlisted\n";

/**
 * Finds out how jobs can be contained, by trying it.
 *
 * Root gets no user namespace unless `choice` says so: files of other users, which it may own
 * otherwise, would be out of its reach.
 *
 * @throws {CicdError} `executor_failed` if `choice` is a namespace, and there can be none.
 */
export async function findContainment(
  choice: ContainChoice,
  { run, isThere = existsSync, uid, signal }: {
    readonly run: RunCommand;
    /** Tells if a program is at a path. */
    readonly isThere?: (path: string) => boolean;
    readonly uid: number;
    readonly signal: AbortSignal;
  },
): Promise<ContainmentPlan> {
  const find = (name: string) =>
    PLACES.map((place) => `${place}/${name}`).find((path) => isThere(path)) ?? "";
  const setsid = find("setsid");
  const attempt = async (argv: readonly string[]): Promise<string | undefined> => {
    try {
      const tried = await run([...argv, "/bin/sh", "-c", PROBE, setsid], {
        timeoutMs: PROBE_MS,
        signal,
      });
      if (tried.stdout === PROBED) return undefined;
      const [line = ""] = tried.stderr.trim().split("\n");
      return line === "" ? "a trial run failed" : line.slice(0, 200);
    } catch (error) {
      signal.throwIfAborted();
      return messageOf(error);
    }
  };
  const marker = async (why: string): Promise<ContainmentPlan> => {
    if (choice === "namespace") {
      throw new CicdError("executor_failed", `Cannot contain jobs in a namespace: ${why}`);
    }
    const isUsable = setsid !== "" && await attempt([]) === undefined;
    return { way: "marker", why, unshare: "", nsenter: "", setsid: isUsable ? setsid : "" };
  };
  if (choice === "marker") return await marker("direct.contain is marker");
  const [unshare, nsenter] = [find("unshare"), find("nsenter")];
  const missing = Object.entries({ setsid, unshare, nsenter }).find(([, path]) => path === "");
  if (missing !== undefined) return await marker(`there is no ${missing[0]} program`);
  let why = "";
  for (const way of uid === 0 ? ["pid", "user"] as const : ["user"] as const) {
    if (way === "user" && uid === 0 && choice !== "namespace") continue;
    const refusal = await attempt([unshare, ...UNSHARE[way]]);
    if (refusal === undefined) return { way, unshare, nsenter, setsid };
    why = refusal;
  }
  return await marker(why);
}

const PID = ["--pid", "--fork", "--kill-child", "--mount-proc"];
const UNSHARE = { pid: PID, user: ["--user", "--map-current-user", ...PID] };
