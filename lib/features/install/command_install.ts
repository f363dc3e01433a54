/**
 * `install` and `uninstall`.
 *
 * @module
 */
import { dirname } from "node:path";
import { homedir, userInfo } from "node:os";
import { PROGRAM } from "@lib/foundations/config/program_keys.ts";
import { placeOf } from "@lib/foundations/config/paths.ts";
import { CicdError } from "@lib/core/errors.ts";
import { installationPaths } from "@lib/features/install/build_info.ts";
import { hostPorts } from "@lib/features/install/host_ports.ts";
import type { InstallPorts, InstallStep } from "@lib/features/install/install_ports.ts";
import { installUnits, uninstallUnits } from "@lib/features/install/units_installer.ts";
import type { CliContext } from "@lib/api/client/context.ts";
import { oneLine, type Painter } from "@lib/api/client/format.ts";
import type { InvocationOf } from "../../../cmd/runner/commands/grammar.ts";

/** Installs the units; exits with 1 if a step failed. */
export async function install(
  { dryRun, noEnable, noLinger, noHardening }: InvocationOf<"install">,
  context: CliContext,
): Promise<number> {
  const { signal } = context;
  const enable = !noEnable;
  const options = { dryRun, enable, linger: !noLinger, hardening: !noHardening, signal };
  return await tell(context, await installUnits(await installPorts(context), options));
}

/** Removes the units; exits with 1 if a step failed. */
export async function uninstall(
  { dryRun }: InvocationOf<"uninstall">,
  context: CliContext,
): Promise<number> {
  const { signal } = context;
  return await tell(context, await uninstallUnits(await installPorts(context), { dryRun, signal }));
}

/** Renders a step. */
export function renderStep({ kind, what, outcome, detail }: InstallStep, paint: Painter): string {
  const mark = outcome === "failed"
    ? paint("bad", "failed ")
    : outcome === "planned"
    ? paint("faint", "planned")
    : paint("good", "done   ");
  const more = detail === undefined ? "" : `: ${oneLine(detail)}`;
  return `${mark} ${kind} ${oneLine(what)}${more}`;
}

async function tell(
  { out, flags, paint }: CliContext,
  steps: readonly InstallStep[],
): Promise<number> {
  for (const step of steps) {
    if (flags.json) await out.json(step);
    else await out.line(renderStep(step, paint));
  }
  return steps.some(({ outcome }) => outcome === "failed") ? 1 : 0;
}

async function installPorts(context: CliContext): Promise<InstallPorts> {
  const { env } = context;
  const { config } = await context.readConfig();
  const home = env["HOME"] ?? homedir();
  const place = (name: string): string => {
    const path = placeOf(name, { env, home });
    if (path !== undefined) return path;
    throw new CicdError("usage", `Cannot install: $${name} and $HOME are not set`);
  };
  const { libDir, unitsDir } = installationPaths(Deno.execPath(), Deno.mainModule);
  return {
    ...hostPorts(env),
    subject: {
      user: userInfo().username,
      home,
      unitsDir,
      unitDir: `${place("XDG_CONFIG_HOME")}/systemd/user`,
      binDir: libDir === undefined ? undefined : `${dirname(dirname(libDir))}/bin`,
      configDir: `${place("XDG_CONFIG_HOME")}/cicd-toolkit`,
      stateDir: config.of(PROGRAM).stateDir,
      cacheDir: `${place("XDG_CACHE_HOME")}/cicd-toolkit`,
      runtimeDir: env["XDG_RUNTIME_DIR"],
    },
  };
}
