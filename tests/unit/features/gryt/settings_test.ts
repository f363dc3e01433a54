import assert from "node:assert/strict";
import type { GrytConfig } from "@lib/features/gryt/keys.ts";
import { grytListenAddress, readGrytSettings } from "@lib/features/gryt/settings.ts";

const config: GrytConfig = {
  project: "gryt",
  timeoutMs: 3_600_000,
  maxOutputBytes: 1_000,
  callbacks: [],
};
const KEY = "-_---_---_---_---_---_---_---_---_---_---_8=";

Deno.test("readGrytSettings() reads the variables of Gryt's agent", () => {
  const settings = readGrytSettings({
    config,
    env: {
      AGENT_API_KEY: "the-key",
      GRYT_ENCRYPTION_KEY: KEY,
      GRYT_DOCKER_IMAGE: "example.org/image",
      AGENT_URLS: "http://a:8080, http://b:8080/",
      GRYT_PULL_URL: "https://main.example.org/api/",
    },
  });
  assert.equal(settings.apiKey?.expose(), "the-key");
  assert.equal(settings.encryptionKey?.expose().length, 32);
  assert.equal(settings.image, "example.org/image");
  assert.deepEqual(settings.agentUrls, ["http://a:8080", "http://b:8080"]);
  assert.equal(settings.pullUrl, "https://main.example.org/api");
  assert.deepEqual(settings.problems, []);
});

Deno.test("readGrytSettings() asks the configuration first, then the environment, then the file", () => {
  const file = new Map([["AGENT_API_KEY", "of the file"], ["GRYT_DOCKER_IMAGE", "of/the-file"]]);
  const source = {
    config: { ...config, image: "of/the-configuration", envFile: "/x/.envrc" },
    env: { AGENT_API_KEY: "of the environment", MY_KEY: "of the reference" },
    readFile: () => file,
  };
  const settings = readGrytSettings(source);
  assert.equal(settings.image, "of/the-configuration");
  assert.equal(settings.apiKey?.expose(), "of the environment");
  const referred = readGrytSettings({
    ...source,
    config: { ...source.config, apiKey: "env:MY_KEY" },
  });
  assert.equal(referred.apiKey?.expose(), "of the reference");
  const filed = readGrytSettings({ ...source, env: {} });
  assert.equal(filed.apiKey?.expose(), "of the file");
});

Deno.test("readGrytSettings() has the documented defaults", () => {
  const settings = readGrytSettings({ config, env: {} });
  assert.equal(settings.image, "ghcr.io/epyklab/gryt/pipeline:latest");
  assert.equal(settings.apiKey, undefined);
  assert.deepEqual(settings.agentUrls, []);
  assert.equal(grytListenAddress(settings), undefined);
});

Deno.test("readGrytSettings() leaves out what it cannot use, says so, and shows no secret", () => {
  const settings = readGrytSettings({
    config: { ...config, apiKey: "env:NOT_SET" },
    env: {
      AGENT_API_KEY: "must not stand in for the reference",
      GRYT_ENCRYPTION_KEY: "hunter2",
      AGENT_URLS: "ftp://a",
      AGENT_PORT: "0",
    },
  });
  assert.equal(settings.apiKey, undefined);
  assert.equal(settings.encryptionKey, undefined);
  assert.deepEqual(settings.agentUrls, []);
  assert.equal(settings.problems.length, 4);
  assert.doesNotMatch(settings.problems.join("\n"), /hunter2|stand in/);
});

Deno.test("grytListenAddress() is loopback unless AGENT_HOST says otherwise", () => {
  const address = (env: Record<string, string>) =>
    grytListenAddress(readGrytSettings({ config, env }));
  assert.equal(address({ AGENT_PORT: "8081" }), "127.0.0.1:8081");
  assert.equal(address({ AGENT_HOST: "0.0.0.0" }), "0.0.0.0:8080");
  assert.equal(address({ AGENT_HOST: "::", AGENT_PORT: "9" }), "[::]:9");
  assert.equal(address({ AGENT_HOST: "[::1]" }), "[::1]:8080");
});
