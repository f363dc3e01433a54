import assert from "node:assert/strict";
import * as fc from "fast-check";
import { CicdError } from "@lib/core/errors.ts";
import { parseProjectName, type ProjectName } from "@lib/core/ids.ts";
import { catalogOf } from "@lib/foundations/config/config.ts";
import { envNameOf, flagNameOf, formatOrigin } from "@lib/foundations/config/key.ts";
import { loadConfig, type LoadedConfig } from "@lib/foundations/config/load.ts";
import { HTTP, LISTEN, PROGRAM } from "@lib/foundations/config/program_keys.ts";
import { LLM_PROXY } from "@lib/features/llm_proxy/keys.ts";
import { QUEUE } from "@lib/spine/queue/keys.ts";
import { JOB_DEFAULTS } from "@lib/spine/spec/keys.ts";
import { SECTIONS } from "../../../../cmd/shared/config_sections.ts";
import { sourceOf } from "../../../support/source_node.ts";

const HOME_ENV = { XDG_RUNTIME_DIR: "/run/user/1000" };

interface Given {
  readonly file?: unknown;
  readonly env?: Readonly<Record<string, string>>;
  readonly flags?: Readonly<Record<string, string>>;
  readonly cores?: number;
}

function merge({ file, env = HOME_ENV, flags = {}, cores = 2 }: Given = {}): LoadedConfig {
  return loadConfig({
    sections: SECTIONS,
    home: "/home/ann",
    env,
    cores,
    flags: new Map(Object.entries(flags)),
    ...(file === undefined ? {} : { file: { name: "c.yaml", root: sourceOf(file) } }),
  });
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

Deno.test("loadConfig() without any source gives the defaults", () => {
  const { config, warnings } = merge();
  const program = config.of(PROGRAM);
  assert.equal(program.socket, "/run/user/1000/cicd-runner.sock");
  assert.equal(program.stateDir, "/home/ann/.local/state/cicd-toolkit");
  assert.equal(program.runtimeDir, "/run/user/1000/cicd-toolkit");
  assert.equal(program.idleExitMs, 300_000);
  assert.equal(config.of(HTTP).maxBodyBytes, 12 * 1024 * 1024);
  assert.deepEqual(config.of(JOB_DEFAULTS).limits, {});
  assert.equal(config.projects.size, 0);
  assert.ok(config.settings.values().every(({ origin }) => origin.kind === "default"));
  assert.deepEqual(warnings, []);
});

Deno.test("loadConfig() runs twice as many jobs as there are cores, at least 4", () => {
  assert.equal(merge({ cores: 1 }).config.of(QUEUE).maxRunning, 4);
  assert.equal(merge({ cores: 8 }).config.of(QUEUE).maxRunning, 16);
});

Deno.test("loadConfig() lets flags win over environment over file, for any choice of keys", () => {
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
  const { keys } = catalogOf(SECTIONS);
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
    const { settings } = merge({ file, env, flags }).config;
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

Deno.test("loadConfig() also refuses a wrong value that a later source hides", () => {
  assert.deepEqual(problems({ file: { agents: "child", log: { level: "loud" } } }).length, 1);
  assert.match(
    problems({ file: { idle_exit: "soon" }, flags: { idle_exit: "5m" } })[0] ?? "",
    /^c\.yaml:\d+:1: idle_exit is "soon"; give a duration/,
  );
});

Deno.test("loadConfig() reports every problem of every source, the file's in its order", () => {
  const found = problems({
    file: { queue: { ageing: "-5m", max_runing: 3 }, projects: { "../x": {} } },
    env: { ...HOME_ENV, CICD_HTTP_MAX_BODY: "lots" },
    flags: { "log.levle": "info" },
  });
  assert.equal(found.length, 5);
  assert.match(found[0] ?? "", /queue\.ageing is "-5m"; a duration cannot be negative$/);
  assert.match(found[1] ?? "", /unknown key "queue\.max_runing"; did you mean "max_running"\?$/);
  assert.match(found[2] ?? "", /projects: the name "\.\.\/x" begins with a dash, dot/);
  assert.match(found.slice(3).join("\n"), /^flag --log-levle: .* did you mean "log\.level"\?$/m);
  assert.match(found.slice(3).join("\n"), /^env CICD_HTTP_MAX_BODY: http\.max_body is "lots"/m);
});

Deno.test("loadConfig() never repeats the value of a job's variable", () => {
  const env = { A: ["secret-1"], B: { c: "secret-2" } };
  assert.doesNotMatch(problems({ file: { defaults: { env } } }).join(), /secret/);
  const text = problems({ env: { ...HOME_ENV, CICD_DEFAULTS_ENV: "secret-3" } }).join();
  assert.match(text, /CICD_DEFAULTS_ENV/);
  assert.doesNotMatch(text, /secret/);
});

Deno.test("loadConfig() never repeats an address with credentials or a query", () => {
  for (const url of ["https://me:hunter2@x.example", "https://x.example/?key=hunter2"]) {
    const why = "has credentials, a query or a fragment; give an http:// or https:// address " +
      "without credentials";
    const file = {
      console: { url },
      gryt: { agent_urls: [url] },
      llm_proxy: { providers: { openai: url } },
      telemetry: { traces: url },
    };
    const said = problems({ file }).map((problem) => problem.replace(/^c\.yaml:\d+:1: /, ""));
    assert.deepEqual(said, [
      `console.url ${why}`,
      `gryt.agent_urls.0 ${why}`,
      `llm_proxy.providers.openai ${why}`,
      `telemetry.traces ${why}`,
    ]);
  }
});

Deno.test("loadConfig() takes a port alone as a number, and refuses one that does not exist", () => {
  const file = { listen: { address: 8080 }, llm_proxy: { listen: 9090 } };
  assert.equal(merge({ file }).config.of(LISTEN).address, "8080");
  assert.equal(merge({ file }).config.of(LLM_PROXY).listen, "9090");
  const wrong = { listen: { address: "[::1]:0" }, llm_proxy: { listen: "127.0.0.1:99999" } };
  assert.deepEqual(problems({ file: wrong }), [
    "c.yaml:5:1: listen.address has port 0; give one from 1 to 65535",
    "c.yaml:9:1: llm_proxy.listen has port 99999; give one from 1 to 65535",
  ]);
});

Deno.test("loadConfig() points at the part of a map or list that is wrong", () => {
  const [first] = problems({ file: { defaults: { pass_env: ["PATH", "A B"] } } });
  // Lines: file 1, defaults 2 and 3, pass_env 4 and 5, PATH 6, A B 7.
  assert.match(first ?? "", /^c\.yaml:7:1: defaults\.pass_env\.1 is not a variable name/);
});

Deno.test("loadConfig() moves the sockets below the state directory without XDG_RUNTIME_DIR", () => {
  const { runtimeDir, socket } = merge({ env: {} }).config.of(PROGRAM);
  assert.equal(runtimeDir, "/home/ann/.local/state/cicd-toolkit/run");
  assert.equal(socket, "/home/ann/.local/state/cicd-toolkit/run/cicd-runner.sock");
});

Deno.test("loadConfig() uses the state directory of the service manager unless one is configured", () => {
  const env = { ...HOME_ENV, STATE_DIRECTORY: "/var/lib/a:/var/lib/b" };
  const granted = merge({ env }).config;
  assert.equal(granted.of(PROGRAM).stateDir, "/var/lib/a");
  assert.deepEqual(granted.settings.get("state_dir")?.origin, {
    kind: "env",
    name: "STATE_DIRECTORY",
  });
  const told = merge({ env, file: { state_dir: "/srv/x/" } }).config;
  assert.equal(told.of(PROGRAM).stateDir, "/srv/x");
});

Deno.test("loadConfig() refuses socket paths the kernel would cut off", () => {
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
    /more than 33 characters do not fit/,
  );
});

Deno.test("loadConfig() keeps project and variable names that objects know", () => {
  const env = JSON.parse('{"constructor":"a","__proto__":"b"}');
  const { config } = merge({ file: { projects: { constructor: { env } } } });
  const own = config.ofProject(JOB_DEFAULTS, project("constructor"));
  assert.deepEqual(Object.entries(own.env), [["constructor", "a"], ["__proto__", "b"]]);
  assert.deepEqual(config.ofProject(JOB_DEFAULTS, project("toString")).env, {});
});

Deno.test("loadConfig() refuses a memory limit in which no program starts", () => {
  assert.throws(
    () => merge({ file: { defaults: { limits: { memory: "7M" } } } }),
    /defaults\.limits\.memory[^]*8M to 1024T/,
  );
});

Deno.test("Config.ofProject() lays a project's own settings over the defaults", () => {
  const { config } = merge({
    file: {
      defaults: { limits: { cpu: 2, memory: "1G" }, env: { A: "1", B: "1" }, grace: "5s" },
      projects: { web: { limits: { memory: "2G" }, env: { B: "2" }, timeout: 60, max_running: 1 } },
    },
  });
  const settings = config.ofProject(JOB_DEFAULTS, project("web"));
  assert.deepEqual(settings.limits, { cpu: 2, memoryBytes: 2 * 1024 ** 3 });
  assert.deepEqual(settings.env, { A: "1", B: "2" });
  assert.equal(settings.timeoutMs, 60_000);
  assert.equal(settings.graceMs, 5_000);
  assert.equal(config.ofProject(QUEUE, project("web")).maxRunning, 1);
  assert.equal(config.ofProject(QUEUE, project("api")).maxRunning, config.of(QUEUE).maxRunning);
  assert.deepEqual(config.of(JOB_DEFAULTS).env, { A: "1", B: "1" });
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
