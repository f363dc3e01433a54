/**
 * Units and ranges that the keys of several sections share.
 *
 * @module
 */
import { text, TIMER_MAX_MS } from "@lib/core/value_types.ts";

// Milliseconds.
export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const DAY = 24 * 60 * MINUTE;

// Bytes.
export const KIB = 1_024;
export const MIB = 1_024 * KIB;
export const GIB = 1_024 * MIB;
export const TIB = 1_024 * GIB;

/** Time limit of a job. */
export const jobTimeout = { min: 1, max: TIMER_MAX_MS };
/** Longest hold of a failed job. */
export const HOLD_MAX_MS = 7 * DAY;
/** CPUs of a job. */
export const jobCpu = { min: 0.01, max: 4_096 };
/** Memory of a job: with less than the minimum neither systemd nor an engine starts a program. */
export const jobMemory = { min: 8 * MIB, max: 1_024 * TIB };
/** Processes and threads of a job. */
export const tasks = { min: 1, max: 4_194_304 };
/** Maximum age of stored data. */
export const age = { min: MINUTE, max: 3_650 * DAY };
/** Disk space of stored data. */
export const diskSpace = { min: MIB, max: 1_024 * TIB };
/** A web address without credentials, query or fragment. */
export const WEB_ADDRESS = /^https?:\/\/[^\s/?#@]+(\/[^\s?#]*)?$/;
/** The type of a {@linkcode WEB_ADDRESS}. */
export const webAddress = () =>
  text("an http:// or https:// address without credentials", WEB_ADDRESS);
