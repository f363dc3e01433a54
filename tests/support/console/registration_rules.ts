/**
 * The console's check of a registration.
 *
 * @module
 */
import { type Json, readRecord } from "./verdict.ts";

/** The providers of the closed list. */
export const PROVIDERS = [
  "fly",
  "docker",
  "devpod",
  "e2b",
  "kubernetes",
  "digitalocean",
  "gcp",
  "azure",
  "aws",
  "runpod",
  "northflank",
  "ssh",
] as const;

/** The distributions of the closed list. */
export const DISTROS = ["ubuntu", "fedora", "opensuse"] as const;

const MAX_EXTENSIONS = 200;

/** A registration that the console accepts. */
export interface Registration {
  readonly instanceId: string;
  readonly hostname: string | undefined;
  readonly provider: string;
  readonly region: string | undefined;
  readonly distro: string | undefined;
  /** Empty where the body has none. */
  readonly extensions: readonly string[];
}

/** A body's registration, or what the answer 422 says of it. */
export type RegistrationVerdict =
  | { readonly ok: true; readonly registration: Registration }
  | { readonly ok: false; readonly details: readonly string[] };

/** Checks the body of a registration; unknown keys are ignored. */
export function checkRegistration(value: unknown): RegistrationVerdict {
  const body = readRecord(value);
  if (body === undefined) return { ok: false, details: ["Expected object"] };
  const details = [
    ...idFaults(body),
    ...lengthFaults(body),
    ...listFaults(body),
    ...tagFaults(body["tags"]),
    ...extensionFaults(body["extensions"]),
  ];
  if (details.length > 0) return { ok: false, details };
  return { ok: true, registration: registrationOf(body) };
}

function registrationOf(body: Json): Registration {
  const text = (name: string) => {
    const value = body[name];
    return typeof value === "string" ? value : undefined;
  };
  const extensions = body["extensions"];
  return {
    instanceId: text("instance_id") ?? "",
    hostname: text("hostname"),
    provider: text("provider") ?? "",
    region: text("region"),
    distro: text("distro"),
    extensions: Array.isArray(extensions) ? extensions.map(String) : [],
  };
}

function idFaults({ instance_id: id }: Json): string[] {
  if (typeof id === "string" && id.length >= 1 && id.length <= 128) return [];
  return ["instance_id: 1 to 128 characters, required"];
}

function lengthFaults(body: Json): string[] {
  const limits = { hostname: 256, region: 64, agent_version: 64, os: 32, arch: 32 };
  const faults = Object.entries(limits).filter(([name, limit]) => {
    const value = body[name];
    return value !== undefined && (typeof value !== "string" || value.length > limit);
  }).map(([name, limit]) => `${name}: text of at most ${limit} characters`);
  const { timestamp } = body;
  if (timestamp !== undefined && typeof timestamp !== "string") faults.push("timestamp: text");
  return faults;
}

function listFaults({ provider, distro }: Json): string[] {
  const faults: string[] = [];
  if (!PROVIDERS.some((known) => known === provider)) {
    faults.push(`provider: one of ${PROVIDERS.join(", ")}`);
  }
  if (distro !== undefined && !DISTROS.some((known) => known === distro)) {
    faults.push(`distro: one of ${DISTROS.join(", ")}`);
  }
  return faults;
}

function tagFaults(tags: unknown): string[] {
  if (tags === undefined) return [];
  const record = readRecord(tags);
  const isRight = record !== undefined &&
    Object.values(record).every((value) => typeof value === "string");
  return isRight ? [] : ["tags: a record of texts"];
}

function extensionFaults(extensions: unknown): string[] {
  if (extensions === undefined) return [];
  const isRight = Array.isArray(extensions) && extensions.length <= MAX_EXTENSIONS &&
    extensions.every((name) => typeof name === "string" && name.length >= 1 && name.length <= 128);
  return isRight ? [] : [`extensions: at most ${MAX_EXTENSIONS} of 1 to 128 characters`];
}
