/**
 * The kernel's trace as events.
 *
 * @module
 */

/** One event; all have the same clock. */
export interface TraceEvent {
  readonly atUs: number;
  /** The thread, as the host numbers it. */
  readonly tid: number;
  /** Such as `open`, `sched_process_exec`, `enter fsync` or `exit recvfrom`. */
  readonly name: string;
  readonly text: string;
}

const LINE = /^\s*.{1,16}?-(\d+)\s+\[\d+\]\s+\S+\s+(\d+)\.(\d{6}): (.*)$/s;

/** Parses the text of a `trace` file; data of programs in it may contain line ends. */
export function parseTrace(text: string): readonly TraceEvent[] {
  const events: { atUs: number; tid: number; name: string; text: string }[] = [];
  for (const line of text.replace(/\n$/, "").split("\n")) {
    const [, tid, seconds, micros, rest = ""] = LINE.exec(line) ?? [];
    const last = events.at(-1);
    if (tid !== undefined) {
      const atUs = Number(seconds) * 1_000_000 + Number(micros);
      events.push({ atUs, tid: Number(tid), ...nameOf(rest) });
    } else if (last !== undefined) last.text += `\n${line}`;
  }
  return events;
}

function nameOf(rest: string): { readonly name: string; readonly text: string } {
  const [, call, sign, text = ""] = /^sys_(\w+)(\(| -> )(.*)$/s.exec(rest) ?? [];
  if (call !== undefined) return { name: `${sign === "(" ? "enter" : "exit"} ${call}`, text };
  const at = rest.indexOf(": ");
  // Probes print their address first.
  return { name: rest.slice(0, at), text: rest.slice(at + 2).replace(/^\(0x[0-9a-f]+\) /, "") };
}

/** Returns a field such as `pid=12` or `path="/etc/hosts"`; "" if there is none. */
export function fieldOf({ text }: TraceEvent, key: string): string {
  const [, quoted, plain] = new RegExp(`(?:^|\\s)${key}=(?:"([^"]*)|(\\S+))`).exec(text) ?? [];
  return quoted ?? plain ?? "";
}

/** Returns what a system call returned. */
export function resultOf({ text }: TraceEvent): number {
  return Number(text);
}
