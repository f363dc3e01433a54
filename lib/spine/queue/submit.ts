/**
 * From a body to a durable job.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { CicdError } from "@lib/core/errors.ts";
import { type JobId, newJobId, type ProjectName } from "@lib/core/ids.ts";
import type { Job } from "@lib/spine/jobs/model.ts";
import { assertMaySubmit, type Caller } from "@lib/core/caller.ts";
import { parseJobRequest } from "@lib/spine/spec/job_request.ts";
import type { Clock } from "@lib/core/clock.ts";
import type { RequestDefaults } from "@lib/spine/spec/job_request.ts";
import type { Intake } from "@lib/spine/queue/intake.ts";
import type { JobStore } from "@lib/spine/queue/job_store.ts";

/** The parts that take a job in. */
export interface SubmitPorts {
  readonly store: Pick<JobStore, "insert" | "replayed">;
  readonly clock: Clock;
  readonly intake: Pick<Intake, "assertOpen" | "assertRoom" | "assertDisk">;
  readonly defaultsOf: (project: ProjectName) => RequestDefaults;
  /** Seals secrets for the database. */
  readonly seal: (secrets: Readonly<Record<string, string>>, jobId: JobId) => Uint8Array;
}

/** What came of a submission. */
export interface Submitted {
  readonly kind: "created" | "replayed";
  readonly job: Job;
}

/**
 * Validates and stores a job; when this returns, the job is on disk.
 *
 * @param also Stores what belongs to a new job in the same transaction.
 * @param caller Whose projects are asked for; the account itself if it is left out.
 * @throws {CicdError} See the route's `errors`; nothing was stored.
 */
export function submitJob(
  ports: SubmitPorts,
  body: unknown,
  { caller, idempotencyKey, also }: {
    readonly caller: Caller;
    readonly idempotencyKey: string | null;
    /** Stored in the same transaction as the job. */
    readonly also?: (id: JobId) => void;
  },
): Submitted {
  const { spec, secrets } = parseJobRequest(body, (project) => {
    // Before anything of the project, its defaults or rules, could show in an answer.
    assertMaySubmit(caller, project);
    return ports.defaultsOf(project);
  });
  assertMaySubmit(caller, spec.project);
  const idempotency = idempotencyKey === null
    ? undefined
    : { key: keyFor(caller, checkedKey(idempotencyKey)), requestHash: hashOf(body) };
  // What was accepted once is not refused because there is no room for anything new.
  const known = idempotency === undefined ? undefined : ports.store.replayed(idempotency);
  if (known !== undefined) return { kind: "replayed", job: known };
  ports.intake.assertOpen(spec.project);
  ports.intake.assertRoom();
  ports.intake.assertDisk();
  const now = ports.clock.now();
  const id = newJobId();
  const job: Job = {
    id,
    spec,
    state: "queued",
    attempt: 0,
    retryBase: 0,
    usage: {},
    createdAt: now,
    notBefore: now,
    revision: 0,
  };
  return ports.store.insert({
    job,
    ...(spec.secretNames.length === 0 ? {} : { sealedSecrets: ports.seal(secrets, id) }),
    ...(idempotency === undefined ? {} : { idempotency }),
    ...(also === undefined ? {} : { also: () => also(id) }),
  });
}

function checkedKey(key: string): string {
  if (/^[\x21-\x7e]{1,255}$/.test(key)) return key;
  throw new CicdError(
    "invalid_request",
    "Cannot use the Idempotency-Key: give 1 to 255 visible ASCII characters",
    { issues: [{ path: "header.idempotency-key", message: "is no key of 1 to 255 characters" }] },
  );
}

/** Those of one API key are apart from those of all others: nobody can take another's. */
function keyFor(caller: Caller, key: string): string {
  return caller.kind === "key" ? `${caller.id} ${key}` : key;
}

/** The key's job is compared by what was asked, not by how the JSON was laid out. */
function hashOf(body: unknown): string {
  return createHash("sha256").update(JSON.stringify(sorted(body))).digest("hex");
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1).map((
      [key, one],
    ) => [key, sorted(one)]),
  );
}
