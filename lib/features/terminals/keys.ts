/**
 * Configuration keys of terminals.
 *
 * @module
 */
import { choice, duration, flag, integer, size, TIMER_MAX_MS } from "@lib/core/value_types.ts";
import { section } from "@lib/foundations/config/config.ts";
import { key, type ValuesOf } from "@lib/foundations/config/key.ts";
import { MINUTE, TIB } from "@lib/foundations/config/ranges.ts";

/** Rules for terminals. */
export const TERMINALS = section({
  keys: {
    isEnabled: key(
      "terminals.enabled",
      flag(),
      "Allows terminals; from the network they also need a key with scope `terminal`.",
      true,
      { project: { name: "terminals.enabled", doc: "Allows terminals in this project." } },
    ),
    maxSessions: key(
      "terminals.max_sessions",
      integer({ min: 1, max: 64 }),
      "Terminals of a project that may be open at once.",
      64,
      {
        project: { name: "terminals.max_sessions", doc: "Its terminals that may be open at once." },
      },
    ),
    idleMs: key(
      "terminals.idle_timeout",
      duration({ min: 1_000, max: TIMER_MAX_MS }),
      "A terminal ends if nobody has typed into it, or joined it, for this long.",
      "12h",
      { project: { name: "terminals.idle_timeout", doc: "Its terminals end if unused so long." } },
    ),
    maxMs: key(
      "terminals.max_duration",
      duration({ min: MINUTE, max: TIMER_MAX_MS }),
      "A terminal ends after this time, whatever happens in it.",
      "7d",
      { project: { name: "terminals.max_duration", doc: "Its terminals end after this time." } },
    ),
    record: key(
      "terminals.record",
      choice(["asked", "always", "never"]),
      "Which terminals are recorded, in asciicast v2: those that ask for it, all, or none.",
      "asked",
      { project: { name: "terminals.record", doc: "Which of its terminals are recorded." } },
    ),
    recordMaxBytes: key(
      "terminals.record_max",
      size({ min: 4_096, max: TIB }),
      "Longest recording of a terminal; it stops there, and says so.",
      "64M",
    ),
  },
});

/** The values of {@linkcode TERMINALS}. */
export type TerminalRules = ValuesOf<typeof TERMINALS.keys>;
