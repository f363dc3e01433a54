/**
 * D-Bus messages, as in "Message Format" of the D-Bus specification, and error replies.
 *
 * @module
 */
import { CicdError, messageOf } from "@lib/core/errors.ts";
import { marshal } from "@lib/foundations/systemd/dbus/marshal.ts";
import { unmarshal } from "@lib/foundations/systemd/dbus/unmarshal.ts";
import {
  type DBusValue,
  isList,
  isVariant,
  MAX_MESSAGE_BYTES,
} from "@lib/foundations/systemd/dbus/types.ts";

/** One message. */
export interface Message {
  /** `other` is a type of a later protocol, to be ignored. */
  readonly kind: typeof KINDS[number];
  /** 1 to 2³² − 1; the sender's number for this message. */
  readonly serial: number;
  /** For a call: no reply is wanted. */
  readonly noReply?: boolean;
  readonly path?: string;
  readonly interface?: string;
  readonly member?: string;
  readonly errorName?: string;
  /** For a reply or error: the serial of the call. */
  readonly replySerial?: number;
  readonly destination?: string;
  readonly sender?: string;
  /** Types of the body. @default {""} */
  readonly signature?: string;
  readonly body?: readonly DBusValue[];
}

/** Bytes of the part of the header that gives the length of the message. */
export const PREAMBLE_BYTES = 16;

const KINDS = ["other", "call", "reply", "error", "signal"] as const;
const HEADER_SIGNATURE = "yyyyuua(yv)";
const NO_REPLY_EXPECTED = 1;
const SIGNAL = KINDS.indexOf("signal");
const MEMBER = 3;
const TYPE_SIGNATURE = 0x67;
const TYPE_UINT32 = 0x75;
const LITTLE_ENDIAN = 0x6c;
const BIG_ENDIAN = 0x42;
const FIELDS = [
  ["path", 1, "o"],
  ["interface", 2, "s"],
  ["member", 3, "s"],
  ["errorName", 4, "s"],
  ["replySerial", 5, "u"],
  ["destination", 6, "s"],
  ["sender", 7, "s"],
  ["signature", 8, "g"],
] as const;

/**
 * Marshals a message in little-endian order.
 *
 * @throws {TypeError | RangeError | SyntaxError} If a field or the body is invalid.
 */
export function encodeMessage(message: Message): Uint8Array<ArrayBuffer> {
  const body = marshal(message.signature ?? "", message.body ?? []);
  const fields: DBusValue[] = [];
  for (const [name, code, signature] of FIELDS) {
    const value = message[name];
    if (value !== undefined && value !== "") fields.push([code, { signature, value }]);
  }
  const header = marshal(HEADER_SIGNATURE, [
    LITTLE_ENDIAN,
    KINDS.indexOf(message.kind),
    message.noReply === true ? NO_REPLY_EXPECTED : 0,
    1,
    body.length,
    message.serial,
    fields,
  ]);
  const bodyAt = align8(header.length);
  if (bodyAt + body.length > MAX_MESSAGE_BYTES) {
    throw new RangeError(`Cannot send D-Bus message: ${body.length} bytes are more than 128 MiB`);
  }
  const bytes = new Uint8Array(bodyAt + body.length);
  bytes.set(header);
  bytes.set(body, bodyAt);
  return bytes;
}

/**
 * Reads the length of a message from its first {@linkcode PREAMBLE_BYTES}.
 *
 * @throws {CicdError} `systemd_unavailable` if they begin no message, or one of
 * more than 128 MiB.
 */
export function messageLength(bytes: Uint8Array): number {
  const littleEndian = isLittleEndian(bytes);
  if (bytes[3] !== 1) throw broken(`its protocol version is ${bytes[3]}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, PREAMBLE_BYTES);
  const length = align8(PREAMBLE_BYTES + view.getUint32(12, littleEndian)) +
    view.getUint32(4, littleEndian);
  if (length > MAX_MESSAGE_BYTES) throw broken(`it is ${length} bytes long`);
  return length;
}

/**
 * Reads the member of a signal without the rest of the message, most of which nobody listens to.
 *
 * @returns `undefined` for another kind of message, and for one that is to be decoded to know.
 */
export function signalMember(bytes: Uint8Array): string | undefined {
  if (bytes[1] !== SIGNAL) return undefined;
  const littleEndian = isLittleEndian(bytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const end = Math.min(PREAMBLE_BYTES + view.getUint32(12, littleEndian), bytes.length);
  // Each field: its code, a signature of one type, the value, padding.
  for (let at = PREAMBLE_BYTES; at + 8 <= end; at = align8(at)) {
    const code = bytes[at];
    const type = bytes[at + 2];
    at += 4;
    if (type === TYPE_SIGNATURE) {
      at += (bytes[at] ?? 0) + 2;
      continue;
    }
    const length = view.getUint32(at, littleEndian);
    at += 4;
    if (type === TYPE_UINT32) continue;
    if (code === MEMBER) {
      return String.fromCharCode(...bytes.subarray(at, Math.min(at + length, end)));
    }
    at += length + 1;
  }
  return undefined;
}

/**
 * Reads one whole message.
 *
 * @throws {CicdError} `systemd_unavailable` if it is malformed.
 */
export function decodeMessage(bytes: Uint8Array): Message {
  const littleEndian = isLittleEndian(bytes);
  try {
    const header = unmarshal(HEADER_SIGNATURE, bytes, { littleEndian });
    const [, type, flags, , bodyLength, serial, fields] = header.values;
    if (typeof type !== "number" || typeof flags !== "number" || typeof serial !== "number") {
      throw new TypeError("Cannot read header: it is incomplete");
    }
    const named = readFields(fields);
    const signature = named.signature ?? "";
    const body = unmarshal(signature, bytes.subarray(align8(header.length)), { littleEndian });
    if (body.length !== bodyLength) throw new RangeError(`Cannot read body as "${signature}"`);
    return {
      ...named,
      kind: KINDS[type] ?? "other",
      serial,
      noReply: (flags & NO_REPLY_EXPECTED) !== 0,
      signature,
      body: body.values,
    };
  } catch (error) {
    throw broken(messageOf(error), error);
  }
}

type NamedFields = Pick<Message, typeof FIELDS[number][0]>;

function readFields(fields: DBusValue | undefined): NamedFields {
  const named: { -readonly [Key in keyof NamedFields]: NamedFields[Key] } = {};
  for (const field of isList(fields) ? fields : []) {
    const [code, variant] = isList(field) ? field : [];
    const known = FIELDS.find((entry) => entry[1] === code);
    if (known === undefined) continue;
    const [name, , signature] = known;
    if (!isVariant(variant) || variant.signature !== signature) {
      throw new TypeError(`Cannot read header field "${name}": its type is wrong`);
    }
    if (name === "replySerial") named.replySerial = Number(variant.value);
    else named[name] = String(variant.value);
  }
  return named;
}

function isLittleEndian(bytes: Uint8Array): boolean {
  if (bytes[0] === LITTLE_ENDIAN) return true;
  if (bytes[0] === BIG_ENDIAN) return false;
  throw broken(`its first byte is ${bytes[0]}`);
}

function align8(length: number): number {
  return Math.ceil(length / 8) * 8;
}

function broken(state: string, cause?: unknown): CicdError {
  return new CicdError("systemd_unavailable", `Cannot read message from the bus: ${state}`, {
    cause,
  });
}

/** Errors that mean that the service is away, as opposed to refusing. */
const AWAY: ReadonlySet<string> = new Set([
  "org.freedesktop.DBus.Error.Disconnected",
  "org.freedesktop.DBus.Error.LimitsExceeded",
  "org.freedesktop.DBus.Error.NameHasNoOwner",
  "org.freedesktop.DBus.Error.NoReply",
  "org.freedesktop.DBus.Error.NoServer",
  "org.freedesktop.DBus.Error.ServiceUnknown",
  "org.freedesktop.DBus.Error.TimedOut",
  "org.freedesktop.DBus.Error.Timeout",
  "org.freedesktop.systemd1.ShuttingDown",
]);

/**
 * An error reply to a call.
 *
 * Its code is `systemd_unavailable` if the service is away, which leaves the
 * outcome of the call unknown, and `executor_failed` if the service refused.
 */
export class DBusError extends CicdError {
  /** Such as `org.freedesktop.systemd1.NoSuchUnit`. */
  readonly errorName: string;

  constructor(errorName: string, call: string, text: string) {
    const code = AWAY.has(errorName) ? "systemd_unavailable" : "executor_failed";
    super(code, `Cannot call ${call}: ${text === "" ? errorName : `${text} (${errorName})`}`);
    this.errorName = errorName;
  }
}

/** Narrows a thrown value to an error reply with one of these names. */
export function isDBusError(thrown: unknown, ...names: readonly string[]): thrown is DBusError {
  return thrown instanceof DBusError && names.includes(thrown.errorName);
}
