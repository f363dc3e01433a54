/**
 * From a body to a durable job.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { CicdError } from "@lib/core/errors.ts";
import { type JobId, newJobId } from "@lib/core/ids.ts";
import type { Job } from "@lib/spine/jobs/model.ts";
import { type Caller, LOCAL_CALLER } from "@lib/api/caller.ts";
import { assertMaySubmit } from "@lib/api/access.ts";
import { parseJobRequest } from "@lib/spine/spec/job_request.ts";
import type { ApiPorts } from "@lib/api/ports.ts";

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
  ports: ApiPorts,
  body: unknown,
  idempotencyKey: string | null,
  also?: (id: JobId) => void,
  caller: Caller = LOCAL_CALLER,
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
  ports.assertOpen(spec.project);
  ports.assertRoom();
  ports.assertDisk();
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
