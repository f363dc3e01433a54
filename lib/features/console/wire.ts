/**
 * Frames of the console: what is sent, and what may come.
 *
 * @module
 */
import * as v from "valibot";

/** The fields of a message. */
export type Payload = Readonly<Record<string, unknown>>;

/** A frame of the console. */
export type Inbound =
  | { readonly kind: "pong" }
  | { readonly kind: "message"; readonly type: string; readonly payload: Payload }
  /** Carries the mark of a browser: the console passes such frames on without a check. */
  | { readonly kind: "forged"; readonly type: string }
  | { readonly kind: "unusable"; readonly reason: string };

const VERSION = "1.0";

const record = v.custom<Payload>((value) =>
  typeof value === "object" && value !== null && !Array.isArray(value)
);
const envelope = v.object({
  protocol_version: v.string(),
  type: v.pipe(v.string(), v.maxLength(64)),
  session_id: v.optional(v.nullable(v.pipe(v.string(), v.maxLength(128)))),
  payload: v.optional(v.nullable(record)),
});

/**
 * Makes the text of a frame.
 *
 * Terminal messages name their session in the envelope too; of others the console would take that id
 * for another. A NUL, or half of a surrogate pair, would make the console's database refuse the row.
 */
export function encodeFrame(type: string, payload: Payload): string {
  const session = payload["session_id"];
  return JSON.stringify({
    protocol_version: VERSION,
    type,
    ...(type.startsWith("terminal:") && typeof session === "string" ? { session_id: session } : {}),
    payload,
  }, storable);
}

/** Reads a frame. */
export function decodeFrame(data: string | Uint8Array): Inbound {
  let parsed: unknown;
  try {
    const text = typeof data === "string"
      ? data
      : new TextDecoder("utf-8", { fatal: true }).decode(data);
    parsed = JSON.parse(text);
  } catch (error) {
    const reason = error instanceof TypeError ? "its text is not UTF-8" : "it is not JSON";
    return { kind: "unusable", reason };
  }
  if (!v.is(record, parsed)) {
    return { kind: "unusable", reason: "it is not an object" };
  }
  // The console speaks its own shape for one type only; all else of that shape is a browser's.
  if ("channel" in parsed || "protocolVersion" in parsed) {
    const { type } = parsed;
    if (type === "heartbeat:pong" && !("payload" in parsed)) return { kind: "pong" };
    return { kind: "forged", type: typeof type === "string" ? type.slice(0, 64) : "" };
  }
  const read = v.safeParse(envelope, parsed);
  if (!read.success) return { kind: "unusable", reason: "it is not an envelope of the protocol" };
  const { type, session_id, payload } = read.output;
  if (type === "heartbeat:pong") return { kind: "pong" };
  return {
    kind: "message",
    type,
    payload: { ...payload, ...(session_id ? { session_id } : {}) },
  };
}

function storable(_name: string, value: unknown): unknown {
  return typeof value === "string" ? value.replaceAll("\0", "").toWellFormed() : value;
}
