/**
 * Every section of the configuration, in the order of the reference.
 *
 * @module
 */
import { ARTIFACTS } from "@lib/features/artifacts/keys.ts";
import { CACHES } from "@lib/features/caches/keys.ts";
import { GIT } from "@lib/features/checkout/keys.ts";
import { CLEAN, RETENTION } from "@lib/features/cleaning/keys.ts";
import { CONTAINERS } from "@lib/features/containers/keys.ts";
import { GRYT } from "@lib/features/gryt/keys.ts";
import type { Section } from "@lib/foundations/config/config.ts";
import { ENGINE, HTTP, LISTEN, LOG, PROGRAM } from "@lib/foundations/config/program_keys.ts";
import { DISK, QUEUE } from "@lib/spine/queue/keys.ts";
import { JOB_DEFAULTS } from "@lib/spine/spec/keys.ts";

/** Every section; a key that is in none of them is unknown. */
export const SECTIONS: readonly Section[] = [
  PROGRAM,
  LOG,
  HTTP,
  QUEUE,
  JOB_DEFAULTS,
  ENGINE,
  CONTAINERS,
  GIT,
  ARTIFACTS,
  CACHES,
  LISTEN,
  GRYT,
  CLEAN,
  RETENTION,
  DISK,
];
