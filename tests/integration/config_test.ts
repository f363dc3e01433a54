import assert from "node:assert/strict";
import * as fc from "fast-check";
import { CicdError } from "@lib/core/errors.ts";
import type { Config } from "@lib/foundations/config/config.ts";
import { invalidConfig, loadConfig } from "@lib/foundations/config/load.ts";
import { PROGRAM } from "@lib/foundations/config/program_keys.ts";
import { readConfig } from "@lib/foundations/config/read.ts";
import { renderConfigYaml, renderProblems } from "@lib/foundations/config/render.ts";
import { readYamlSource } from "@lib/foundations/config/yaml_source.ts";
import { JOB_DEFAULTS } from "@lib/spine/spec/keys.ts";
import { SECTIONS } from "../../cmd/shared/config_sections.ts";
import { withReference } from "../../tools/docs/config_reference.ts";

const signal = new AbortController().signal;
const sections = SECTIONS;
const context = { sections, home: "/home/ann", env: { XDG_RUNTIME_DIR: "/run/user/7" }, cores: 2 };

function load(text: string) {
  const { root, issues } = readYamlSource(text, "c.yaml");
  if (issues.length > 0) throw invalidConfig(issues);
  return loadConfig({ ...context, file: { name: "c.yaml", root } });
}

/** The settings, wherever they come from. */
function values({ settings }: Config): ReadonlyMap<string, unknown> {
  return new Map(settings.entries().map(([path, { value }]) => [path, value]));
}

function problems(text: string): readonly string[] {
  try {
    load(text);
  } catch (error) {
    assert.ok(error instanceof CicdError && error.code === "invalid_config");
    return renderProblems(error);
  }
  return [];
}

/** A document without what a formatter may change: padding of cells and rules. */
function withoutPadding(document: string): string {
  return document.replace(/[ \t]+/g, " ").replace(/-{3,}/g, "---");
}

async function directory() {
  const path = await Deno.makeTempDir();
  return {
    path,
    async [Symbol.asyncDispose]() {
      await Deno.remove(path, { recursive: true });
    },
  };
}

Deno.test("loadConfig() gives places by line and column", () => {
  assert.deepEqual(problems("queue:\n  max_runing: 4\n  ageing: -5m\nlog: {level: loud}\n"), [
    'c.yaml:2:3: unknown key "queue.max_runing"; did you mean "max_running"?',
    'c.yaml:3:11: queue.ageing is "-5m"; a duration cannot be negative',
    'c.yaml:4:14: log.level is "loud"; give one of debug, info, warning, error',
  ]);
});

Deno.test("loadConfig() takes an empty file and one of comments as all defaults", () => {
  const { config } = loadConfig(context);
  for (const text of ["", "\n", "# nothing\n", "---\n", "\u{feff}", "{}"]) {
    assert.deepEqual(values(load(text).config), values(config));
  }
});

Deno.test("loadConfig() refuses what YAML allows but a configuration does not need", () => {
  for (
    const [text, pattern] of [
      ["agents: auto\nagents: child\n", /^c\.yaml:2:1: YAML: Map keys must be unique$/],
      ['projects: {2024: {}, "2024": {}}\n', /^c\.yaml:1:22: YAML: Map keys must be unique$/],
      ["agents: !unit auto\n", /^c\.yaml:1:9: YAML: Unresolved tag/],
      ["agents: auto\n---\nagents: child\n", /YAML: Source contains multiple documents/],
      ["agents: *none\n", /YAML: .*alias/i],
      ["? [a]\n: b\n", /^c\.yaml:1:3: YAML: /],
      ["agents: [1\n", /^c\.yaml:2:1: YAML: /],
      ["- a\n", /^c\.yaml:1:1: the file is a list; give a map of keys$/],
      [`agents: ${"[".repeat(40)}${"]".repeat(40)}\n`, /nested deeper than 16 levels/],
      ["<<: {agents: auto}\n", /^c\.yaml:1:1: unknown key "<<"/],
    ] as const
  ) {
    assert.match(problems(text)[0] ?? "nothing was refused", pattern, text);
  }
});

Deno.test("loadConfig() reads YAML 1.2 even where a directive says otherwise", () => {
  assert.match(
    problems("%YAML 1.1\n---\nhttp: {max_connections: 1_0}\n")[0] ?? "",
    /http\.max_connections is "1_0"/,
  );
});

Deno.test("loadConfig() takes aliases, and bounds what they make", () => {
  const text = "projects: {a: {limits: &small {memory: 1G}}, b: {limits: *small}}\n";
  const { config } = load(text);
  const limits = [...config.projects].map((project) =>
    config.ofProject(JOB_DEFAULTS, project).limits.memoryBytes
  );
  assert.deepEqual(limits, [1024 ** 3, 1024 ** 3]);
  const bomb = ["a: &a [x, x, x, x, x, x, x, x, x, x]"];
  for (const [from, to] of ["ab", "bc", "cd", "de", "ef"].map((pair) => [...pair])) {
    bomb.push(`${to}: &${to} [${Array(10).fill(`*${from}`).join(", ")}]`);
  }
  const [issue] = readYamlSource(bomb.join("\n"), "c").issues;
  assert.match(issue?.message ?? "", /more than 200 aliases/);
  const [wide] = readYamlSource(`[${"x,".repeat(20_000 + 1)}]`, "c").issues;
  assert.match(wide?.message ?? "", /more than 20000 values/);
  const [loop] = readYamlSource("a: &a [*a]\n", "c").issues;
  assert.match(loop?.message ?? "", /YAML: /);
});

Deno.test("loadConfig() keeps texts of variables as they are written", () => {
  const { config } = load("defaults: {env: {A: 1.10, B: yes, C: 0x10, D: '', E: true}}\n");
  assert.deepEqual(config.of(JOB_DEFAULTS).env, {
    A: "1.10",
    B: "yes",
    C: "0x10",
    D: "",
    E: "true",
  });
});

Deno.test("renderConfigYaml() gives a file that means the same, whatever the variables", () => {
  const name = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,12}$/);
  const value = fc.string({ unit: "binary" }).filter((text) => !text.includes("\0"));
  const env = fc.dictionary(name, value, { noNullPrototype: true });
  fc.assert(fc.property(env, fc.nat(3_600), (variables, seconds) => {
    const first = load(JSON.stringify({
      idle_exit: seconds,
      defaults: { env: variables },
      projects: { "no": { env: variables, limits: { cpu: 0.5 } }, "1e3": {}, "a.b": {} },
    }));
    const second = load(renderConfigYaml(first.config, { env: "shown" }));
    assert.deepEqual(values(second.config), values(first.config));
    assert.deepEqual(second.config.projects, first.config.projects);
  }));
});

Deno.test("readConfig() without a file in the usual place gives the defaults", async () => {
  await using home = await directory();
  const loaded = await readConfig({ sections, env: { HOME: home.path }, signal });
  assert.equal(loaded.file, undefined);
  assert.equal(loaded.config.of(PROGRAM).stateDir, `${home.path}/.local/state/cicd-toolkit`);
});

Deno.test("readConfig() finds the usual file, that of CICD_CONFIG, and that of --config", async () => {
  await using home = await directory();
  const usual = `${home.path}/.config/cicd-toolkit/config.yaml`;
  await Deno.mkdir(`${home.path}/.config/cicd-toolkit`, { recursive: true });
  await Deno.writeTextFile(usual, "idle_exit: 1m\n");
  await Deno.writeTextFile(`${home.path}/b.yaml`, "idle_exit: 2m\n");
  await Deno.writeTextFile(`${home.path}/c.yaml`, "idle_exit: 3m\n");
  const env = { HOME: home.path };
  const found = await readConfig({ sections, env, signal });
  assert.equal(found.file, usual);
  assert.equal(found.config.of(PROGRAM).idleExitMs, 60_000);
  const second = { ...env, CICD_CONFIG: `${home.path}/b.yaml` };
  assert.equal(
    (await readConfig({ sections, env: second, signal })).config.of(PROGRAM).idleExitMs,
    120_000,
  );
  const path = `${home.path}/c.yaml`;
  assert.equal(
    (await readConfig({ sections, env: second, path, signal })).config.of(PROGRAM).idleExitMs,
    180_000,
  );
});

Deno.test("readConfig() needs no file at the usual place, though a unit names it", async () => {
  await using home = await directory();
  const env = { HOME: home.path };
  const path = `${home.path}/.config/cicd-toolkit/config.yaml`;
  assert.equal((await readConfig({ sections, path, env, signal })).file, undefined);
  const named = { ...env, CICD_CONFIG: path };
  assert.equal((await readConfig({ sections, env: named, signal })).file, undefined);
});

Deno.test("readConfig() refuses a named file that is missing, no file, no text or too large", async () => {
  await using home = await directory();
  const refused = async (path: string): Promise<string> => {
    const error = await readConfig({ sections, path, env: { HOME: home.path }, signal }).catch((
      e,
    ) => e);
    assert.ok(error instanceof CicdError && error.code === "invalid_config");
    return error.issues[0]?.message ?? "";
  };
  const path = `${home.path}/c.yaml`;
  assert.match(await refused(path), /The file does not exist/);
  assert.match(await refused(home.path), /not a regular file/);
  assert.match(await refused("/dev/zero"), /not a regular file/);
  await Deno.writeFile(path, new Uint8Array([0xff, 0xfe, 0x41]));
  assert.match(await refused(path), /not UTF-8 text/);
  await Deno.writeTextFile(path, "#".repeat(256 * 1024 + 1));
  assert.match(await refused(path), /larger than/);
});

Deno.test("readConfig() warns of a file that others can read or change", async () => {
  await using home = await directory();
  const path = `${home.path}/c.yaml`;
  await Deno.writeTextFile(path, "defaults: {env: {TOKEN: x}}\n");
  const warnings = async (mode: number) => {
    await Deno.chmod(path, mode);
    return (await readConfig({
      sections,
      path,
      env: { HOME: home.path, XDG_RUNTIME_DIR: "/r" },
      signal,
    }))
      .warnings.map((text) => text.slice(path.length + 1));
  };
  assert.deepEqual(await warnings(0o600), []);
  assert.match((await warnings(0o640))[0] ?? "", /^sets variables of jobs/);
  assert.match((await warnings(0o622)).join(), /can be changed by others/);
});

Deno.test("docs/configuration.md has the tables of the current keys", async () => {
  const document = await Deno.readTextFile(
    new URL("../../docs/configuration.md", import.meta.url),
  );
  assert.equal(
    withoutPadding(withReference(document, SECTIONS)),
    withoutPadding(document),
    "run: deno task docs",
  );
});

Deno.test("docs/configuration.md has an example that is a valid configuration", async () => {
  const document = await Deno.readTextFile(
    new URL("../../docs/configuration.md", import.meta.url),
  );
  const [example] = document.matchAll(/```yaml\n([\s\S]*?)```/g);
  assert.deepEqual(problems(example?.[1] ?? "!!missing"), []);
});
