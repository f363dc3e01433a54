import assert from "node:assert/strict";
import { loadConfig } from "@lib/foundations/config/load.ts";
import { agentEnv } from "../../../cmd/runner/agent_env.ts";
import { SECTIONS } from "../../../cmd/shared/config_sections.ts";
import { sourceOf } from "../../support/source_node.ts";

function envOf(own: Readonly<Record<string, string>>, file: unknown = {}) {
  const env = { XDG_RUNTIME_DIR: "/run/user/1000", ...own };
  const { config } = loadConfig({
    sections: SECTIONS,
    home: "/home/ann",
    env,
    cores: 2,
    flags: new Map(),
    file: { name: "c.yaml", root: sourceOf(file) },
  });
  return agentEnv(env, config);
}

Deno.test("agentEnv() keeps from agents what only the runner needs", () => {
  const env = envOf({
    PATH: "/bin",
    HTTPS_PROXY: "http://proxy:1",
    CICD_CACHES_DIR: "/caches",
    AGENT_API_KEY: "hunter2",
    GRYT_ENCRYPTION_KEY: "hunter2",
    MY_GRYT_KEY: "hunter2",
    AWS_SECRET_ACCESS_KEY: "hunter2",
    NOTIFY_SOCKET: "/run/notify",
    LISTEN_FDS: "1",
  }, { gryt: { encryption_key: "env:MY_GRYT_KEY" } });
  assert.deepEqual(env, {
    XDG_RUNTIME_DIR: "/run/user/1000",
    PATH: "/bin",
    HTTPS_PROXY: "http://proxy:1",
    CICD_CACHES_DIR: "/caches",
  });
});

Deno.test("agentEnv() gives agents what jobs inherit and what their own settings refer to", () => {
  const own = { PASSED: "1", S3_SECRET: "2", OTHER: "3" };
  const env = envOf(own, {
    defaults: { pass_env: ["PASSED"] },
    artifacts: {
      s3: {
        endpoint: "https://s3.example",
        bucket: "builds",
        access_key: "file:/k",
        secret_key: "env:S3_SECRET",
      },
    },
  });
  assert.deepEqual(env, { XDG_RUNTIME_DIR: "/run/user/1000", PASSED: "1", S3_SECRET: "2" });
});
