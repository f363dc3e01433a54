/**
 * Units and ranges that the keys of several sections share.
 *
 * @module
 */
import * as v from "valibot";
import { refuse, TIMER_MAX_MS, type ValueType, valueType } from "@lib/core/value_types.ts";

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

/** The type of a {@linkcode WEB_ADDRESS}. Messages do not repeat what may hold a secret. */
export function webAddress(): ValueType<string> {
  const accepts = "an http:// or https:// address without credentials";
  const schema = { type: "string", pattern: WEB_ADDRESS.source } as const;
  return valueType(accepts, schema, v.string(), (raw) => {
    if (typeof raw !== "string") return refuse(raw, accepts);
    if (raw.length <= 4_096 && WEB_ADDRESS.test(raw)) return { value: raw };
    return /[@?#]/.test(raw)
      ? { message: `has credentials, a query or a fragment; give ${accepts}` }
      : refuse(raw, accepts);
  });
}

/** The type of an address to listen on, which ends in a port or is one: that may be a number. */
export function listenAddress(accepts: string, pattern: RegExp): ValueType<string> {
  return valueType(accepts, { type: "string", pattern: pattern.source }, v.string(), (raw) => {
    const given = typeof raw === "number" ? String(raw) : raw;
    if (typeof given !== "string" || given.length > 300 || !pattern.test(given)) {
      return refuse(raw, accepts);
    }
    const port = Number(/\d+$/.exec(given)?.[0]);
    return port >= 1 && port <= 65_535
      ? { value: given }
      : { message: `has port ${port}; give one from 1 to 65535` };
  });
}
