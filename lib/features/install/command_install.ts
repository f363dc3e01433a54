/**
 * `install` and `uninstall`.
 *
 * @module
 */
import { homedir, userInfo } from "node:os";
import { PROGRAM } from "@lib/foundations/config/program_keys.ts";
import { placeOf } from "@lib/foundations/config/paths.ts";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import { installationPaths } from "@lib/features/install/build_info.ts";
import { hostPorts } from "@lib/features/install/host_ports.ts";
import type { InstallPorts, InstallStep, Owner } from "@lib/features/install/install_ports.ts";
import { installUnits, uninstallUnits } from "@lib/features/install/units_installer.ts";
import type { CliContext } from "@lib/api/client/context.ts";
import { oneLine, type Painter } from "@lib/api/client/format.ts";

/** Flags of both commands: what is done, for whom, and where to. */
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
export async function install(
  invocation: InstallFlags,
  context: CliContext,
): Promise<number> {
  const { dryRun, noEnable, noLinger, noHardening } = invocation;
  const { signal, out, flags } = context;
  const ports = await installPorts({ command: "install", ...invocation }, context);
  const options = { dryRun, enable: !noEnable, linger: !noLinger, hardening: !noHardening, signal };
  const steps = await installUnits(ports, options);
  const exitCode = await tell(context, steps);
  if (dryRun || flags.json) return exitCode;
  const socket = steps.find(({ kind, what }) => kind === "check" && what.endsWith(".sock"))?.what;
  if (socket !== undefined) {
    await out.line("Try it:");
    await out.line(`  curl -N --unix-socket ${socket} 'http://localhost/v1/jobs?follow=1' \\`);
    await out.line("    -H 'Content-Type: application/json' \\");
    await out.line(`    -d '{"project": "demo", "command": ["echo", "hello"]}'`);
  } else if (ports.subject.owner === undefined) {
    await out.line("Each user who wants a runner:");
    await out.line("  loginctl enable-linger && systemctl --user enable --now cicd-runner.socket");
  }
  return exitCode;
}

/** Removes the units; exits with 1 if a step failed. */
export async function uninstall(
  invocation: UninstallFlags,
  context: CliContext,
): Promise<number> {
  const { dryRun, purge, yes } = invocation;
  if (purge && !yes && !dryRun) {
    throw new CicdError(
      "usage",
      "Cannot purge: configuration, job history and logs would be removed; confirm with --yes",
    );
  }
  const ports = await installPorts(
    { command: "uninstall", ...invocation, prefix: undefined },
    context,
  );
  return await tell(
    context,
    await uninstallUnits(ports, { dryRun, purge, signal: context.signal }),
  );
}

/** Renders a step. */
export function renderStep({ kind, what, outcome, detail }: InstallStep, paint: Painter): string {
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

/** For whom and where to; of both commands. */
interface Target {
  readonly command: "install" | "uninstall";
  readonly system: boolean;
  readonly user: string | undefined;
  readonly prefix: string | undefined;
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
        : `${prefix.replace(/\/+$/, "")}/bin`,
    },
  };
}

async function findOwner(
  { command, system, user }: Target,
  context: CliContext,
): Promise<Owner | undefined> {
  if (!system && user !== undefined) throw new CicdError("usage", "--user goes with --system");
  if (system && user === undefined) return undefined;
  const self = userInfo();
  const account = user === undefined
    ? { ...self, user: self.username, home: context.env["HOME"] || homedir() }
    : await findAccount(user, context);
  const { uid, gid, home } = account;
  const given = user === undefined ? context.env : {};
  const env = { XDG_RUNTIME_DIR: `/run/user/${uid}`, ...given, HOME: home };
  const place = (name: string) => placeOf(name, { env, home }) ?? home;
  const state = `${place("XDG_STATE_HOME")}/cicd-toolkit`;
  return {
    user: account.user,
    uid,
    gid,
    home,
    configDir: `${place("XDG_CONFIG_HOME")}/cicd-toolkit`,
    // Only what is certainly the suite's own is ever removed.
    stateDir: command === "uninstall" ? state : await configuredStateDir(state, env, context),
    cacheDir: `${place("XDG_CACHE_HOME")}/cicd-toolkit`,
    dataHome: place("XDG_DATA_HOME"),
    runtimeDir: env.XDG_RUNTIME_DIR,
    asOwner: uid === self.uid ? [] : [
      "runuser",
      "-u",
      account.user,
      "--",
      "env",
      ...Object.entries(env).map((one) => one.join("=")),
    ],
  };
}

async function findAccount(
  user: string,
  { env, signal }: CliContext,
): Promise<Pick<Owner, "user" | "uid" | "gid" | "home">> {
  const found = await hostPorts(env).run(["getent", "passwd", "--", user], signal);
  const [, , uid, gid, , home] = found?.code === 0 ? found.stdout.trim().split(":") : [];
  if (home === undefined) throw new CicdError("not_found", `There is no user ${user}`);
  return { user, uid: Number(uid), gid: Number(gid), home };
}

/** A wrong configuration does not keep the units from being brought up to date. */
async function configuredStateDir(
  usual: string,
  env: Readonly<Record<string, string>>,
  { out, signal, sections, flags }: CliContext,
): Promise<string> {
  const { readConfig } = await import("@lib/foundations/config/read.ts");
  try {
    const path = flags.config === undefined ? {} : { path: flags.config };
    const { config } = await readConfig({ sections: await sections(), env, signal, ...path });
    return config.of(PROGRAM).stateDir;
  } catch (error) {
    if (!(error instanceof CicdError)) throw error;
    out.note(`warning: ${messageOf(error)}; the state directory is taken to be ${usual}`);
    return usual;
  }
}
