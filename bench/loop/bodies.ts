/**
 * The largest and most awkward requests that the limits admit, or only just refuse.
 *
 * @module
 */
import { randomBytes } from "node:crypto";

/** A request, or several that are sent at once. */
export interface Load {
  readonly name: string;
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The default of `http.max_body`. */
const BODY_BYTES = 12 * 1024 * 1024;
const MIB = 1024 * 1024;

/** Texts of exactly `bytes` bytes that JSON writes in different ways. */
const TEXTS: Readonly<Record<string, (bytes: number) => string>> = {
  ascii: (bytes) => "x".repeat(bytes),
  "two bytes": (bytes) => "é".repeat(bytes / 2),
  "four bytes": (bytes) => "😀".repeat(bytes / 4),
};

/** Returns the loads of all routes; `id` is an ended job. */
export function loads(id: string): readonly Load[] {
  return [
    ...JSON_ROUTES.flatMap((route) =>
      jsonBodies().map(([name, body]) => ({ ...route, name, body }))
    ),
    ...jobBodies().flatMap(([name, job]) => {
      const body = JSON.stringify({ project: "bench", command: ["true"], ...job });
      const load = { method: "POST", path: "/v1/jobs", body } as const;
      return [
        { ...load, name },
        {
          ...load,
          name: `${name}, Idempotency-Key`,
          headers: { "idempotency-key": randomBytes(8).toString("hex") },
        },
      ];
    }),
    ...grytBodies().map(([name, job]) => ({
      ...GRYT,
      name,
      body: JSON.stringify({ job_id: 1, pipeline_b64: "", ...job }),
    })),
    ...keyBodies().map(([name, key]) => ({ ...KEYS, name, body: JSON.stringify(key) })),
    ...queries(id),
  ];
}

const GRYT = {
  method: "POST",
  path: "/jobs/execute",
  headers: { "x-api-key": "bench" },
} as const;
const KEYS = { method: "POST", path: "/v1/keys" } as const;
const JSON_ROUTES = [
  { method: "POST", path: "/v1/jobs" },
  KEYS,
  GRYT,
] as const;

/** Bodies that every route refuses. */
function jsonBodies(): readonly (readonly [string, string])[] {
  const half = BODY_BYTES / 2;
  const keysOf = (length: number) => Array.from({ length }, (_, at) => `"k${at}":0`).join();
  const keys = keysOf(900_000);
  const few = keysOf(9_000);
  return [
    ["6 million numbers", `[${"0,".repeat(half - 2)}0]`],
    ["4 million objects", `[${"{},".repeat(BODY_BYTES / 3 - 2)}{}]`],
    ["nesting of 6 million", `${"[".repeat(half)}${"]".repeat(half)}`],
    ["900,000 keys", `{${keys}}`],
    ["900,000 keys of env", `{"project":"bench","env":{${keys}}}`],
    ["9,000 objects", `[${"{},".repeat(9_000)}{}]`],
    ["9,000 keys", `{${few}}`],
    ["9,000 keys of env", `{"project":"bench","env":{${few}}}`],
    ["9,000 keys of files", `{"project":"bench","files":{${few}}}`],
    ["19,000 arguments", `{"project":"bench","command":[${"1,".repeat(19_000)}1]}`],
    ["9,000 caches", `{"project":"bench","caches":[${"{},".repeat(9_000)}{}]}`],
    ["9,000 names for Gryt", `{"env_vars":{${few}},"artifacts":[],"job_id":1}`],
    ["no end", `[${"0,".repeat(half - 2)}`],
    ["a text without an end", `"${"x".repeat(BODY_BYTES - 2)}`],
    ["white space", " ".repeat(BODY_BYTES)],
    ["a text of \\u escapes", `"${"\\u00e9".repeat(BODY_BYTES / 6 - 1)}"`],
    ["not UTF-8", `"${"x".repeat(BODY_BYTES - 6)}\ud800"`],
  ];
}

/** Jobs at the limits of their fields, one field or kind at a time. */
function jobBodies(): readonly (readonly [string, Readonly<Record<string, unknown>>])[] {
  const secrets = (count: number, bytes: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, at) => [
      `S${at}`,
      randomBytes(bytes).toString("base64").slice(0, bytes),
    ]));
  const path = (at: number) => `${"d/".repeat(2_000)}${at}`;
  const many = (count: number) => Array.from({ length: count }, (_, at) => at);
  return [
    ["small", {}],
    ...Object.entries(TEXTS).flatMap(([name, text]) => [
      [`script of 1M, ${name}`, { command: undefined, script: text(MIB) }] as const,
      [`script of 11M, ${name}`, { command: undefined, script: text(11 * MIB) }] as const,
      [`file of 2M, ${name}`, { files: { file: text(2 * MIB) } }] as const,
      [`file of 11M, ${name}`, { files: { file: text(11 * MIB) } }] as const,
    ]),
    ["file of 2M, Base64", {
      files: { file: { base64: randomBytes(2 * MIB).toString("base64") } },
    }],
    ["file of 8M, Base64", {
      files: { file: { base64: randomBytes(8 * MIB).toString("base64") } },
    }],
    ["64 files with long paths", {
      files: Object.fromEntries(many(64).map((at) => [path(at), "x".repeat(MIB / 32)])),
    }],
    ["4,096 arguments", { command: many(4_096).map(() => "x".repeat(240)) }],
    ["4,096 numbers as arguments", { command: many(4_096) }],
    ["1,024 variables", { env: Object.fromEntries(many(1_024).map((at) => [`V${at}`, "x"])) }],
    ["1M of variables", {
      env: Object.fromEntries(many(8).map((at) => [`V${at}`, "x".repeat(120 * 1024)])),
    }],
    ["100 secrets of 8K", { secrets: secrets(100, 8 * 1024) }],
    ["8 secrets of 120K", { secrets: secrets(8, 120 * 1024) }],
    ["64 secrets", { secrets: secrets(64, 2 * 1024) }],
    ["1,024 secrets", { secrets: secrets(1_024, 32) }],
    ["a secret of 20,000 lines", { secrets: { S: "line1\n".repeat(20_000) } }],
    ["64 labels", {
      labels: Object.fromEntries(many(64).map((at) => [`l${at}`, "x".repeat(1_024)])),
    }],
    ["64 globs", { artifacts: many(64).map((at) => `${"**/{a,b}*".repeat(400)}${at}`) }],
    ["64 globs of braces", { artifacts: many(64).map((at) => `${"{a,b}".repeat(800)}${at}`) }],
    ["64 globs of brackets", { artifacts: many(64).map((at) => `${"[a-".repeat(1_300)}${at}`) }],
    ["64 globs of parentheses", {
      artifacts: many(64).map((at) => `${"+(a|".repeat(1_000)}${at}`),
    }],
    ["16 caches of 16 paths", {
      caches: many(16).map((cache) => ({
        name: `c${cache}`,
        paths: many(16).map((at) => `${"d/".repeat(500)}${at}`),
      })),
    }],
    ["16 caches of 16 globs", {
      caches: many(16).map((cache) => ({
        name: `c${cache}`,
        paths: ["a"],
        key_files: many(16).map((at) => `${"**/*".repeat(100)}${at}`),
      })),
    }],
    ["git url of 2,048", { git: { url: `https://${"a.".repeat(1_000)}b/x` } }],
    ["32 mounts", {
      image: "busybox",
      container: {
        mounts: many(32).map((at) => ({ source: `/${path(at)}`, target: `/${path(at)}` })),
      },
    }],
    ["image of 256", { image: `${"a/".repeat(120)}a` }],
  ];
}

function grytBodies(): readonly (readonly [string, Readonly<Record<string, unknown>>])[] {
  return [
    ["pipeline of 2M", { pipeline_b64: randomBytes(2 * MIB).toString("base64") }],
    ["pipeline of 8M", { pipeline_b64: randomBytes(8 * MIB).toString("base64") }],
    ["pipeline of white space", { pipeline_b64: " ".repeat(11 * MIB) }],
    ["pipeline of lines", { pipeline_b64: "QUFB\n".repeat(2 * MIB) }],
    ["token of 11M", { git_url: "https://a/b", github_token_encrypted: "A".repeat(11 * MIB) }],
    ["memory limit of 11M", { memory_limit: "1".repeat(11 * MIB) }],
    ["cpu limit of 11M", { cpu_limit: "1".repeat(11 * MIB) }],
    ["job_id of 11M", { job_id: "1".repeat(11 * MIB) }],
    ["timeout of 11M", { timeout: "1".repeat(11 * MIB) }],
    ["callback of 11M", { callback_url: `https://${"a".repeat(11 * MIB)}` }],
  ];
}

function keyBodies(): readonly (readonly [string, Readonly<Record<string, unknown>>])[] {
  const key = { name: "bench", scopes: ["read"] };
  return [
    ["name of 11M", { ...key, name: "x".repeat(11 * MIB) }],
    ["1,000 projects", { ...key, projects: Array.from({ length: 1_000 }, (_, at) => `p${at}`) }],
    ["15,000 scopes", { ...key, scopes: Array.from({ length: 15_000 }, () => "read") }],
    ["expires_in of 11M", { ...key, expires_in: "1".repeat(11 * MIB) }],
    ["expires_in of many units", { ...key, expires_in: "1h1m1s".repeat(2 * MIB - 100) }],
  ];
}

/** Queries and paths as long as a header of 16K may be, on every other route. */
function queries(id: string): readonly Load[] {
  const long = 15_000;
  const load = (method: "GET" | "POST", path: string, query: string) => ({
    name: query.slice(0, 24),
    method,
    path: query === "" ? path : `${path}?${query}`,
  });
  const states = "queued,".repeat(long / 7 - 10);
  return [
    load("GET", "/v1/jobs", `state=${states}queued`),
    load("GET", "/v1/jobs", "limit=500"),
    load("GET", "/v1/jobs", `cursor=${"0".repeat(long)}`),
    load("GET", "/v1/jobs", `project=${"a-".repeat(long / 2)}`),
    load("GET", "/v1/jobs", "a&".repeat(long / 2)),
    load("GET", `/v1/jobs/${id}`, ""),
    load("GET", `/v1/jobs/${"0".repeat(long)}`, ""),
    load("GET", `/v1/jobs/${id}/wait`, `timeout=${"1h".repeat(long / 2)}`),
    load("GET", `/v1/jobs/${id}/logs`, `offset=${"9".repeat(long)}`),
    load("GET", `/v1/jobs/${id}/artifacts`, ""),
    load("GET", `/v1/jobs/${id}/artifacts/${"a/".repeat(long / 2)}`, ""),
    load("GET", `/v1/jobs/${id}/artifacts/${"%2e".repeat(long / 3)}`, ""),
    load("GET", "/v1/projects", ""),
    load("GET", `/v1/projects/${"a".repeat(long)}`, ""),
    load("GET", "/v1/events", `since=${"9".repeat(long)}`),
    load("GET", "/metrics", ""),
    load("GET", "/openapi.json", ""),
    load("GET", "/v1/status", ""),
    load("GET", "/healthz", ""),
    load("GET", "/readyz", ""),
    load("GET", "/", ""),
    load("GET", "/health", ""),
    load("GET", "/v1/retention", ""),
    load("GET", "/v1/keys", ""),
    load("GET", "/v1/terminals", ""),
    load("GET", "/v1/host", ""),
    load("GET", "/v1/console", ""),
    load("GET", "/v1/llm/usage", `days=${"9".repeat(long)}`),
    load("POST", `/v1/projects/bench/terminals/${"0".repeat(long)}/kill`, ""),
    load("POST", `/v1/jobs/${id}/release`, ""),
    { ...load("GET", `/jobs/${"1".repeat(long)}`, ""), headers: GRYT.headers },
    { ...load("POST", `/jobs/${"1".repeat(long)}/cancel`, ""), headers: GRYT.headers },
    load("POST", `/v1/jobs/${id}/cancel`, ""),
    load("POST", `/v1/jobs/${id}/retry`, ""),
    // No job may start: the project is paused while the queue is not.
    load("POST", "/v1/projects/bench/pause", ""),
    ...["resume", "drain", "pause"].map((verb) => load("POST", `/v1/queue/${verb}`, "")),
    load("POST", "/v1/projects/bench/drain", ""),
    load("POST", "/v1/projects/bench/resume", ""),
    load("POST", "/v1/keys/0123456789abcdef/revoke", ""),
    load("POST", "/v1/keys/0123456789abcdef/rotate", `overlap=${"1h".repeat(long / 2)}`),
    load("POST", "/v1/housekeeping", "dry_run=1"),
    load("POST", "/v1/retention/sweep", ""),
  ];
}
