/**
 * From `node:http` requests to a Fetch-style handler and back.
 *
 * @module
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { getRequestListener, RequestError } from "@hono/node-server";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import type { Origin } from "@lib/foundations/http/listener.ts";
import { problemResponse } from "@lib/foundations/http/problem.ts";
import { sendResponse } from "@lib/foundations/http/send_response.ts";

/** Options for {@linkcode makeRequestListener}. */
export interface RequestListenerOptions {
  /** What it throws is answered with a 500. */
  readonly handle: (request: Request, origin: Origin) => Response | Promise<Response>;
  readonly originOf: (socket: Socket) => Origin;
  /** Called for failures that no client can be told about. */
  readonly onError: (what: string, error: unknown) => void;
}

/** Makes the listener of a server's `request` event; it resolves when all is handed over. */
export function makeRequestListener(
  { handle, originOf, onError }: RequestListenerOptions,
): (incoming: IncomingMessage, outgoing: ServerResponse) => Promise<void> {
  const failed = (error: unknown) => {
    const isBadRequest = error instanceof RequestError;
    if (!isBadRequest) onError("A request could not be answered", error);
    const response = problemResponse(
      isBadRequest
        ? new CicdError("invalid_http", `Cannot read the request: ${error.message}`)
        : new CicdError("internal", messageOf(error)),
    );
    response.headers.set("connection", "close");
    return response;
  };
  const listener = getRequestListener(
    async (request, { incoming, outgoing }) => {
      let response: Response;
      try {
        response = await handle(request, originOf(incoming.socket));
      } catch (error) {
        // The client went away while its answer was made: there is nobody to tell.
        if (request.signal.aborted) return RESPONSE_ALREADY_SENT;
        response = failed(error);
      }
      // Nobody reads the rest of the body, so no request can follow on this connection.
      if (!incoming.complete) response.headers.set("connection", "close");
      if (!isHttp1(outgoing)) return response;
      await sendResponse(response, outgoing, {
        headOnly: request.method === "HEAD",
        onError: (error) => onError("An answer broke off", error),
      });
      return RESPONSE_ALREADY_SENT;
    },
    { overrideGlobalObjects: false, errorHandler: failed },
  );
  return async (incoming, outgoing) => {
    try {
      await listener(incoming, outgoing);
    } catch (error) {
      onError("A request could not be answered", error);
      outgoing.destroy();
    }
  };
}

function isHttp1(outgoing: object): outgoing is ServerResponse {
  return "shouldKeepAlive" in outgoing;
}
