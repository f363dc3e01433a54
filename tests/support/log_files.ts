/**
 * Attempt directories with logs in them, for tests.
 *
 * @module
 */
import { systemClock } from "@lib/core/clock.ts";
import { parseJobId, parseProjectName } from "@lib/core/ids.ts";
import { type AttemptDirectory, attemptDirectory } from "@lib/spine/jobs/attempt_directory.ts";
import type { FollowPort } from "@lib/spine/logs/log_reader.ts";
import type { LogSource } from "@lib/spine/logs/log_source.ts";
import { LogWatcher } from "@lib/spine/logs/log_watcher.ts";
import {
  compilePatterns,
  Redactor,
  type SecretPatterns,
} from "@lib/foundations/secrets/redactor.ts";

/** A state directory with the attempts of one job; removed when disposed. */
export interface LogFiles extends AsyncDisposable {
  readonly stateDir: string;
  readonly watcher: LogWatcher;
  /** Makes the directory of an attempt. */
  readonly attempt: (number: number) => Promise<AttemptDirectory>;
  /** Paths of an attempt, without making anything. */
  readonly paths: (number: number) => AttemptDirectory;
}

/** Makes an empty state directory. */
export async function logFiles(): Promise<LogFiles> {
  const stateDir = await Deno.makeTempDir({ prefix: "cicd-logs-" });
  const watcher = new LogWatcher({ clock: systemClock });
  const paths = (number: number) => directoryIn(stateDir, number);
  return {
    stateDir,
    watcher,
    paths,
    async attempt(number) {
      const directory = paths(number);
      await Deno.mkdir(directory.path, { recursive: true, mode: 0o700 });
      return directory;
    },
    async [Symbol.asyncDispose]() {
      await watcher[Symbol.asyncDispose]();
      await Deno.remove(stateDir, { recursive: true });
    },
  };
}

/** The directory of an attempt of the one job of {@linkcode logFiles}. */
export function directoryIn(stateDir: string, number: number): AttemptDirectory {
  const project = parseProjectName("web");
  const jobId = parseJobId("01930000-0000-7000-8000-000000000001");
  if (project === undefined || jobId === undefined) throw new TypeError("bad test ids");
  return attemptDirectory(stateDir, { project, jobId, number });
}

/** A source with a roomy cap, settled unless told otherwise. */
export function sourceOf(directory: AttemptDirectory, change: Partial<LogSource> = {}): LogSource {
  return { directory, output: "merged", maxBytes: 1 << 30, settled: true, ...change };
}

/** A follow port whose attempts are settled when told. */
export function followPort(watcher: LogWatcher): FollowPort & { readonly settle: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return {
    watch: (directory) => watcher.watch(directory),
    settled: () => promise,
    nextSource: () => Promise.resolve(undefined),
    settle: resolve,
  };
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
