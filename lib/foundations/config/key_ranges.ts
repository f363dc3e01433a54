/**
 * Units and ranges that several configuration keys share.
 *
 * @module
 */
import { JOB_MEMORY_MIN_BYTES } from "@lib/core/job_limits.ts";
import { text, textList, TIMER_MAX_MS } from "@lib/core/value_types.ts";

/** Milliseconds. */
export const SECOND = 1_000;
/** Milliseconds. */
export const MINUTE = 60 * SECOND;
/** Milliseconds. */
export const DAY = 24 * 60 * MINUTE;
/** Bytes. */
export const KIB = 1_024;
/** Bytes. */
export const MIB = 1_024 * KIB;
/** Bytes. */
export const GIB = 1_024 * MIB;
/** Bytes. */
export const TIB = 1_024 * GIB;

/** A time that may be none. */
export const zeroToTimerMax = { min: 0, max: TIMER_MAX_MS };
/** Time limit of a job. */
export const jobTimeout = { min: SECOND, max: TIMER_MAX_MS };
/** Grace of a job. */
export const jobGrace = { min: 0, max: 60 * MINUTE };
/** Size of a log. */
export const logBytes = { min: 4 * KIB, max: TIB };
/** CPUs of a job. */
export const cpus = { min: 0.01, max: 4_096 };
/** Memory of a job. */
export const memory = { min: JOB_MEMORY_MIN_BYTES, max: 1_024 * TIB };
/** Processes and threads of a job. */
export const tasks = { min: 1, max: 4_194_304 };
/** An address without credentials, query or fragment. */
export const WEB_ADDRESS = /^https?:\/\/[^\s/?#@]+(\/[^\s?#]*)?$/;
/** An address on the web. */
export const webAddress = () =>
  text("an http:// or https:// address without credentials", WEB_ADDRESS);
/** Which images may be used. */
export const imagePatterns = () =>
  textList("a list of image names, in which * stands for any characters", /^[^\s]+$/);
/** A network of the container engine. */
export const networkName = () =>
  text("none, bridge or the name of a network", /^[A-Za-z0-9][A-Za-z0-9_.-]*$/);
/** Jobs at once. */
export const running = { min: 1, max: 4_096 };
