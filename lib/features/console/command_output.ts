/**
 * The output of a command's job, as the console gets it.
 *
 * @module
 */
import type { JobLogs } from "@lib/api/feature.ts";
import type { Job } from "@lib/spine/jobs/model.ts";

/** The console's own routes cut at 1 MiB. */
const MAX_BYTES = { stdout: 1024 * 1024, stderr: 256 * 1024 } as const;

/** Both streams; what did not fit is in the log of the job. */
export interface CommandOutput {
  readonly stdout: string;
  readonly stderr: string;
  readonly omittedBytes: number;
}

/** Reads the output of a job so far, with its secrets masked. */
export async function readOutput(
  job: Job,
  logs: JobLogs,
  signal: AbortSignal,
): Promise<CommandOutput> {
  const stdout = await readStream(job, "stdout", { logs, signal });
  const stderr = await readStream(job, "stderr", { logs, signal });
  return {
    stdout: stdout.text,
    stderr: stderr.text,
    omittedBytes: stdout.omittedBytes + stderr.omittedBytes,
  };
}

async function readStream(
  job: Job,
  stream: keyof typeof MAX_BYTES,
  { logs, signal }: { readonly logs: JobLogs; readonly signal: AbortSignal },
) {
  const size = await logs.size(job, stream);
  const to = Math.min(size, MAX_BYTES[stream]);
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  let text = "";
  if (to > 0) {
    const query = { from: 0, to, stream, timestamps: false, follow: false, signal };
    for await (const chunk of logs.read(job, query)) {
      text += decoder.decode(chunk, { stream: true });
    }
    // A character that the border cuts is left out.
    if (to === size) text += decoder.decode();
  }
  return { text, omittedBytes: size - to };
}
