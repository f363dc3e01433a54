import assert from "node:assert/strict";
import * as fc from "fast-check";
import { CicdError } from "@lib/core/errors.ts";
import { parseProjectName, type ProjectName } from "@lib/core/ids.ts";
import { assignEnv, assignFile, assignFlags } from "@lib/foundations/config/assign.ts";
import { envNameOf, flagNameOf } from "@lib/foundations/config/key.ts";
import { allKeys } from "@lib/foundations/config/keys.ts";
import { type LoadedConfig, mergeConfig } from "@lib/foundations/config/merge.ts";
import { formatOrigin } from "@lib/foundations/config/origin.ts";
import { projectSettings } from "@lib/foundations/config/schema.ts";
import { sourceOf } from "../../../support/source_node.ts";

const HOME_ENV = { XDG_RUNTIME_DIR: "/run/user/1000" };

interface Given {
  readonly file?: unknown;
  readonly env?: Readonly<Record<string, string>>;
  readonly flags?: Readonly<Record<string, string>>;
  readonly cores?: number;
}

function merge({ file, env = HOME_ENV, flags = {}, cores = 2 }: Given = {}): LoadedConfig {
  const root = file === undefined ? undefined : sourceOf(file);
  return mergeConfig(
    [assignFile(root, "c.yaml"), assignEnv(env), assignFlags(new Map(Object.entries(flags)))],
    { home: "/home/ann", env, cores },
  );
}

function problems(given: Given): readonly string[] {
  try {
    merge(given);
  } catch (error) {
    assert.ok(error instanceof CicdError && error.code === "invalid_config");
    return error.issues.map(({ path, message }) => `${path}: ${message}`);
  }
  return [];
}

function project(name: string): ProjectName {
  const parsed = parseProjectName(name);
  assert.ok(parsed !== undefined);
  return parsed;
}

Deno.test("mergeConfig() without any source gives the defaults", () => {
  const { config, origins, warnings } = merge();
  assert.equal(config.socket, "/run/user/1000/cicd-runner.sock");
  assert.equal(config.stateDir, "/home/ann/.local/state/cicd-toolkit");
  assert.equal(config.runtimeDir, "/run/user/1000/cicd-toolkit");
  assert.equal(config.idleExitMs, 300_000);
  assert.equal(config.http.maxBodyBytes, 12 * 1024 * 1024);
  assert.deepEqual(config.defaults.limits, {});
  assert.equal(config.projects.size, 0);
  assert.ok(origins.values().every(({ kind }) => kind === "default"));
  assert.deepEqual(warnings, []);
});

Deno.test("mergeConfig() runs twice as many jobs as there are cores, at least 4", () => {
  assert.equal(merge({ cores: 1 }).config.queue.maxRunning, 4);
  assert.equal(merge({ cores: 8 }).config.queue.maxRunning, 16);
});

Deno.test("mergeConfig() lets flags win over environment over file, for any choice of keys", () => {
  const samples: Readonly<Record<string, readonly [string, string, string]>> = {
    "socket": ["/a/s", "/b/s", "/c/s"],
    "idle_exit": ["1m", "2m", "3m"],
    "log.level": ["debug", "warning", "error"],
    "http.max_body": ["1M", "2M", "3M"],
    "queue.max_running": ["1", "2", "3"],
    "defaults.limits.cpu": ["0.5", "1.5", "2"],
    "defaults.pass_env": ["A", "B", "C,D"],
    "defaults.env": ['{"A":"1"}', '{"B":"2"}', '{"C":"3"}'],
    "retention.max_age": ["1d", "2d", "3d"],
  };
  const keys = allKeys();
  const choice = fc.record({ file: fc.boolean(), env: fc.boolean(), flag: fc.boolean() });
  const choices = fc.record(
    Object.fromEntries(Object.keys(samples).map((name) => [name, choice])),
  );
  fc.assert(fc.property(choices, (chosen) => {
    const file: Record<string, Record<string, unknown>> = {};
    const env: Record<string, string> = { ...HOME_ENV };
    const flags: Record<string, string> = {};
    for (const [name, { file: inFile, env: inEnv, flag }] of Object.entries(chosen)) {
      const [a, b, c] = samples[name] ?? ["", "", ""];
      if (inFile) nest(file, name, keys.get(name)?.fromText(a));
      if (inEnv) env[envNameOf(name)] = b;
      if (flag) flags[name] = c;
    }
    const { settings } = merge({ file, env, flags });
    for (const [name, { file: inFile, env: inEnv, flag }] of Object.entries(chosen)) {
      const setting = settings.get(name);
      const [a, b, c] = samples[name] ?? ["", "", ""];
      const raw = (text: string) => keys.get(name)?.fromText(text);
      const origin = setting === undefined ? "none" : formatOrigin(setting.origin);
      if (flag) {
        assert.equal(origin, `flag ${flagNameOf(name)}`);
        assert.deepEqual(setting?.value, raw(c));
      } else if (inEnv) {
        assert.equal(origin, `env ${envNameOf(name)}`);
        assert.deepEqual(setting?.value, raw(b));
      } else if (inFile) {
        assert.match(origin, /^c\.yaml:\d+:1$/);
        assert.deepEqual(setting?.value, raw(a));
      } else {
        assert.ok(origin === "default" || origin === "none");
      }
    }
  }));
});

Deno.test("mergeConfig() also refuses a wrong value that a later source hides", () => {
  assert.deepEqual(problems({ file: { agents: "child", log: { level: "loud" } } }).length, 1);
  assert.match(
    problems({ file: { idle_exit: "soon" }, flags: { idle_exit: "5m" } })[0] ?? "",
    /^c\.yaml:\d+:1: idle_exit is "soon"; give a duration/,
  );
});

Deno.test("mergeConfig() reports every problem of every source, the file's in its order", () => {
  const found = problems({
    file: { queue: { ageing: "-5m", max_runing: 3 }, projects: { "../x": {} } },
    env: { ...HOME_ENV, CICD_HTTP_MAX_BODY: "lots" },
    flags: { "log.levle": "info" },
  });
  assert.equal(found.length, 5);
  assert.match(found[0] ?? "", /queue\.ageing is "-5m"; a duration cannot be negative$/);
  assert.match(found[1] ?? "", /queue\.max_runing is no known key; did you mean "max_running"\?$/);
  assert.match(found[2] ?? "", /projects: the name "\.\.\/x" begins with a dash, dot/);
  assert.match(found.slice(3).join("\n"), /^flag --log-levle: .* did you mean "log\.level"\?$/m);
  assert.match(found.slice(3).join("\n"), /^env CICD_HTTP_MAX_BODY: http\.max_body is "lots"/m);
});

Deno.test("mergeConfig() never repeats the value of a job's variable", () => {
  const env = { A: ["secret-1"], B: { c: "secret-2" } };
  assert.doesNotMatch(problems({ file: { defaults: { env } } }).join(), /secret/);
  const text = problems({ env: { ...HOME_ENV, CICD_DEFAULTS_ENV: "secret-3" } }).join();
  assert.match(text, /CICD_DEFAULTS_ENV/);
  assert.doesNotMatch(text, /secret/);
});

Deno.test("mergeConfig() points at the part of a map or list that is wrong", () => {
  const [first] = problems({ file: { defaults: { pass_env: ["PATH", "A B"] } } });
  // Lines: file 1, defaults 2 and 3, pass_env 4 and 5, PATH 6, A B 7.
  assert.match(first ?? "", /^c\.yaml:7:1: defaults\.pass_env\.1 is no variable name/);
});

Deno.test("mergeConfig() moves the sockets below the state folder without XDG_RUNTIME_DIR", () => {
  const { config } = merge({ env: {} });
  assert.equal(config.runtimeDir, "/home/ann/.local/state/cicd-toolkit/run");
  assert.equal(config.socket, "/home/ann/.local/state/cicd-toolkit/run/cicd-runner.sock");
});

Deno.test("mergeConfig() takes the state folder the service manager granted, unless told", () => {
  const env = { ...HOME_ENV, STATE_DIRECTORY: "/var/lib/a:/var/lib/b" };
  const granted = merge({ env });
  assert.equal(granted.config.stateDir, "/var/lib/a");
  assert.deepEqual(granted.origins.get("state_dir"), { kind: "env", name: "STATE_DIRECTORY" });
  assert.equal(merge({ env, file: { state_dir: "/srv/x/" } }).config.stateDir, "/srv/x");
});

Deno.test("mergeConfig() refuses socket paths the kernel would cut off", () => {
  assert.match(
    problems({ file: { socket: `/${"s".repeat(107)}` } })[0] ?? "",
    /socket is 1 bytes too long for a Unix socket/,
  );
  assert.match(
    problems({
      file: { runtime_dir: `/${"r".repeat(60)}`, projects: { ["p".repeat(40)]: null } },
    })[0] ?? "",
    /runtime_dir is 7 bytes too long for the socket of the agent of p+;/,
  );
  assert.match(
    merge({ file: { runtime_dir: `/${"r".repeat(60)}` } }).warnings[0] ?? "",
    /more than 33 characters have no room/,
  );
});

Deno.test("mergeConfig() keeps project and variable names that objects know", () => {
  const env = JSON.parse('{"constructor":"a","__proto__":"b"}');
  const { config } = merge({ file: { projects: { constructor: { env } } } });
  const own = config.projects.get(project("constructor"));
  assert.deepEqual(Object.entries(own?.env ?? {}), [["constructor", "a"], ["__proto__", "b"]]);
  assert.equal(projectSettings(config, project("toString")).env, config.defaults.env);
});

Deno.test("mergeConfig() refuses a memory limit in which no program starts", () => {
  assert.throws(
    () => merge({ file: { defaults: { limits: { memory: "7M" } } } }),
    /defaults\.limits\.memory[^]*8M to 1024T/,
  );
});

Deno.test("projectSettings() lays a project's own settings over the defaults", () => {
  const { config } = merge({
    file: {
      defaults: { limits: { cpu: 2, memory: "1G" }, env: { A: "1", B: "1" }, grace: "5s" },
      projects: { web: { limits: { memory: "2G" }, env: { B: "2" }, timeout: 60, max_running: 1 } },
    },
  });
  const settings = projectSettings(config, project("web"));
  assert.deepEqual(settings.limits, { cpu: 2, memoryBytes: 2 * 1024 ** 3 });
  assert.deepEqual(settings.env, { A: "1", B: "2" });
  assert.equal(settings.timeoutMs, 60_000);
  assert.equal(settings.graceMs, 5_000);
  assert.equal(settings.maxRunning, 1);
  assert.equal(projectSettings(config, project("api")).maxRunning, config.queue.maxRunning);
});

function nest(into: Record<string, Record<string, unknown>>, name: string, value: unknown): void {
  const parts = name.split(".");
  let at: Record<string, unknown> = into;
  for (const part of parts.slice(0, -1)) {
    const existing = at[part];
    const next: Record<string, unknown> = typeof existing === "object" && existing !== null
      ? { ...existing }
      : {};
    at[part] = next;
    at = next;
  }
  at[parts.at(-1) ?? ""] = value;
}
