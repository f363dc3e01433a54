/**
 * Starts the daemon so that it outlives this process.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { CicdError } from "@lib/core/errors.ts";
import { programCommand } from "@lib/features/install/program_paths.ts";
import { PROGRAM } from "@lib/foundations/config/program_keys.ts";
import { type DaemonFlags, toDaemonArgs } from "../../shared/daemon_flags.ts";

/** The one daemon behind all connections; systemd refuses a second unit of the name. */
const UNIT = "cicd-runner-connections.service";

/** Variables that the service manager sets for this process alone. */
const OWN_VARIABLES = /^(LISTEN_.*|NOTIFY_SOCKET|WATCHDOG_.*|INVOCATION_ID|SYSTEMD_EXEC_PID)$/;

/**
 * Starts a daemon that listens on `socketPath`; does not wait until it does.
 *
 * Starting two at once does no harm: one gets the state directory, the other exits.
 */
export async function startDaemon(
  flags: DaemonFlags,
  socketPath: string,
  signal: AbortSignal,
): Promise<void> {
  const env = Deno.env.toObject();
  const argv = daemonCommand(flags, socketPath);
  // A service manager kills the rest of a unit that ends: the daemon needs a unit of its own.
  if (env["INVOCATION_ID"] !== undefined) await startUnit(argv, { flags, env, signal });
  else startDetached(argv, env);
}

/** Returns the daemon's command line: our flags, with another socket. */
function daemonCommand(flags: DaemonFlags, socketPath: string): readonly string[] {
  const settings = new Map([...flags.settings, [PROGRAM.keys.socket.name, socketPath]]);
  return [
    ...programCommand("runner", Deno.execPath(), Deno.mainModule),
    "daemon",
    ...toDaemonArgs({ ...flags, settings }),
  ];
}

/** Starts it in a session of its own; it shares our standard error, never the connection. */
function startDetached(
  [program = "", ...args]: readonly string[],
  env: Readonly<Record<string, string>>,
): void {
  const kept = Object.entries(env).filter(([name]) => !OWN_VARIABLES.test(name));
  const child = spawn(program, args, {
    detached: true,
    stdio: ["ignore", "ignore", "inherit"],
    env: Object.fromEntries(kept),
  });
  // A failed start shows when nothing listens in time.
  child.once("error", (error) => console.error(`cicd-runner: Cannot start the daemon: ${error}`));
  child.unref();
}

async function startUnit(
  [program = "", ...args]: readonly string[],
  { flags, env, signal }: {
    readonly flags: DaemonFlags;
    readonly env: Readonly<Record<string, string>>;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { connectManager } = await import("@lib/foundations/systemd/connect_manager.ts");
  const { parseUnitName, SUITE_SLICE } = await import("@lib/foundations/systemd/unit_name.ts");
  const { unitProperty } = await import("@lib/foundations/systemd/unit_property.ts");
  const name = parseUnitName(UNIT);
  if (name === undefined) throw new CicdError("internal", `"${UNIT}" is no unit name`);
  await using manager = await connectManager(env, signal);
  // Agents get units of their own: processes of this unit end with it.
  const agents = flags.settings.has(PROGRAM.keys.agents.name) ? [] : ["--agents=systemd"];
  const passed = ["PATH", "HOME", "CICD_TOOLKIT_CACHE", "DENO_DIR", "TMPDIR", "XDG_RUNTIME_DIR"]
    .flatMap((variable) => {
      const value = env[variable];
      return value === undefined ? [] : [[variable, value]];
    });
  await manager.startTransientService(name, [
    unitProperty.description("cicd-toolkit runner (behind per-connection sockets)"),
    unitProperty.slice(SUITE_SLICE),
    unitProperty.type("exec"),
    unitProperty.collectMode("inactive-or-failed"),
    unitProperty.killMode("mixed"),
    unitProperty.oomPolicy("continue"),
    unitProperty.limitCore(0),
    unitProperty.umask(0o077),
    unitProperty.environment(Object.fromEntries(passed)),
    unitProperty.execStart({ argv: [program, ...args, ...agents] }),
  ], signal);
}
