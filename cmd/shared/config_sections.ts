/**
 * Every section of the configuration, in the order of the reference.
 *
 * @module
 */
import type { Section } from "@lib/foundations/config/config.ts";
import { ENGINE, HTTP, LISTEN, LOG, PROGRAM } from "@lib/foundations/config/program_keys.ts";
import { DISK, QUEUE } from "@lib/spine/queue/keys.ts";
import { JOB_DEFAULTS } from "@lib/spine/spec/keys.ts";
import { FEATURES } from "../features.ts";

/** All sections; a key in none of them is unknown. */
export const SECTIONS: readonly Section[] = [
  PROGRAM,
  LOG,
  HTTP,
  LISTEN,
  QUEUE,
  DISK,
  JOB_DEFAULTS,
  ENGINE,
  ...FEATURES.flatMap(({ sections = [] }) => sections),
];
