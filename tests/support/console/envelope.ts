/**
 * Envelopes of the console's gateway: the two shapes that it reads, and the ones that it sends.
 *
 * @module
 */
import { type Fault, fault, type Json, readRecord } from "./verdict.ts";

/** A message in the agent's shape. */
export interface AgentEnvelope {
  readonly kind: "agent";
  readonly type: string;
  readonly sessionId: string | undefined;
  /** Not checked: some types crash the console with a payload that is no object. */
  readonly payload: unknown;
}

/** A message in the console's own shape. */
export interface NativeEnvelope {
  readonly kind: "native";
  readonly channel: string;
  readonly type: string;
  readonly data: unknown;
}

/** A frame that is neither. */
export interface DroppedFrame {
  readonly kind: "dropped";
  readonly fault: Fault;
}

/** The types of messages that an agent may send. */
export const AGENT_TYPES = [
  "heartbeat",
  "metrics",
  "terminal:output",
  "terminal:closed",
  "command:result",
  "event",
  "registration",
  "llm_usage:batch",
  "log:line",
  "log:batch",
] as const;

/** A type of message that an agent may send. */
export type AgentType = typeof AGENT_TYPES[number];

/** Reads a frame of an agent. */
export function readFrame(text: string): AgentEnvelope | NativeEnvelope | DroppedFrame {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return dropped("invalid envelope: no JSON");
  }
  const envelope = readRecord(value);
  if (envelope === undefined) return dropped("invalid envelope: no object");
  return readNative(envelope) ?? readAgent(envelope);
}

function readAgent(envelope: Json): AgentEnvelope | DroppedFrame {
  const { protocol_version: version, type, session_id: sessionId } = envelope;
  if (typeof version !== "string") return dropped("invalid envelope: no protocol_version");
  if (typeof type !== "string") return dropped("invalid envelope: no type");
  if (!AGENT_TYPES.some((known) => known === type)) {
    return dropped(`invalid envelope: unknown type ${type}`);
  }
  if (sessionId !== undefined && typeof sessionId !== "string") {
    return dropped("invalid envelope: session_id is no text");
  }
  if (!("payload" in envelope)) return dropped("invalid envelope: no payload");
  return { kind: "agent", type, sessionId, payload: envelope["payload"] };
}

function readNative(envelope: Json): NativeEnvelope | undefined {
  const { protocolVersion, channel, type, ts, data } = envelope;
  if (typeof protocolVersion !== "string" || typeof channel !== "string") return undefined;
  if (typeof type !== "string" || typeof ts !== "number" || data === undefined) return undefined;
  return { kind: "native", channel, type, data };
}

function dropped(reason: string): DroppedFrame {
  return { kind: "dropped", fault: fault("dropped", reason) };
}

/** Writes a message in the agent's shape, as the console sends most of its own. */
export function agentFrame(type: string, payload: Json, sessionId?: string): string {
  return JSON.stringify({
    protocol_version: "1.0",
    type,
    ...(sessionId === undefined ? {} : { session_id: sessionId }),
    payload,
  });
}

/** Writes the acknowledgement of a heartbeat, which has the console's own shape. */
export function pongFrame(instanceId: string, now: number): string {
  return JSON.stringify({
    protocolVersion: "1.0",
    channel: "heartbeat",
    type: "heartbeat:pong",
    data: { ok: true },
    ts: now,
    instanceId,
  });
}

/** Writes what a browser can have forwarded raw: both shapes in one frame. */
export function forgedFrame(instanceId: string, type: string, payload: Json, now: number): string {
  return JSON.stringify({
    protocolVersion: "1.0",
    channel: "commands",
    ts: now,
    data: {},
    instanceId,
    protocol_version: "1.0",
    type,
    payload,
  });
}
