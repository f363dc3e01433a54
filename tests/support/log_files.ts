/**
 * Attempt folders with logs in them, for tests.
 *
 * @module
 */
import { systemClock } from "@lib/core/clock.ts";
import { parseJobId, parseProjectName } from "@lib/core/ids.ts";
import { type AttemptFolder, attemptFolder } from "@lib/spine/jobs/attempt_folder.ts";
import type { FollowPort } from "@lib/spine/logs/log_follow.ts";
import type { LogSource } from "@lib/spine/logs/log_source.ts";
import { LogWatcher } from "@lib/spine/logs/log_watcher.ts";
import {
  compilePatterns,
  Redactor,
  type SecretPatterns,
} from "@lib/foundations/secrets/redactor.ts";

/** A state folder with the attempts of one job; removed when disposed. */
export interface LogFiles extends AsyncDisposable {
  readonly stateDir: string;
  readonly watcher: LogWatcher;
  /** Makes the folder of an attempt. */
  readonly attempt: (number: number) => Promise<AttemptFolder>;
  /** Paths of an attempt, without making anything. */
  readonly paths: (number: number) => AttemptFolder;
}

/** Makes an empty state folder. */
export async function logFiles(): Promise<LogFiles> {
  const stateDir = await Deno.makeTempDir({ prefix: "cicd-logs-" });
  const watcher = new LogWatcher({ clock: systemClock });
  const paths = (number: number) => folderIn(stateDir, number);
  return {
    stateDir,
    watcher,
    paths,
    async attempt(number) {
      const folder = paths(number);
      await Deno.mkdir(folder.path, { recursive: true, mode: 0o700 });
      return folder;
    },
    async [Symbol.asyncDispose]() {
      await watcher[Symbol.asyncDispose]();
      await Deno.remove(stateDir, { recursive: true });
    },
  };
}

/** The folder of an attempt of the one job of {@linkcode logFiles}. */
export function folderIn(stateDir: string, number: number): AttemptFolder {
  const project = parseProjectName("web");
  const jobId = parseJobId("01930000-0000-7000-8000-000000000001");
  if (project === undefined || jobId === undefined) throw new TypeError("bad test ids");
  return attemptFolder(stateDir, { project, jobId, number });
}

/** A source with a roomy cap, settled unless told otherwise. */
export function sourceOf(folder: AttemptFolder, change: Partial<LogSource> = {}): LogSource {
  return { folder, output: "merged", maxBytes: 1 << 30, settled: true, ...change };
}

/** A follow port whose attempts are settled when told. */
export function followPort(watcher: LogWatcher): FollowPort & { readonly settle: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { watch: (folder) => watcher.watch(folder), settled: () => promise, settle: resolve };
}

/** Patterns of plain texts. */
export function patternsOf(...secrets: readonly string[]): SecretPatterns {
  return compilePatterns(secrets.map((secret) => new TextEncoder().encode(secret)));
}

/** Masks a whole text at once. */
export function masked(text: string, patterns: SecretPatterns): string {
  const redactor = new Redactor(patterns);
  const head = new TextDecoder().decode(redactor.push(new TextEncoder().encode(text)));
  return head + new TextDecoder().decode(redactor.flush());
}

/** Reads to the end; `pace` is awaited after each chunk. */
export async function textOf(
  chunks: AsyncIterable<Uint8Array>,
  pace?: () => Promise<unknown>,
): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of chunks) {
    if (chunk.length === 0 || chunk.length > 65_536) throw new RangeError("bad chunk length");
    text += decoder.decode(chunk, { stream: true });
    await pace?.();
  }
  return text + decoder.decode();
}
