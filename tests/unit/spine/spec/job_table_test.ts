import assert from "node:assert/strict";
import * as fc from "fast-check";
import * as v from "valibot";
import { formatDocPage } from "@optique/core/doc";
import { getDocPageAsync, parseAsync } from "@optique/core/parser";
import { integer } from "@lib/core/value_types.ts";
import { flaggedFields, jobFlags } from "@lib/features/jobs/commands/grammar_job_flags.ts";
import type { KeyTable } from "@lib/foundations/config/key.ts";
import { JOB_DEFAULTS } from "@lib/spine/spec/keys.ts";
import { parseAttemptOrder } from "@lib/spine/agent_link/protocol.ts";
import { parseJobRow } from "@lib/spine/queue/job_row.ts";
import {
  field,
  type Fields,
  fill,
  fillMissing,
  type GivenOf,
  recordSchema,
  requestJson,
  requestSchema,
  type SpecOf,
  toView,
  viewName,
  walk,
} from "@lib/spine/spec/field.ts";
import { JOB, SPEC } from "@lib/spine/spec/job_fields.ts";
import { parseJobRequest, type RequestDefaults } from "@lib/spine/spec/job_request.ts";
import {
  hasSetup,
  type JobSpec,
  readStoredSpec,
  specRecord,
  toLimitsView,
  toSpecView,
} from "@lib/spine/spec/job_spec.ts";
import {
  makeContainer,
  makeJob,
  makeSpec,
  openMemoryStore,
} from "../../../support/job_fixtures.ts";

const SHA = "0123456789abcdef0123456789abcdef01234567";

const settings: RequestDefaults = {
  shell: "/bin/sh",
  env: {},
  limits: {},
  timeoutMs: 1_000,
  graceMs: 100,
  priority: 5,
  logMaxBytes: 1_000,
  pull: "never",
  network: "bridge",
  rules: {
    containers: {
      allow: ["mounts", "capabilities", "privileged", "user"],
      mounts: ["/srv"],
      networks: ["ci"],
      images: [],
      network: "bridge",
    },
    git: { schemes: ["https"] },
  },
};

/** A value for every public field of a request, other than its default. */
const EVERYTHING: Readonly<Record<string, unknown>> = {
  project: "web",
  command: ["make"],
  env: { A: "1" },
  secrets: { TOKEN: "a-token-of-git", REGISTRY: "a-password" },
  workdir: "src",
  "limits.cpu": 0.5,
  "limits.memory": "64M",
  "limits.tasks": 7,
  "limits.disk": "2G",
  timeout: "10m",
  grace: "3s",
  hold_on_failure: "1h",
  priority: 7,
  concurrency_group: "deploy",
  cancel_in_progress: true,
  "retries.max": 3,
  "retries.on": ["lost"],
  "retries.delay": "7s",
  output: "split",
  log_max: "5M",
  labels: { a: "b" },
  traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
  "git.url": "https://example.org/app.git",
  "git.ref": "main",
  "git.sha": SHA,
  "git.depth": 5,
  "git.tags": true,
  "git.submodules": true,
  "git.lfs": true,
  "git.path": "app",
  "git.token_secret": "TOKEN",
  files: { "a.sh": { base64: "Iw==", executable: true } },
  "artifacts.paths": ["out/**"],
  "artifacts.when": "always",
  caches: [{ name: "npm", paths: ["node_modules"], key_files: ["lock"] }],
  image: "node:22",
  pull: "always",
  network: "ci",
  "container.entrypoint": "image",
  "container.user": "1000",
  "container.registry.username": "me",
  "container.registry.password_secret": "REGISTRY",
  "container.mounts": [{ source: "/srv/a", target: "/a", read_only: false }],
  "container.capabilities": ["NET_RAW"],
  "container.privileged": true,
  "container.ulimits": { nofile: 9 },
  "container.shm_size": "3M",
};

function requestOf(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const request: Record<string, unknown> = {};
  for (const [path, value] of Object.entries(values)) {
    const names = path.split(".");
    let at = request;
    for (const name of names.slice(0, -1)) at = Object(at[name] ??= {});
    at[names.at(-1) ?? ""] = value;
  }
  return request;
}

/** From the runner's row to the order, and to the agent's `attempt.json`; each as JSON. */
function carried(spec: JobSpec): JobSpec {
  using memory = openMemoryStore();
  const stored = memory.store.require(memory.store.insert({ job: makeJob({ spec }) }).job.id).spec;
  const order = parseAttemptOrder(json({ spec: stored, secrets: null, bootId: "b" }));
  return v.parse(specRecord, json(order.spec));
}

function json<T>(value: T): T {
  return JSON.parse(JSON.stringify(value));
}

/** A spec by the keys of the table, with nothing but what is there. */
function leaves(value: unknown, above = ""): readonly string[] {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return [above];
  return Object.entries(value).flatMap(([key, below]) => leaves(below, `${above}/${key}`));
}

Deno.test("the test of the table knows a value for every field", () => {
  const missing = [...walk(JOB)].filter(({ path, field }) =>
    field.fields === undefined && !(path in EVERYTHING)
  ).map(({ path }) => path);
  assert.deepEqual(missing, ["script", "shell", "errexit"], "which stand for `command`");
});

Deno.test("every field of the table gets from the request to the agent's record and the view", () => {
  const plain = parseJobRequest(requestOf({ project: "web", command: ["true"] }), () => settings);
  const { spec } = parseJobRequest(requestOf(EVERYTHING), () => settings);
  assert.deepEqual(carried(spec), spec);
  for (const [key, { name, fields }] of Object.entries<Fields[string]>(SPEC)) {
    const value = new Map(Object.entries(spec)).get(key);
    assert.notEqual(value, undefined, `${key} got lost`);
    if (key === "project") continue;
    assert.notDeepEqual(value, new Map(Object.entries(plain.spec)).get(key), `${key} is not read`);
    for (const [below, { name: public_ }] of Object.entries(fields ?? {})) {
      assert.ok(Object.hasOwn(Object(value), below), `${name}.${public_} got lost`);
    }
  }
  const view = { ...toSpecView(spec), limits: toLimitsView(spec) };
  const shown = leaves(view).join("\n");
  for (const { path, field } of walk(JOB)) {
    if (["project", "script", "shell", "errexit", "secrets", "files"].includes(path)) continue;
    if (field.fields !== undefined) continue;
    const at = `${path.split(".").slice(0, -1).map((name) => `/${name}`).join("")}/${
      viewName(field)
    }`;
    assert.ok(shown.includes(at), `${path} is not shown`);
  }
  assert.deepEqual(toSpecView(spec)["files"], [{ path: "a.sh", executable: true, size_bytes: 1 }]);
  assert.ok(!JSON.stringify(view).includes("Iw=="), "a view shows no content");
});

Deno.test("any choice of fields gets to the agent's record whole", () => {
  const optional = Object.keys(EVERYTHING).filter((path) =>
    !["project", "command", "secrets", "image"].includes(path) && !path.startsWith("git.") &&
    !path.startsWith("artifacts.") && !path.startsWith("retries.") && !path.includes("registry")
  );
  fc.assert(fc.property(fc.subarray(optional), (paths) => {
    const chosen = ["project", "command", "image", ...paths];
    if (paths.includes("cancel_in_progress")) chosen.push("concurrency_group");
    const values = Object.fromEntries(chosen.map((path) => [path, EVERYTHING[path]]));
    const { spec } = parseJobRequest(requestOf(values), () => settings);
    const order = parseAttemptOrder(json({ spec, secrets: {}, bootId: "b" }));
    assert.deepEqual(v.parse(specRecord, json(order.spec)), spec);
    assert.deepEqual(readStoredSpec(json(spec)), spec);
  }));
});

Deno.test("parseJobRow() gives the defaults of newer fields to a row of an older release", () => {
  using memory = openMemoryStore();
  const full = makeSpec({
    container: makeContainer(),
    git: { url: "https://x/y", depth: 1, submodules: false, lfs: false, path: "." },
  });
  const { id } = memory.store.insert({ job: makeJob({ spec: full }) }).job;
  const older: Record<string, unknown> = json({ ...full });
  for (const [key, { default: fallback }] of Object.entries<Fields[string]>(SPEC)) {
    if (fallback !== undefined) delete older[key];
  }
  older["retries"] = { max: 0 };
  older["git"] = { url: "https://x/y" };
  memory.db.run("UPDATE jobs SET spec = ? WHERE id = ?", JSON.stringify(older), id);
  assert.deepEqual(memory.store.require(id).spec, full);
  assert.deepEqual(parseAttemptOrder({ spec: older, secrets: null, bootId: "b" }).spec, full);
});

Deno.test("a field of a newer release is kept from the row to the agent's record", () => {
  const newer = json({
    ...makeSpec({ container: makeContainer() }),
    nice: 5,
    limits: { io: 7 },
  });
  assert.deepEqual(json(v.parse(specRecord, newer)), newer);
  assert.deepEqual(readStoredSpec(json(newer)), newer);
  assert.deepEqual(parseAttemptOrder({ spec: newer, secrets: null, bootId: "b" }).spec, newer);
});

Deno.test("parseJobRow() rejects a row without a spec", () => {
  using memory = openMemoryStore();
  const { id } = memory.store.insert({ job: makeJob() }).job;
  for (const spec of ["[]", "7", "{", "{}"]) {
    memory.db.run("UPDATE jobs SET spec = ? WHERE id = ?", spec, id);
    assert.throws(() => memory.store.require(id), { code: "store_corrupt" });
  }
  assert.throws(() => parseJobRow({}), { code: "store_corrupt" });
});

Deno.test("a setting of the table is a key of the configuration, under the field's own name", () => {
  const keys: KeyTable = { ...JOB_DEFAULTS.keys, ...JOB_DEFAULTS.projectKeys };
  for (const [name, { setting = "" }] of Object.entries<Fields[string]>(JOB)) {
    if (setting === "" || setting.startsWith("containers.")) continue;
    const key = keys[name];
    assert.ok(key !== undefined, `${name}: ${setting}`);
    if ("name" in key) assert.equal(setting.replace("projects.<name>.", ""), key.name);
  }
});

Deno.test("hasSetup() knows the fields of the setup", () => {
  const { spec } = parseJobRequest(requestOf(EVERYTHING), () => settings);
  for (const key of ["git", "files", "caches", "container"] as const) {
    assert.ok(hasSetup({ ...makeSpec(), [key]: spec[key] }), key);
  }
  assert.ok(!hasSetup(makeSpec({ files: [], caches: [] })));
});

Deno.test("a field that is added to the table gets everywhere by that one row", async () => {
  const probe = {
    ...JOB,
    nice: field("nice", integer({ min: -20, max: 19 }), {
      default: 0,
      setting: "defaults.nice",
      doc: "Priority of the processes",
      flag: "--nice NUMBER",
    }),
  };
  const kept = { project: JOB.project, nice: probe.nice };
  const completer = { jobIds: () => Promise.resolve([]), projects: () => Promise.resolve([]) };
  const grammar = jobFlags(completer, probe);

  const parsed = await parseAsync(grammar, ["--nice", "5", "--", "true"]);
  assert.ok(parsed.success);
  assert.equal(parsed.value.given["nice"], 5);
  assert.ok(!(await parseAsync(grammar, ["--nice", "20", "--", "true"])).success);
  const help = await getDocPageAsync(grammar, []);
  assert.match(help === undefined ? "" : formatDocPage("x", help), /--nice NUMBER\s+Priority of/);
  assert.equal(flaggedFields(probe).find(({ path }) => path === "nice")?.names[0], "--nice");

  const given: GivenOf<typeof probe> = v.parse(requestSchema(probe), {
    project: "web",
    nice: parsed.value.given["nice"],
  });
  assert.equal(given.nice, 5);
  const spec: SpecOf<typeof kept> = fill(kept, given, {});
  assert.equal(fill(kept, { project: "web" }, { nice: 3 }).nice, 3, "the configuration's");
  const row: Record<string, unknown> = json({ ...spec });
  fillMissing(kept, row);
  const record = v.parse(recordSchema(kept), json(row));
  assert.equal(record.nice, 5);
  assert.equal(v.parse(recordSchema(kept), { project: "web" }).nice, 0, "an older record's");
  assert.deepEqual(toView(kept, record), { nice: 5 });
  assert.deepEqual(Object(requestJson(probe)["properties"])["nice"], {
    type: "integer",
    minimum: -20,
    maximum: 19,
    description: "Priority of the processes; else `defaults.nice`",
  });
});
