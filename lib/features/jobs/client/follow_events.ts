/**
 * The changes of jobs as they come, across restarts of the runner.
 *
 * @module
 */
import { type JobAnswer, jobAnswerSchema, parseAnswer } from "@lib/api/client/answers.ts";
import { ConnectionLostError } from "@lib/api/client/connection_lost.ts";
import type { ByteStream } from "@lib/features/jobs/client/follow_log.ts";
import type { Reconnect } from "@lib/api/client/reconnect.ts";
import { readServerSentEvents } from "@lib/api/client/sse.ts";

/** A change. */
export interface JobChange {
  /** Resumes after this change. */
  readonly revision: string;
  /** The job as it stood. */
  readonly job: JobAnswer;
}

/** Options for {@linkcode followEvents}. */
export interface FollowEventsOptions {
  /** Opens the stream after a revision; without one, from now on. */
  readonly open: (since: string | undefined) => Promise<ByteStream>;
  /** Begin after this revision. */
  readonly since?: string | undefined;
  readonly reconnect: Reconnect;
  /** Called each time the stream is open: what happens from here on is told. */
  readonly onOpen?: () => void;
}

/** Yields changes without end; none is missed while the connection is away. */
export async function* followEvents(
  options: FollowEventsOptions,
): AsyncGenerator<JobChange, never, undefined> {
  const { open, reconnect, onOpen } = options;
  let { since } = options;
  while (true) {
    try {
      using stream = await open(since);
      reconnect.found();
      onOpen?.();
      for await (const { event, data, id } of readServerSentEvents(stream.body)) {
        if (id === undefined) continue;
        if (event !== "job") {
          since = id;
          continue;
        }
        reconnect.progressed();
        yield { revision: id, job: parseAnswer(jobAnswerSchema, parseData(data), "the event") };
        since = id;
      }
      throw new ConnectionLostError("Cannot go on with the events: the runner has ended them", {
        isListening: true,
      });
    } catch (error) {
      await reconnect.afterFailure(error);
    }
  }
}

function parseData(data: string): unknown {
  try {
    return JSON.parse(data);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
