/**
 * `install` and `uninstall`.
 *
 * @module
 */
import { resolve } from "node:path";
import { ownAccount } from "@lib/core/account.ts";
import { PROGRAM } from "@lib/foundations/config/program_keys.ts";
import { placeOf } from "@lib/foundations/config/paths.ts";
import { readConfig } from "@lib/foundations/config/read.ts";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import { hostPorts } from "@lib/features/install/host_ports.ts";
import { installationPaths } from "@lib/features/install/program_paths.ts";
import type {
  InstallPorts,
  InstallStep,
  InstallSubject,
  Owner,
} from "@lib/features/install/steps.ts";
import { installUnits, uninstallUnits } from "@lib/features/install/units_installer.ts";
import type { CliContext } from "@lib/api/client/context.ts";
import { oneLine, type Painter } from "@lib/api/client/format.ts";

/** Flags of both commands. */
interface TargetFlags {
  readonly dryRun: boolean;
  readonly system: boolean;
  readonly user: string | undefined;
}

/** Flags of `install`. */
export interface InstallFlags extends TargetFlags {
  readonly noEnable: boolean;
  readonly noLinger: boolean;
  readonly noHardening: boolean;
  readonly prefix: string | undefined;
}

/** Flags of `uninstall`. */
export interface UninstallFlags extends TargetFlags {
  readonly purge: boolean;
  readonly yes: boolean;
}

/** Installs the units; exits with 1 if a step failed. */
export async function install(invocation: InstallFlags, context: CliContext): Promise<number> {
  const { signal, out, flags } = context;
  const ports = await installPorts({ command: "install", ...invocation }, context);
  const steps = await installUnits(ports, { ...invocation, signal });
  const exitCode = await report(context, steps, ports.subject);
  if (invocation.dryRun || flags.json) return exitCode;
  const { binDir } = ports.subject;
  const isFound = binDir === undefined || (context.env["PATH"] ?? "").split(":").includes(binDir);
  if (!isFound) {
    await out.line("To call cicd-runner by name, here and in your shell's profile:");
    await out.line(`  export PATH="${binDir}:$PATH"`);
  }
  if (steps.some(({ kind, what }) => kind === "check" && what.endsWith(".sock"))) {
    await out.line("Try it:");
    await out.line("  cicd-runner run -- echo hello");
  } else if (ports.subject.owner === undefined) {
    await out.line("Each user who wants a runner:");
    await out.line("  loginctl enable-linger && systemctl --user enable --now cicd-runner.socket");
  }
  return exitCode;
}

/** Removes the units; exits with 1 if a step failed. */
export async function uninstall(invocation: UninstallFlags, context: CliContext): Promise<number> {
  if (invocation.purge && !invocation.yes && !invocation.dryRun) {
    throw new CicdError(
      "usage",
      "Cannot purge: configuration, job history and logs would be removed; confirm with --yes",
    );
  }
  const ports = await installPorts({ command: "uninstall", ...invocation }, context);
  const steps = await uninstallUnits(ports, { ...invocation, signal: context.signal });
  return await report(context, steps, ports.subject);
}

function renderStep({ kind, what, outcome, detail }: InstallStep, paint: Painter): string {
  const more = detail === undefined ? "" : `: ${oneLine(detail)}`;
  const step = `${kind} ${oneLine(what)}${more}`;
  switch (outcome) {
    case "planned":
      return `${paint("faint", `would ${kind}:`)} ${oneLine(what)}`;
    case "done":
      return `${paint("good", "done   ")} ${step}`;
    case "warning":
      return `${paint("warn", "warning")} ${step}`;
    case "failed":
      return `${paint("bad", "failed ")} ${step}`;
  }
}

async function report(
  { out, flags, paint }: CliContext,
  steps: readonly InstallStep[],
  { unitDir }: InstallSubject,
): Promise<number> {
  for (const step of flags.json ? steps : briefly(steps, unitDir)) {
    if (flags.json) await out.json(step);
    else await out.line(renderStep(step, paint));
  }
  return steps.some(({ outcome }) => outcome === "failed") ? 1 : 0;
}

/** Returns the steps with one line for neighbours that write, or remove, files of units. */
function briefly(steps: readonly InstallStep[], unitDir: string): readonly InstallStep[] {
  const brief: InstallStep[] = [];
  let files = 0;
  for (const step of steps) {
    const { kind, what, outcome, detail } = step;
    const isPlain = outcome === "done" && detail === undefined && what.startsWith(`${unitDir}/`) &&
      (kind === "write" || kind === "remove");
    const isOneMore = isPlain && files > 0 && brief.at(-1)?.kind === kind;
    files = isOneMore ? files + 1 : isPlain ? 1 : 0;
    if (!isOneMore) brief.push(step);
    else brief[brief.length - 1] = { kind, what: `${files} files in ${unitDir}`, outcome };
  }
  return brief;
}

interface Target extends TargetFlags {
  readonly command: "install" | "uninstall";
  readonly prefix?: string | undefined;
}

async function installPorts(target: Target, context: CliContext): Promise<InstallPorts> {
  const { env, clock } = context;
  const { system, prefix } = target;
  const owner = await findOwner(target, context);
  const { binDir, unitsDir } = installationPaths(Deno.execPath(), Deno.mainModule);
  const unitHome = system ? "/etc" : owner?.configDir.replace(/\/cicd-toolkit$/, "");
  const runtime = owner === undefined ? {} : { XDG_RUNTIME_DIR: owner.runtimeDir };
  return {
    ...hostPorts({ ...env, ...runtime }),
    clock,
    subject: {
      system,
      owner,
      unitsDir,
      unitDir: `${unitHome}/systemd/user`,
      binDir: prefix === undefined
        // The links to the release in use stay when an upgrade removes the release.
        ? binDir?.replace(/\/lib\/cicd-toolkit\/(?:current|releases\/[^/]+)\/bin$/, "/bin")
        : `${resolve(prefix).replace(/\/$/, "")}/bin`,
    },
  };
}

async function findOwner(
  { command, system, user }: Target,
  context: CliContext,
): Promise<Owner | undefined> {
  if (!system && user !== undefined) throw new CicdError("usage", "--user needs --system");
  if (system && user === undefined) return undefined;
  const self = ownAccount(context.env);
  const account = user === undefined ? self : await findAccount(user, context);
  const { username, uid, gid, home } = account;
  const own = user === undefined ? context.env : {};
  const env = { XDG_RUNTIME_DIR: `/run/user/${uid}`, ...own, HOME: home };
  const place = (name: string) => placeOf(name, { env, home }) ?? home;
  const state = `${place("XDG_STATE_HOME")}/cicd-toolkit`;
  return {
    user: username,
    uid,
    gid,
    home,
    configDir: `${place("XDG_CONFIG_HOME")}/cicd-toolkit`,
    // Only the default directory is certain to be the suite's own, so no other is removed.
    stateDir: command === "uninstall" ? state : await configuredStateDir(state, env, context),
    cacheDir: `${place("XDG_CACHE_HOME")}/cicd-toolkit`,
    dataHome: place("XDG_DATA_HOME"),
    runtimeDir: env.XDG_RUNTIME_DIR,
    asOwner: uid === self.uid ? [] : [
      "runuser",
      "-u",
      username,
      "--",
      "env",
      ...Object.entries(env).map((one) => one.join("=")),
    ],
  };
}

async function findAccount(username: string, { env, signal }: CliContext) {
  const found = await hostPorts(env).run(["getent", "passwd", "--", username], signal);
  const [, , uid, gid, , home] = found?.code === 0 ? found.stdout.trim().split(":") : [];
  if (home === undefined) throw new CicdError("not_found", `There is no user ${username}`);
  return { username, uid: Number(uid), gid: Number(gid), home };
}

/** Reads the state directory; an invalid configuration does not stop the installation. */
async function configuredStateDir(
  usual: string,
  env: Readonly<Record<string, string>>,
  { out, signal, sections, flags }: CliContext,
): Promise<string> {
  try {
    const path = flags.config === undefined ? {} : { path: flags.config };
    const { config } = await readConfig({ sections: await sections(), env, signal, ...path });
    return config.of(PROGRAM).stateDir;
  } catch (error) {
    if (!(error instanceof CicdError)) throw error;
    out.note(`warning: ${messageOf(error)}; assuming the state directory is ${usual}`);
    return usual;
  }
}
