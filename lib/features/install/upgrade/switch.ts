/**
 * Makes a release the one in use, as `install.sh` does.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import { exists, removeIfThere } from "@lib/foundations/files/records.ts";
import type { RunCommand } from "@lib/foundations/process/run_command.ts";
import { type Installation, linkedId } from "@lib/features/install/upgrade/installed.ts";
import { removeTree, syncDirectory } from "@lib/features/install/upgrade/unpack.ts";

/** The means of {@linkcode bringUpToDate}. */
export interface SwitchPorts {
  readonly run: RunCommand;
  readonly env: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

const INSTALL_MS = 180_000;
const TEXT_MS = 30_000;

/** Links `current` to a release and `previous` to another, each by rename. */
export async function switchTo(
  { home }: Installation,
  { current, previous }: { readonly current: string; readonly previous: string },
): Promise<void> {
  // First, as an interruption in between leaves what works.
  await putLink(`releases/${previous}`, `${home}/previous`);
  await putLink(`releases/${current}`, `${home}/current`);
  await syncDirectory(home);
}

/** Removes the releases that are neither in use nor the one before, as the links say. */
export async function pruneReleases(installation: Installation): Promise<void> {
  const { home } = installation;
  const keep = new Set([
    await linkedId(installation, "current"),
    await linkedId(installation, "previous"),
  ]);
  for await (const { name, isDirectory } of Deno.readDir(`${home}/releases`)) {
    if (isDirectory && !keep.has(name)) await removeTree(`${home}/releases/${name}`);
  }
}

/**
 * Lets the programs in use install their units, completions and manual. Running programs are
 * restarted; jobs go on.
 *
 * @throws {CicdError} `io_failed` if a step failed.
 */
export async function bringUpToDate(
  { prefix, home }: Installation,
  unitDir: string,
  { run, env, signal }: SwitchPorts,
): Promise<void> {
  const program = `${home}/current/bin/cicd-runner`;
  const isHardened = await exists(`${unitDir}/cicd-runner.service.d/50-namespaces.conf`);
  // What the person chose at the installation stays.
  const choices = ["--no-enable", "--no-linger", ...isHardened ? [] : ["--no-hardening"]];
  const argv = [program, "install", "--prefix", prefix, ...choices];
  const ended = await run(argv, { env, timeoutMs: INSTALL_MS, signal });
  if (ended.code !== 0) {
    const lines = `${ended.stdout}\n${ended.stderr}`.trim().split("\n");
    const reason = lines.find((line) => line.startsWith("failed")) ?? lines.at(-1) ?? "";
    throw new CicdError("io_failed", `Cannot install the units: ${reason}`);
  }
  const share = `${prefix}/share`;
  for (
    const [path, ...words] of [
      [`${share}/bash-completion/completions/cicd-runner`, "completion", "bash"],
      [`${share}/zsh/site-functions/_cicd-runner`, "completion", "zsh"],
      [`${share}/fish/vendor_completions.d/cicd-runner.fish`, "completion", "fish"],
      [`${share}/man/man1/cicd-runner.1`, "manual"],
    ] as const
  ) {
    if (!await exists(path)) continue;
    const { code, stdout } = await run([program, ...words], { env, timeoutMs: TEXT_MS, signal });
    if (code !== 0) continue;
    const draft = `${path}.tmp.${Deno.pid}`;
    await Deno.writeTextFile(draft, stdout, { mode: 0o644 });
    await Deno.rename(draft, path);
  }
}

async function putLink(target: string, link: string): Promise<void> {
  const draft = `${link}.tmp.upgrade`;
  await removeIfThere(draft);
  await Deno.symlink(target, draft);
  await Deno.rename(draft, link);
}
