/**
 * Questions to a trace.
 *
 * @module
 */
import { fieldOf, resultOf, type TraceEvent } from "./trace_events.ts";

/** An event, if there is one. */
export type Found = TraceEvent | undefined;
/** Recognizes an event. */
export type Test = (event: TraceEvent) => boolean;

/** Finds events; what is to be found after something that was not found is not found either. */
export class Finder {
  readonly #events: readonly TraceEvent[];

  constructor(events: readonly TraceEvent[]) {
    this.#events = events;
  }

  /** Finds a word that was put into the trace. */
  mark(word: string): Found {
    return this.#events.find((event) => is("tracing_mark_write")(event) && event.text === word);
  }

  /** Returns the first event after another one. */
  first(after: Found, ...tests: readonly Test[]): Found {
    return this.all(after, ...tests)[0];
  }

  /** Returns the last event between two others. */
  last(after: Found, before: Found, ...tests: readonly Test[]): Found {
    if (before === undefined) return undefined;
    const end = this.#events.indexOf(before);
    return this.all(after, ...tests).findLast((event) => this.#events.indexOf(event) < end);
  }

  /** Returns the events after another one. */
  all(after: Found, ...tests: readonly Test[]): readonly TraceEvent[] {
    if (after === undefined) return [];
    return this.#events.slice(this.#events.indexOf(after) + 1)
      .filter((event) => tests.every((test) => test(event)));
  }
}

/** Events of a kind. */
export function is(...names: readonly string[]): Test {
  return ({ name }) => names.includes(name);
}

/** Events of these threads. */
export function by(tids: ReadonlySet<number>): Test {
  return ({ tid }) => tids.has(tid);
}

/** Events that are about a process. */
export function about(pid: string, key = "pid"): Test {
  return (event) => pid !== "" && fieldOf(event, key) === pid;
}

/** A file is opened, or renamed to it. */
export function file(...suffixes: readonly string[]): Test {
  return (event) =>
    is("open64", "openat64", "rename")(event) &&
    suffixes.some((suffix) => fieldOf(event, "path").endsWith(suffix));
}

/** Something that begins so is written or sent. */
export function says(text: string): Test {
  return (event) => is("write", "send", "sendto")(event) && event.text.includes(`text="${text}`);
}

/** A message is read; of this size, if one is given. */
export function reads(bytes?: number): Test {
  return (event) =>
    is("exit recvfrom", "exit recvmsg")(event) &&
    (bytes === undefined || resultOf(event) === bytes);
}

/** A file is on the disk. */
export const isSynced: Test = is("exit fsync", "exit fdatasync");

/** A D-Bus message is sent: its first byte is the order of bytes, its second one the type. */
export function sendsMessage(type: "call" | "signal"): Test {
  const head = type === "call" ? 0x016c : 0x046c;
  return (event) =>
    is("send", "sendmsg")(event) && (Number(fieldOf(event, "head")) & 0xffff) === head;
}
