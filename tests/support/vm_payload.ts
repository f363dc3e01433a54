/**
 * The second disk of the emulated machine: the release, the checks, and what they need.
 *
 * @module
 */
import { runOnHost } from "./machine_host.ts";
import { releaseUnderTest } from "./release.ts";
import { VM_PAYLOAD, type VmRoot } from "./vm_root.ts";

const CHECKOUT = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");

/** Programs of the image that the container checks run. */
const IMAGE_PROGRAMS = ["sh", "cat", "dd", "echo", "id", "ls", "sleep", "stat", "tail", "touch"];

/** Starts the checks. All of V8's compiled code is gone with the machine. */
const START = `export DENO_DIR=/tmp/deno-dir NO_COLOR=1 DENO_NO_UPDATE_CHECK=1
runtime=${VM_PAYLOAD}/release/lib/cicd-toolkit/deno
[ -x "$runtime" ] || runtime=${VM_PAYLOAD}/deno
exec "$runtime" run --quiet --no-config --no-lock --allow-all \\
  ${VM_PAYLOAD}/checks.js
`;

/** The editor that `systemctl edit` starts: writes the text instead of a person. */
const EDITOR = `#!/bin/sh
printf '%s' "$EDIT_TEXT" >"$1"
`;

/**
 * Makes the directory that becomes the second disk.
 *
 * @param stack Takes over what was made.
 * @param checks Names of the checks that are to be carried out.
 */
export async function makePayload(
  stack: AsyncDisposableStack,
  { root, checks, signal }: {
    readonly root: VmRoot;
    readonly checks: readonly string[];
    readonly signal: AbortSignal;
  },
): Promise<string> {
  const release = await releaseUnderTest(stack, signal);
  const directory = await Deno.makeTempDir({ prefix: "cicd-vm-" });
  stack.defer(() => Deno.remove(directory, { recursive: true }));
  await Deno.chmod(directory, 0o755);
  await runOnHost(["cp", "-a", "--", release, `${directory}/release`], { signal });
  // Executables have no runtime for the checks.
  if (!await Deno.stat(`${release}/lib/cicd-toolkit/deno`).then(() => true, () => false)) {
    await Deno.copyFile(Deno.execPath(), `${directory}/deno`);
  }
  await runOnHost([
    ...[Deno.execPath(), "bundle", "--quiet", "--no-check", "--platform=deno"],
    ...[`--config=${CHECKOUT}/deno.json`, `--output=${directory}/checks.js`],
    `${CHECKOUT}/tests/vm/main.ts`,
  ], { signal });
  await Deno.writeTextFile(`${directory}/start`, START);
  await Deno.writeTextFile(`${directory}/editor`, EDITOR, { mode: 0o755 });
  await Deno.writeTextFile(`${directory}/plan.json`, JSON.stringify({ checks }));
  await makeImage(`${directory}/image`, root, signal);
  return directory;
}

/** An image to import: Debian's static busybox and nothing else. */
async function makeImage(directory: string, root: VmRoot, signal: AbortSignal): Promise<void> {
  await Deno.mkdir(`${directory}/bin`, { recursive: true });
  await Deno.mkdir(`${directory}/tmp`);
  await Deno.chmod(`${directory}/tmp`, 0o1777);
  await runOnHost(["cp", "--", `${root.path}/bin/busybox`, `${directory}/bin/busybox`], { signal });
  for (const program of IMAGE_PROGRAMS) {
    await Deno.symlink("busybox", `${directory}/bin/${program}`);
  }
  await runOnHost(["tar", "-C", directory, "-cf", `${directory}.tar`, "."], { signal });
  await Deno.remove(directory, { recursive: true });
}
