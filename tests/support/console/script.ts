/**
 * The faults that a console can be told to have.
 *
 * @module
 */

/** What the console does in place of a proper answer over HTTP. */
export type RestFault =
  | {
    readonly kind: "answer";
    readonly status: number;
    readonly headers?: Readonly<Record<string, string>>;
    readonly body?: string;
  }
  /** Never answers. */
  | { readonly kind: "hang" }
  /** Closes the connection without an answer. */
  | { readonly kind: "cut" };

/** What the console does in place of a proper WebSocket. */
export type UpgradeFault =
  | RestFault
  /** Opens it after a time. */
  | { readonly kind: "slow"; readonly ms: number }
  /** Opens it and closes it. */
  | { readonly kind: "closeAtOnce"; readonly code: number; readonly reason: string }
  /** Opens it, says nothing and reads nothing, as if the network had gone. */
  | { readonly kind: "deaf" };

/** The faults in force; each lasts until it is taken away. */
export interface Script {
  /** Of `POST /api/v1/instances`. */
  register: RestFault | undefined;
  /** Of `GET /api/v1/instances/:id`. */
  lookup: RestFault | undefined;
  upgrade: UpgradeFault | undefined;
  /** Heartbeats are acknowledged. */
  acknowledges: boolean;
}

/** The page that a proxy in front of a console shows when the console is away. */
export const HTML_PAGE = "<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>";

/** An answer with a page in place of JSON. */
export const HTML_ANSWER: RestFault = {
  kind: "answer",
  status: 200,
  headers: { "content-type": "text/html" },
  body: HTML_PAGE,
};
