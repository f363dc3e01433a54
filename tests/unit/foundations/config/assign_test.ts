import assert from "node:assert/strict";
import { assignEnv, assignFile, strayEnvWarnings } from "@lib/foundations/config/assign.ts";
import { catalogOf } from "@lib/foundations/config/config.ts";
import { SECTIONS } from "../../../../cmd/shared/config_sections.ts";
import { sourceOf } from "../../../support/source_node.ts";

const CATALOG = catalogOf(SECTIONS);

function assign(value: unknown) {
  return assignFile({ name: "c", root: sourceOf(value) }, CATALOG);
}

function messages(value: unknown): readonly string[] {
  return assign(value).issues.map(({ message }) => message);
}

Deno.test("assignFile() takes an empty file, empty sections and empty values as nothing", () => {
  for (const value of [null, {}, { http: null }, { log: { level: null } }, { projects: null }]) {
    const { assignments, issues } = assign(value);
    assert.deepEqual([assignments, issues], [[], []]);
  }
});

Deno.test("assignFile() names the project that has no settings", () => {
  assert.deepEqual([...assign({ projects: { web: null } }).projects], ["web"]);
});

Deno.test("assignFile() refuses other shapes than maps", () => {
  assert.deepEqual(messages([1]), ["the file is a list; give a map of keys"]);
  assert.deepEqual(messages({ http: "x" }), ['http is the value "x"; give a map of keys']);
  assert.deepEqual(messages({ projects: ["a"] }), [
    "projects is a list; give a map of project names",
  ]);
  assert.deepEqual(messages({ projects: { a: 3 } }), [
    'projects.a is the value "3"; give a map of keys',
  ]);
});

Deno.test("assignFile() proposes the key that was meant, here or elsewhere", () => {
  const meant = (value: unknown) => /did you mean "(.*)"\?$/.exec(messages(value)[0] ?? "")?.[1];
  assert.equal(meant({ sokcet: "/x" }), "socket");
  assert.equal(meant({ project: {} }), "projects");
  assert.equal(meant({ stateDir: "/x" }), "state_dir");
  assert.equal(meant({ max_queued: 3 }), "queue.max_queued");
  assert.equal(meant({ defaults: { limits: { ram: 3, cpus: 1 } } }), undefined);
  assert.equal(meant({ projects: { "a.b": { limits: { memroy: 3 } } } }), "memory");
});

Deno.test("assignFile() does not treat a dotted key as a path", () => {
  assert.equal(messages({ "log.level": "debug" }).length, 1);
  assert.equal(messages({ "defaults.limits": { cpu: 1 } }).length, 1);
});

Deno.test("assignFile() takes texts below env as they are written", () => {
  const root = {
    kind: "map",
    at: { line: 1, column: 1 },
    entries: [{
      name: "defaults",
      at: { line: 1, column: 1 },
      node: {
        kind: "map",
        at: { line: 2, column: 3 },
        entries: [{
          name: "env",
          at: { line: 2, column: 3 },
          node: {
            kind: "map",
            at: { line: 3, column: 5 },
            entries: [{
              name: "VERSION",
              at: { line: 3, column: 5 },
              node: { kind: "scalar", value: 1.1, text: "1.10", at: { line: 3, column: 14 } },
            }],
          },
        }],
      },
    }],
  } as const;
  assert.deepEqual(assignFile({ name: "c", root }, CATALOG).assignments[0]?.raw, {
    VERSION: "1.10",
  });
});

Deno.test("assignEnv() treats an empty variable as unset", () => {
  assert.deepEqual(assignEnv({ CICD_LOG_LEVEL: "" }, CATALOG).assignments, []);
});

Deno.test("strayEnvWarnings() warns of slips only", () => {
  const env = { CICD_LOG_LEVLE: "x", CICD_JOB_ID: "x", CICD_SOMETHING_ELSE: "x", OTHER: "x" };
  assert.deepEqual(strayEnvWarnings(env, CATALOG), [
    "CICD_LOG_LEVLE is set but has no effect; CICD_LOG_LEVEL would",
  ]);
});
