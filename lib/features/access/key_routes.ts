/**
 * The routes of API keys: create, list, rotate, revoke.
 *
 * @module
 */
import * as v from "valibot";
import { SCOPES } from "@lib/core/caller.ts";
import { issuedKeySchema, KEY_ID, keyListSchema, keySchema } from "@lib/features/access/answers.ts";
import type { ApiKey, IssuedKey, KeyStore } from "@lib/features/access/key_store.ts";
import { toRfc3339 } from "@lib/core/clock.ts";
import { CicdError } from "@lib/core/errors.ts";
import { readJson } from "@lib/foundations/http/body.ts";
import { duration, projectName } from "@lib/core/value_types.ts";
import type { RunnerServices } from "@lib/api/feature.ts";
import { type AnyRoute, inQuery, route } from "@lib/api/route.ts";

const DAY_MS = 86_400_000;
const EXPIRY_MAX_MS = 3_650 * DAY_MS;
/** Long enough to replace the key everywhere. */
const OVERLAP_MAX_MS = 30 * DAY_MS;
const MAX_PROJECTS = 100;
/** Without control characters; unassigned and private characters are refused too. */
const NAME_PATTERN = "^[\\x20-\\x7e\\xa1-\\xac\\xae-\\xff]+$";

const keyRequestSchema = v.strictObject({
  name: v.pipe(
    v.string(),
    v.check(
      (text) => /^[^\p{C}]{1,100}$/u.test(text),
      "must be 1 to 100 printable characters",
    ),
    v.metadata({ minLength: 1, maxLength: 100, pattern: NAME_PATTERN, examples: ["laptop"] }),
    v.description("Describes the key's holder; need not be unique"),
  ),
  scopes: v.pipe(
    v.array(v.picklist(SCOPES, `must be one of ${SCOPES.join(", ")}`)),
    v.minLength(1, "must name at least one"),
    v.transform((scopes) => [...new Set(scopes)]),
  ),
  projects: v.optional(v.pipe(
    v.array(projectName().schema),
    v.minLength(1, "must name at least one; omit it for all projects"),
    v.maxLength(MAX_PROJECTS, `must name at most ${MAX_PROJECTS}`),
    v.description("Restricts the key to these projects; absent: all"),
    v.transform((projects) => [...new Set(projects)]),
  )),
  expires_in: v.optional(duration({ min: 1_000, max: EXPIRY_MAX_MS }).schema),
});

const ACCESS = { scope: "admin" } as const;

/** The routes of API keys. */
export function keyRoutes(
  keys: KeyStore,
  ports: Pick<RunnerServices, "bodyLimits" | "clock" | "log">,
): readonly AnyRoute[] {
  return [
    route({
      method: "POST",
      path: "/v1/keys",
      access: ACCESS,
      summary: "Create an API key",
      description: "Only a hash is stored: the key is shown in this answer and nowhere else.",
      body: keyRequestSchema,
      answers: { 201: { description: "The key", schema: issuedKeySchema } },
      errors: ["invalid_json", "invalid_request", "body_too_large", "state_conflict"],
      handle: async ({ request }, reply) => {
        const { name, scopes, projects, expires_in } = parseKeyRequest(
          await readJson(request, ports.bodyLimits()),
        );
        const expiresAt = expires_in === undefined ? undefined : ports.clock.now() + expires_in;
        const issued = keys.create({ name, scopes, projects, expiresAt });
        ports.log.info("API key created", { key: issued.key.id, name, scopes, projects });
        return reply.json(201, issuedView(issued), NO_STORE);
      },
    }),
    route({
      method: "GET",
      path: "/v1/keys",
      access: ACCESS,
      summary: "List API keys, oldest first",
      answers: { 200: { description: "The keys", schema: keyListSchema } },
      handle: (_, reply) => reply.json(200, { keys: keys.list().map(shown) }),
    }),
    route({
      method: "POST",
      path: "/v1/keys/:id/revoke",
      params: { id: KEY_ID },
      access: ACCESS,
      summary: "Revoke an API key permanently",
      description: "Idempotent. Requests already being answered are completed.",
      answers: { 200: { description: "The key is revoked", schema: keySchema } },
      errors: ["not_found"],
      handle: ({ params }, reply) => {
        const key = keys.revoke(keyIdOf(params));
        ports.log.info("API key revoked", { key: key.id, name: key.name });
        return reply.json(200, shown(key));
      },
    }),
    route({
      method: "POST",
      path: "/v1/keys/:id/rotate",
      params: { id: KEY_ID },
      access: ACCESS,
      summary: "Replace the secret of an API key",
      description:
        "Id, scopes and projects stay. With `overlap`, the current secret remains valid for that " +
        "time, at most 30d; without it, it is invalid at once.",
      query: { overlap: inQuery(duration({ min: 0, max: OVERLAP_MAX_MS })) },
      answers: { 200: { description: "The key", schema: issuedKeySchema } },
      errors: ["not_found", "state_conflict", "invalid_request"],
      handle: ({ params, query }, reply) => {
        const overlapMs = query.overlap ?? 0;
        const issued = keys.rotate(keyIdOf(params), overlapMs);
        ports.log.info("API key rotated", { key: issued.key.id, name: issued.key.name });
        return reply.json(200, issuedView(issued), NO_STORE);
      },
    }),
  ];
}

function parseKeyRequest(body: unknown) {
  const parsed = v.safeParse(keyRequestSchema, body);
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  const path = cut(v.getDotPath(issue) ?? "body");
  throw invalid(path, issue.expected === "never" ? "is not a known field" : cut(issue.message));
}

/** Paths and messages may quote a long input. */
function cut(text: string): string {
  return text.length > 400 ? `${text.slice(0, 400)}…` : text;
}

function invalid(path: string, message: string): CicdError {
  return new CicdError("invalid_request", `Cannot use the request: ${path} ${message}`, {
    issues: [{ path, message }],
  });
}

function keyIdOf(params: Readonly<Record<string, string>>): string {
  const id = params["id"] ?? "";
  if (/^[0-9a-f]{16}$/.test(id)) return id;
  // It may be the key itself, which must not appear in an answer or a log.
  throw new CicdError("not_found", "Cannot find the key: give its id, 16 hexadecimal digits");
}

const NO_STORE = { "cache-control": "no-store" };

function issuedView({ key, text }: IssuedKey) {
  return { ...shown(key), key: text };
}

function shown(key: ApiKey): v.InferOutput<typeof keySchema> {
  const time = (ms: number | undefined) => ms === undefined ? null : toRfc3339(ms);
  return {
    id: key.id,
    name: key.name,
    scopes: [...key.scopes],
    projects: key.projects === undefined ? null : [...key.projects],
    created_at: toRfc3339(key.createdAt),
    last_used_at: time(key.lastUsedAt),
    expires_at: time(key.expiresAt),
    revoked_at: time(key.revokedAt),
    previous_until: time(key.previousUntil),
  };
}
