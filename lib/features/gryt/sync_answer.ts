/**
 * Waits for a Gryt job and tells how it ended.
 *
 * @module
 */
import { answerOf, type GrytAnswer } from "@lib/features/gryt/answer.ts";
import { collectOutput } from "@lib/features/gryt/output.ts";
import type { GrytService } from "@lib/features/gryt/service.ts";
import type { JobId } from "@lib/core/ids.ts";
import { isTerminal, type Job } from "@lib/spine/jobs/model.ts";
import type { RunnerServices } from "@lib/api/feature.ts";

/** The results stand at the end of stdout; so much of it is read for them. */
const RESULTS_MAX_BYTES = 8 * 1024 * 1024;
/** Of stderr, what says that a pipeline could not be run. */
const COMPLAINT_MAX_BYTES = 64 * 1024;

/**
 * Waits until the job has ended; its life does not depend on who waits.
 *
 * @throws The signal's reason when `signal` aborts.
 */
export async function waitForAnswer(
  ports: RunnerServices,
  gryt: GrytService,
  { jobId, grytId, signal }: {
    readonly jobId: JobId;
    readonly grytId: number;
    readonly signal: AbortSignal;
  },
): Promise<GrytAnswer> {
  const job = await ports.events.waitFor(jobId, {
    read: () => ports.store.require(jobId),
    isWanted: ({ state }) => isTerminal(state),
    signal,
  });
  return await answerEnded(ports, gryt, { job, grytId, signal });
}

/** The answer of a job that has ended; notes the judgement for the metrics. */
export async function answerEnded(
  ports: RunnerServices,
  gryt: GrytService,
  { job, grytId, signal }: {
    readonly job: Job;
    readonly grytId: number;
    readonly signal: AbortSignal;
  },
): Promise<GrytAnswer> {
  const { maxOutputBytes } = gryt.settings();
  const read = (stream: "stdout" | "stderr", tailBytes: number) =>
    collectOutput(
      ports.logs.read(job, { from: 0, stream, timestamps: false, follow: false, signal }),
      { maxBytes: maxOutputBytes, tailBytes },
    );
  const answer = answerOf(grytId, job, {
    stdout: await read("stdout", RESULTS_MAX_BYTES),
    stderr: await read("stderr", COMPLAINT_MAX_BYTES),
  });
  gryt.ledger.judge(job, { success: answer.success, seconds: answer.duration_seconds });
  return answer;
}
