/**
 * `upgrade`.
 *
 * @module
 */
import { resolve } from "node:path";
import { ownAccount } from "@lib/core/account.ts";
import { CicdError } from "@lib/core/errors.ts";
import { RunnerTransport } from "@lib/api/client/transport.ts";
import type { CliContext } from "@lib/api/client/context.ts";
import { oneLine } from "@lib/api/client/format.ts";
import { placeOf } from "@lib/foundations/config/paths.ts";
import { PROGRAM } from "@lib/foundations/config/program_keys.ts";
import { SocketClient } from "@lib/foundations/http/socket_client.ts";
import { runCommand } from "@lib/foundations/process/run_command.ts";
import { readSmallFile } from "@lib/foundations/secrets/private_file.ts";
import { installationPaths, programCommand } from "@lib/features/install/program_paths.ts";
import type { ReleaseSource } from "@lib/features/install/upgrade/find.ts";
import type { AskRunner } from "@lib/features/install/upgrade/gate.ts";
import {
  type Installation,
  installationAt,
  installationOf,
  readOrigin,
  requireOwn,
} from "@lib/features/install/upgrade/installed.ts";
import { compareVersions } from "@lib/features/install/upgrade/release_files.ts";
import { UserUnits } from "@lib/features/install/upgrade/units.ts";
import {
  check,
  recoverInstallation,
  upgrade,
  type UpgradeInput,
  type UpgradeOutcome,
  type UpgradePorts,
} from "@lib/features/install/upgrade/upgrade.ts";

/** Flags of `upgrade`. */
export interface UpgradeFlags {
  readonly to: string | undefined;
  readonly check: boolean;
  readonly from: string | undefined;
  /** In milliseconds. */
  readonly within: number | undefined;
  readonly recover: boolean;
  readonly prefix: string | undefined;
}

const GATE_MS = 60_000;
const PEM_MAX_BYTES = 1024 * 1024;

/** Upgrades the installation; exits with 1 if the new release was no good. */
export async function runUpgrade(invocation: UpgradeFlags, context: CliContext): Promise<number> {
  const { signal, env, out, flags } = context;
  const version = invocation.to?.replace(/^v/, "");
  if (version !== undefined && !/^[A-Za-z0-9.+-]+$/.test(version)) {
    throw new CicdError("usage", `Cannot upgrade to "${invocation.to}": it is no version`);
  }
  const { libDir } = installationPaths(Deno.execPath(), Deno.mainModule);
  const { prefix } = invocation;
  const installation = prefix === undefined
    ? installationOf(libDir)
    : installationAt(resolve(prefix));
  await requireOwn(installation, ownAccount(env).uid);
  const ports = makePorts(invocation, context);
  if (invocation.recover) {
    const done = await recoverInstallation(installation, ports);
    const text = done ?? "no upgrade was interrupted";
    if (flags.json) await out.json({ outcome: "recovered", message: text });
    else await out.line(text);
    return 0;
  }
  const { config } = await context.readConfig();
  const { stateDir, socket } = config.of(PROGRAM);
  const source = await sourceOf(invocation, installation, env);
  const input: UpgradeInput = { installation, source, to: version, stateDir, socket };
  if (invocation.check) {
    const { installed, published } = await check(input, signal);
    return await sayWhatThereIs(context, installed, published);
  }
  const outcome = await upgrade(input, { ...ports, ask: ports.askAt(socket) });
  out.progress(undefined);
  return await report(context, outcome, installation);
}

async function sourceOf(
  { from }: UpgradeFlags,
  installation: Installation,
  env: Readonly<Record<string, string>>,
): Promise<ReleaseSource> {
  const origin = await readOrigin(installation);
  const url = from ?? (env["CICD_TOOLKIT_BASE_URL"] || origin.url);
  if (url === undefined) {
    throw new CicdError(
      "usage",
      "Cannot look for releases: nothing says where they are; use --from URL, or set " +
        "CICD_TOOLKIT_BASE_URL",
    );
  }
  const publicKey = env["CICD_TOOLKIT_PUBLIC_KEY"] || origin.publicKey;
  const what = "CICD_CA_FILE";
  const path = env[what] ?? "";
  const limits = { what, maxBytes: PEM_MAX_BYTES, mustBePrivate: false };
  const authority = path === "" ? undefined : readSmallFile(path, limits);
  return { url, publicKey, authority: authority && new TextDecoder().decode(authority) };
}

function makePorts(
  { within }: UpgradeFlags,
  { env, clock, out, signal }: CliContext,
): Omit<UpgradePorts, "ask"> {
  const { home, uid } = ownAccount(env);
  const config = placeOf("XDG_CONFIG_HOME", { env, home }) ?? `${home}/.config`;
  const unitDir = `${config}/systemd/user`;
  const runtime = { XDG_RUNTIME_DIR: `/run/user/${uid}`, ...env };
  return {
    run: runCommand,
    env: runtime,
    units: new UserUnits({ run: runCommand, env: runtime, unitDir }),
    clock,
    askAt,
    unitDir,
    self: programCommand("runner", Deno.execPath(), Deno.mainModule),
    target: Deno.build.target,
    gateMs: within ?? GATE_MS,
    doing: (what) => out.progress(what),
    note: (text) => out.note(text),
    signal,
  };
}

function askAt(socketPath: string): AskRunner {
  return async (path, signal) => {
    using runner = new RunnerTransport({ sender: new SocketClient(socketPath), socketPath });
    return await runner.json({ path, signal });
  };
}

async function sayWhatThereIs(
  { out, flags }: CliContext,
  installed: string,
  { version, url, isSigned }: { version: string; url: string; isSigned: boolean },
): Promise<number> {
  const isNewer = compareVersions(version, installed) > 0;
  if (flags.json) {
    await out.json({ installed, available: version, newer: isNewer, signed: isSigned, url });
    return 0;
  }
  const what = isNewer ? "newer" : version === installed ? "the installed one" : "older";
  await out.line(`installed: ${installed}`);
  await out.line(`available: ${version} (${what}) at ${url}`);
  return 0;
}

async function report(
  { out, flags, paint }: CliContext,
  outcome: UpgradeOutcome,
  { home }: Installation,
): Promise<number> {
  if (flags.json) await out.json(asJson(outcome));
  switch (outcome.kind) {
    case "current": {
      const { version, available } = outcome;
      if (!flags.json) {
        const more = available === version ? "" : `; ${available} is older, use --to for it`;
        await out.line(`${version} is installed, and nothing newer is there${more}`);
      }
      return 0;
    }
    case "upgraded": {
      const { from, to, jobs } = outcome;
      const how = jobs === undefined
        ? "no runner was running"
        : `the runner has taken over ${jobs === 1 ? "1 job" : `${jobs} jobs`}`;
      if (!flags.json) await out.line(`${paint("good", "upgraded")} ${from} to ${to}: ${how}`);
      return 0;
    }
    case "rolled_back": {
      const { from, to, reason, journal, problem } = outcome;
      if (!flags.json) {
        await out.line(`${paint("bad", "rolled back")} to ${from}: ${to} is no good: ${reason}`);
        if (journal.length > 0) await out.line("The last lines of its journal:");
        for (const line of journal) await out.line(`  ${oneLine(line)}`);
        await out.line(
          problem === undefined
            ? `${from} is running again, with the jobs that were under way.`
            : `${from} is in place, but ${problem}; see ${home}/releases and cicd-runner doctor.`,
        );
      }
      return 1;
    }
  }
}

function asJson(outcome: UpgradeOutcome): Readonly<Record<string, unknown>> {
  const { kind, ...rest } = outcome;
  return { outcome: kind, ...rest };
}
