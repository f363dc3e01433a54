import assert from "node:assert/strict";
import { CicdError } from "@lib/core/errors.ts";
import type { Config } from "@lib/foundations/config/config.ts";
import { loadConfig } from "@lib/foundations/config/load.ts";
import {
  renderConfigJson,
  renderConfigYaml,
  renderProblems,
} from "@lib/foundations/config/render.ts";
import { SECTIONS } from "../../../../cmd/shared/config_sections.ts";
import { sourceOf } from "../../../support/source_node.ts";

function loaded(file: unknown): Config {
  return loadConfig({
    sections: SECTIONS,
    file: { name: "c.yaml", root: sourceOf(file) },
    home: "/h",
    env: {},
    cores: 2,
  }).config;
}

const FILE = {
  idle_exit: 300,
  defaults: { limits: { cpu: 1.5 }, env: { TOKEN: "hunter2", EMPTY: "", yes: "true\n" } },
  projects: { "2024": null, web: { limits: { memory: "1G" }, workdir: "src" } },
};

Deno.test("renderConfigYaml() shows each setting with its origin", () => {
  const text = renderConfigYaml(loaded(FILE), { env: "shown" });
  assert.match(text, /^idle_exit: 300 # c\.yaml:3:1$/m);
  assert.match(text, /^queue:\n {2}max_queued: 20000 # default$/m);
  assert.match(text, /^ {2}limits:\n {4}cpu: 1\.5 # c\.yaml/m);
  assert.match(text, /^ {2}env: \{ TOKEN: hunter2, EMPTY: "", "yes": "true\\n" \} # c\.yaml/m);
  assert.match(text, /^projects:\n {2}"2024": \{\}\n {2}web:\n {4}/m);
  assert.match(text, /^ {4}limits:\n {6}memory: 1G # /m);
  assert.match(text, /^ {4}workdir: src # /m);
});

Deno.test("renderConfigYaml() and renderConfigJson() hide the values of variables", () => {
  const yaml = renderConfigYaml(loaded(FILE), { env: "hidden" });
  const json = JSON.stringify(renderConfigJson(loaded(FILE), { env: "hidden" }));
  for (const text of [yaml, json]) {
    assert.match(text, /TOKEN/);
    assert.doesNotMatch(text, /hunter2/);
  }
});

Deno.test("renderConfigJson() gives value and origin by path", () => {
  const shown = renderConfigJson(loaded(FILE), { env: "shown" });
  assert.deepEqual(shown["idle_exit"], { value: 300, origin: "c.yaml:3:1" });
  assert.deepEqual(shown["log.level"], { value: "info", origin: "default" });
});

Deno.test("renderProblems() gives one line per problem, without control characters", () => {
  const issues = [{ path: "c:1:2", message: "bad\x1b[31m\nthing" }, {
    path: "c:2:2",
    message: "b",
  }];
  const lines = renderProblems(new CicdError("invalid_config", "Cannot", { issues }));
  assert.deepEqual(lines, ["c:1:2: bad\u{fffd}[31m\u{fffd}thing", "c:2:2: b"]);
  assert.deepEqual(renderProblems(new Error("other")), ["other"]);
});
