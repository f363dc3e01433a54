/**
 * Which signals of the bus to receive.
 *
 * @module
 */
import type { Message } from "@lib/foundations/systemd/dbus/message.ts";

/** Which signals to receive; every given part must be equal. */
export interface MatchRule {
  /** A unique name such as `:1.7`, or `org.freedesktop.DBus`. */
  readonly sender: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  /** The first argument, if it is a string. */
  readonly arg0?: string;
}

/** Whether the signal is one of those. */
export function matches(rule: MatchRule, signal: Message): boolean {
  return signal.member === rule.member && signal.interface === rule.interface &&
    signal.path === rule.path && signal.sender === rule.sender &&
    (rule.arg0 === undefined || signal.body?.[0] === rule.arg0);
}

/** The rule in the words of `AddMatch`. */
export function ruleText(rule: MatchRule): string {
  const parts = Object.entries({ type: "signal", ...rule });
  return parts.map(([key, value]) => `${key}='${value.replaceAll("'", "'\\''")}'`).join(",");
}
