/**
 * Requests to the console's REST API.
 *
 * @module
 */
import { withDeadline } from "@lib/core/abort.ts";
import { messageOf } from "@lib/core/errors.ts";
import { VERSION } from "@lib/core/version.ts";
import type { LinkSettings } from "@lib/features/console/settings.ts";
import type { HttpOutcome } from "@lib/features/console/faults.ts";

/** A request to the console. */
export interface ConsoleRequest {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly instanceId: string;
  readonly body?: Readonly<Record<string, unknown>>;
}

/** Sends a request; never throws for what the console does. */
export type AskConsole = (request: ConsoleRequest, signal: AbortSignal) => Promise<HttpOutcome>;

const TIMEOUT_MS = 15_000;
/** An instance with 200 extensions fits several times. */
const MAX_ANSWER_BYTES = 256 * 1024;

/** Makes what asks the console. */
export function askConsole({ url, apiKey }: Pick<LinkSettings, "url" | "apiKey">): AskConsole {
  return async ({ method, path, instanceId, body }, signal) => {
    using deadline = withDeadline(signal, TIMEOUT_MS, "the console");
    try {
      const response = await fetch(`${url}${path}`, {
        method,
        headers: {
          ...linkHeaders(apiKey.expose(), instanceId),
          accept: "application/json",
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        // A redirect would send the key elsewhere.
        redirect: "manual",
        signal: deadline,
      });
      return {
        kind: "answer",
        status: response.status,
        body: jsonIn(await textOf(response)),
        retryAfter: response.headers.get("retry-after") ?? undefined,
      };
    } catch (error) {
      signal.throwIfAborted();
      // Refused, reset, too late, or not HTTP: fetch has an error for each.
      if (error instanceof Error) return { kind: "unreachable", reason: reasonOf(error) };
      throw error;
    }
  };
}

/** Returns the headers that identify this instance. */
export function linkHeaders(key: string, instanceId: string): Readonly<Record<string, string>> {
  return {
    authorization: `Bearer ${key}`,
    "x-agent-version": VERSION,
    "x-instance-id": instanceId,
  };
}

function reasonOf(error: Error): string {
  return error.cause instanceof Error
    ? `${messageOf(error)}: ${messageOf(error.cause)}`
    : messageOf(error);
}

async function textOf(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  // The rest is left unread, and its connection closed.
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > MAX_ANSWER_BYTES) return "";
  }
  return text;
}

function jsonIn(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    // HTML, or nothing.
    return undefined;
  }
}
