import assert from "node:assert/strict";
import { CicdError } from "@lib/core/errors.ts";
import { parseProjectName, type ProjectName } from "@lib/core/ids.ts";
import { duration, integer, path, text } from "@lib/core/value_types.ts";
import { type Config, section } from "@lib/foundations/config/config.ts";
import { key, optionalKey, together } from "@lib/foundations/config/key.ts";
import { loadConfig } from "@lib/foundations/config/load.ts";
import { LISTEN, PROGRAM } from "@lib/foundations/config/program_keys.ts";
import { CONTAINERS } from "@lib/features/containers/keys.ts";
import { SECTIONS } from "../../../../cmd/shared/config_sections.ts";
import { sourceOf } from "../../../support/source_node.ts";

const PROBE = section({
  keys: {
    waitMs: key("probe.wait", duration({ min: 0, max: 60_000 }), "A time.", "10s", {
      project: { name: "wait", doc: "A time of the project." },
    }),
    level: optionalKey("probe.level", integer({ min: 1, max: 9 }), "A level."),
    file: optionalKey("probe.file", path("absolute"), "A file."),
    store: together({
      address: optionalKey("probe.store.address", text("an address", /^\S+$/), "An address."),
      name: optionalKey("probe.store.name", text("a name", /^\S+$/), "A name."),
      prefix: key("probe.store.prefix", text("a prefix", /^\S*$/), "A prefix.", "x/"),
    }, ["address"]),
  },
  projectKeys: { color: optionalKey("color", text("a color", /^[a-z]+$/), "A color.") },
});

function load(file: unknown, sections = [...SECTIONS, PROBE]): Config {
  const env = { XDG_RUNTIME_DIR: "/run/user/7" };
  const root = sourceOf(file);
  return loadConfig({ sections, home: "/h", env, cores: 2, file: { name: "c", root } }).config;
}

function project(name: string): ProjectName {
  const parsed = parseProjectName(name);
  assert.ok(parsed !== undefined);
  return parsed;
}

Deno.test("Config.of() reads a section; a key without a value is absent", () => {
  assert.deepEqual(load({}).of(PROBE), { waitMs: 10_000 });
  const { waitMs, level = 0 }: { waitMs: number; level?: number } = load({
    probe: { wait: "2s", level: 3 },
  }).of(PROBE);
  assert.deepEqual([waitMs, level], [2_000, 3]);
});

Deno.test("Config.of() and Config.ofProject() read a snapshot once", () => {
  const config = load({ projects: { web: { wait: 1 } } });
  assert.equal(config.of(PROBE), config.of(PROBE));
  assert.notEqual(config.of(PROBE), load({}).of(PROBE));
  const web = project("web");
  assert.equal(config.ofProject(PROBE, web), config.ofProject(PROBE, web));
  // Names come with requests: those without settings must not pile up.
  assert.equal(config.ofProject(PROBE, project("a")), config.ofProject(PROBE, project("b")));
});

Deno.test("Config.ofProject() takes the project's own setting, else the general one", () => {
  const config = load({
    probe: { wait: "2s", level: 3 },
    containers: { images: ["a"], network: "none" },
    projects: { web: { wait: "1s", color: "red", containers: { images: ["b"], mounts: ["/x"] } } },
  });
  assert.deepEqual(config.ofProject(PROBE, project("web")), {
    waitMs: 1_000,
    level: 3,
    color: "red",
  });
  assert.deepEqual(config.ofProject(PROBE, project("api")), { waitMs: 2_000, level: 3 });
  const { images, network, mounts, allow } = config.ofProject(CONTAINERS, project("web"));
  assert.deepEqual([images, network, mounts, allow], [["b"], "none", ["/x"], []]);
  assert.deepEqual(config.ofProject(CONTAINERS, project("api")).mounts, []);
});

Deno.test("together() gives all of its values or none, and names the one that is missing", () => {
  const store = { address: "a", name: "n" };
  assert.deepEqual(load({ probe: { store } }).of(PROBE).store, { ...store, prefix: "x/" });
  assert.equal(load({ probe: { store: { name: "n" } } }).of(PROBE).store, undefined);
  const refusals: readonly (readonly [unknown, string])[] = [
    [
      { probe: { store: { address: "a" } } },
      "probe.store.name is missing; probe.store.address requires it",
    ],
    [
      { listen: { tls_key: "/k" } },
      "listen.tls_certificate is missing; listen.tls_key requires it",
    ],
    [
      { artifacts: { s3: { endpoint: "http://s3", bucket: "abc", access_key: "env:A" } } },
      "artifacts.s3.secret_key is missing; artifacts.s3.endpoint requires it",
    ],
  ];
  for (const [file, message] of refusals) {
    assert.throws(() => load(file), (error) => {
      assert.ok(error instanceof CicdError);
      assert.deepEqual(error.issues.map((issue) => `${issue.path} ${issue.message}`), [message]);
      return true;
    });
  }
});

Deno.test("loadConfig() makes every path absolute and refuses one that is not", () => {
  assert.equal(load({ probe: { file: "~/x//y" } }).of(PROBE).file, "/h/x/y");
  assert.throws(() => load({ probe: { file: "x/y" } }), /probe\.file is "x\/y"; give an absolute/);
});

Deno.test("Config.needsRestart() lists changed keys by the mark in their rows", () => {
  const before = load({ listen: { address: "1" } });
  const tls = { tls_certificate: "/c", tls_key: "/k" };
  const after = (file: unknown) => load(file).needsRestart(before);
  assert.deepEqual(after({ listen: { address: "1" }, idle_exit: "9m" }), []);
  assert.deepEqual(after({ listen: { address: "2" }, agents: "child" }), [
    "agents",
    "listen.address",
  ]);
  assert.deepEqual(after({ listen: { address: "1", ...tls } }), ["listen.tls_certificate"]);
  const other = { address: "1", tls_certificate: "/d", tls_key: "/k" };
  assert.deepEqual(
    load({ listen: { address: "1", ...tls } }).needsRestart(load({ listen: other })),
    [],
  );
});

Deno.test("Config.withDefault() gives a value to a key that has none", () => {
  const { address } = LISTEN.keys;
  const config = load({}).withDefault(address, "127.0.0.1:9");
  assert.equal(config.of(LISTEN).address, "127.0.0.1:9");
  assert.equal(config.withDefault(address, "8").of(LISTEN).address, "127.0.0.1:9");
  assert.equal(config.of(PROGRAM).socket, "/run/user/7/cicd-runner.sock");
});
