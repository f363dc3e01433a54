/**
 * Files and standard input of a command.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import { formatSize } from "@lib/core/size.ts";
import type { JobSpecPorts } from "@lib/features/jobs/commands/job_spec.ts";
import { INPUT_MAX_BYTES } from "@lib/features/jobs/commands/job_spec.ts";

/** Makes the ports of this process. */
export function openInput(env: Readonly<Record<string, string>>): JobSpecPorts {
  let reader: string | undefined;
  return {
    cwd: Deno.cwd(),
    env: (name) => env[name],
    async readFile(path) {
      using file = await Deno.open(path);
      return await readAll(file, `"${path}"`);
    },
    async readStdin(what) {
      if (reader !== undefined) {
        throw new CicdError(
          "usage",
          `Cannot read standard input twice: ${reader} and ${what} both name it`,
        );
      }
      reader = what;
      return await readAll(Deno.stdin, "standard input");
    },
  };
}

async function readAll(
  source: { read(into: Uint8Array): Promise<number | null> },
  what: string,
): Promise<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let text = "";
  let size = 0;
  const buffer = new Uint8Array(64 * 1024);
  try {
    for (let read = await source.read(buffer); read !== null; read = await source.read(buffer)) {
      size += read;
      if (size > INPUT_MAX_BYTES) {
        throw new CicdError(
          "usage",
          `Cannot read ${what}: it is larger than ${formatSize(INPUT_MAX_BYTES)}`,
        );
      }
      text += decoder.decode(buffer.subarray(0, read), { stream: true });
    }
    return text + decoder.decode();
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new CicdError("usage", `Cannot read ${what}: it is no UTF-8 text`, { cause: error });
  }
}
