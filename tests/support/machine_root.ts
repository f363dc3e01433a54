/**
 * The root file systems of the test machines, made once and kept.
 *
 * @module
 */
import { runOnHost } from "./machine_host.ts";

/** Everything that shapes a root; a change makes a new one. */
export interface RootRecipe {
  readonly suite: string;
  readonly packages: readonly string[];
  /** Shell commands, run once the packages are there; `$1` is the root. */
  readonly hooks: readonly string[];
}

/** The root of the containers of `machine.ts`. */
const RECIPE: RootRecipe = {
  suite: "bookworm",
  packages: [
    "systemd",
    "systemd-sysv",
    "dbus",
    "dbus-user-session",
    "libpam-systemd",
    "udev",
    "kmod",
    "curl",
    "git",
    "make",
    "procps",
    "psmisc",
    "iproute2",
    "ca-certificates",
    "tmux",
    "vim-tiny",
  ],
  hooks: [
    // Without it the journal is volatile, and a user cannot read his own.
    'mkdir -p "$1/var/log/journal"',
    // No clock may start work in the middle of a test, and nobody logs in.
    'for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer systemd-tmpfiles-clean.timer console-getty.service getty.target; do ln -sf /dev/null "$1/etc/systemd/system/$unit"; done',
    // The builder's own name and name servers have no place in a machine.
    'rm -f "$1/etc/hostname" "$1/etc/resolv.conf"; echo "127.0.0.1 localhost" >"$1/etc/hosts"',
    // The mount points of what every machine gets.
    'touch "$1/usr/local/bin/deno"',
    'rm -rf "$1"/usr/share/doc/* "$1"/usr/share/man/* "$1"/var/cache/apt/*.bin',
  ],
};

/** Directory for everything the test machines keep between runs. */
export function machineCache(): string {
  const cache = Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME") ?? "/root"}/.cache`;
  return `${cache}/cicd-toolkit-tests`;
}

/** Where the root of a recipe lies, or will lie. */
export async function machineRootPath(recipe = RECIPE): Promise<string> {
  const text = new TextEncoder().encode(JSON.stringify(recipe));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", text));
  return `${machineCache()}/roots/${digest.toHex().slice(0, 16)}`;
}

/**
 * Makes the root of a recipe unless it is there; takes half a minute or more and a Debian mirror.
 *
 * Of several processes one builds and the others wait. A build that dies
 * leaves a directory that the next one removes.
 *
 * @returns The root's path; it must not be written to.
 * @throws {Error} If the build fails.
 */
export async function ensureMachineRoot(
  signal: AbortSignal,
  recipe = RECIPE,
): Promise<string> {
  const root = await machineRootPath(recipe);
  if (await isThere(root)) return root;
  await Deno.mkdir(`${machineCache()}/roots`, { recursive: true });
  using lock = await Deno.open(`${root}.lock`, { create: true, write: true });
  await lock.lock(true);
  if (await isThere(root)) return root;
  const building = `${root}.building`;
  await runOnHost(["rm", "-rf", "--one-file-system", building], { signal });
  console.error(`Making the root of the test machines in ${root}; this happens once`);
  await runOnHost([
    "mmdebstrap",
    "--quiet",
    "--variant=minbase",
    `--include=${recipe.packages.join(",")}`,
    ...recipe.hooks.map((hook) => `--customize-hook=${hook}`),
    recipe.suite,
    building,
  ], { signal: AbortSignal.any([signal, AbortSignal.timeout(600_000)]) });
  await Deno.rename(building, root);
  return root;
}

async function isThere(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
