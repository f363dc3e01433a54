import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import {
  type HttpServer,
  type HttpServerOptions,
  startHttpServer,
} from "@lib/foundations/http/server.ts";
import type { Listener } from "@lib/foundations/http/listener.ts";
import { CicdError } from "@lib/core/errors.ts";
import { fromFileUrl } from "@lib/core/file_url.ts";
import { makeCertificate } from "../support/certificate.ts";
import { pause, RunnerBench } from "../support/runner_process.ts";

const ACTIVATE = "/usr/bin/systemd-socket-activate";

interface Bench extends AsyncDisposable {
  readonly server: HttpServer;
  readonly port: number;
  readonly errors: unknown[];
}

async function serve(
  listener: Partial<Extract<Listener, { kind: "tcp" }>> = {},
  { handle, ...changes }: Partial<HttpServerOptions["limits"]> & {
    readonly handle?: HttpServerOptions["handle"];
  } = {},
): Promise<Bench> {
  const errors: unknown[] = [];
  const server = await startHttpServer({
    listeners: [{ kind: "tcp", host: "127.0.0.1", port: 0, ...listener }],
    limits: { maxConnections: 4, maxHeaderBytes: 8_192, headerTimeoutMs: 60_000, ...changes },
    handle: handle ?? ((_, origin) => Response.json(origin)),
    isForRemote: true,
    keepFromChildren() {},
    onError: (_, error) => errors.push(error),
  });
  const port = server.addresses[0]?.port ?? 0;
  return { server, port, errors, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

async function directory(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await Deno.makeTempDir({ prefix: "tcp-" });
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

async function curl(...args: readonly string[]): Promise<{ code: number; text: string }> {
  const { code, stdout } = await new Deno.Command("curl", {
    args: ["-sS", "--max-time", "10", "--noproxy", "*", ...args],
    stdin: "null",
    stderr: "null",
  }).output();
  return { code, text: new TextDecoder().decode(stdout) };
}

function closed(socket: Socket): Promise<void> {
  socket.on("error", () => socket.destroy());
  socket.resume();
  return new Promise((resolve) => socket.once("close", () => resolve()));
}

Deno.test("a request over TCP is known as one of a network, with its address", async () => {
  await using t = await serve();
  const { text } = await curl(`http://127.0.0.1:${t.port}/`);
  assert.deepEqual(JSON.parse(text), { kind: "remote", address: "127.0.0.1" });
});

Deno.test("the system watches the connections of remote clients, which may vanish", async () => {
  await using place = await directory();
  for (const tls of [undefined, await makeCertificate(place.path, "one")]) {
    await using t = await serve(tls === undefined ? {} : { tls });
    const client = connect({ port: t.port, host: "127.0.0.1" });
    const port = t.port.toString(16).toUpperCase().padStart(4, "0");
    // State 1 is an open connection, timer 2 the keep-alive.
    const watched = new RegExp(`^ *\\d+: \\w+:${port} \\w+:\\w{4} 01 \\S+ 02:`, "m");
    const until = Date.now() + 5_000;
    while (!watched.test(Deno.readTextFileSync("/proc/net/tcp"))) {
      assert(Date.now() < until, "no keep-alive");
      await pause(10);
    }
    const over = closed(client);
    client.destroy();
    await over;
  }
});

Deno.test("a port in use is reported with the setting that names it", async () => {
  await using t = await serve();
  await assert.rejects(serve({ port: t.port }), (error) => {
    assert(error instanceof CicdError);
    assert.equal(error.code, "socket_in_use");
    assert.match(error.message, /port \d+ \(listen\.address\): another program listens there/);
    return true;
  });
});

Deno.test("a program that asks nobody refuses to serve a network", async () => {
  const limits = { maxConnections: 4, maxHeaderBytes: 8_192, headerTimeoutMs: 60_000 };
  const start = startHttpServer({
    listeners: [{ kind: "tcp", host: "127.0.0.1", port: 0 }],
    limits,
    handle: () => new Response("x"),
    keepFromChildren() {},
    onError() {},
  });
  await assert.rejects(start, /trusts every client of its socket/);
});

Deno.test("TLS serves who trusts the certificate, and nobody without TLS", async () => {
  await using place = await directory();
  const tls = await makeCertificate(place.path, "one");
  await using t = await serve({ tls });
  const trusted = await curl("--cacert", `${place.path}/one.crt`, `https://localhost:${t.port}/`);
  assert.equal(JSON.parse(trusted.text).kind, "remote");
  assert.equal((await curl(`https://localhost:${t.port}/`)).code, 60);
  const plain = await curl(`http://127.0.0.1:${t.port}/`);
  assert.doesNotMatch(plain.text, /remote/);
  assert.deepEqual(t.server.addresses.map(({ isEncrypted }) => isEncrypted), [true]);
});

Deno.test("TLS uses a new certificate for new connections while it runs", async () => {
  await using place = await directory();
  await using t = await serve({ tls: await makeCertificate(place.path, "one") });
  t.server.renewCertificate(await makeCertificate(place.path, "two"));
  const ask = (name: string) =>
    curl("--cacert", `${place.path}/${name}.crt`, `https://localhost:${t.port}/`);
  assert.equal((await ask("two")).code, 0);
  assert.equal((await ask("one")).code, 60);
});

Deno.test("TLS refuses a key that does not belong to the certificate, and says which setting", async () => {
  await using place = await directory();
  const one = await makeCertificate(place.path, "one");
  const { key } = await makeCertificate(place.path, "two");
  const { certificate } = one;
  await assert.rejects(serve({ tls: { certificate, key } }), /belongs to another certificate/);
  await assert.rejects(serve({ tls: { certificate, key: "x" } }), /listen\.tls_key cannot/);
  await assert.rejects(
    serve({ tls: { certificate: key, key } }),
    /listen\.tls_certificate cannot/,
  );
  await using t = await serve({ tls: one });
  assert.throws(() => t.server.renewCertificate({ certificate, key }), /another certificate/);
  const { code } = await curl("--cacert", `${place.path}/one.crt`, `https://localhost:${t.port}/`);
  assert.equal(code, 0);
});

Deno.test("a handshake that does not come is ended, and its place given to others", async () => {
  await using place = await directory();
  await using t = await serve({ tls: await makeCertificate(place.path, "one") }, {
    maxConnections: 1,
    handshakeTimeoutMs: 300,
  });
  const silent = connect(t.port, "127.0.0.1");
  await new Promise((resolve) => silent.once("connect", resolve));
  const ask = () => curl("--cacert", `${place.path}/one.crt`, `https://localhost:${t.port}/`);
  assert.notEqual((await ask()).code, 0);
  await closed(silent);
  let code = 1;
  for (let tries = 0; code !== 0 && tries < 50; tries++) ({ code } = await ask());
  assert.equal(code, 0);
});

Deno.test("connections over TLS are bounded and let go", async () => {
  await using place = await directory();
  await using t = await serve({ tls: await makeCertificate(place.path, "one") }, {
    maxConnections: 3,
  });
  const open = () =>
    new Promise<Socket>((resolve, reject) => {
      const socket = connectTls({ port: t.port, host: "127.0.0.1", rejectUnauthorized: false });
      socket.once("secureConnect", () => resolve(socket));
      socket.once("error", reject);
      socket.once("close", () => reject(new Error("closed")));
    });
  const first = await open();
  const second = await open();
  await assert.rejects(open());
  first.destroy();
  second.destroy();
  while (t.server.connections > 0) await pause(5);
  (await open()).destroy();
});

Deno.test("a network cannot take the places of this machine", async () => {
  await using place = await directory();
  const path = `${place.path}/s.sock`;
  await using server = await startHttpServer({
    listeners: [{ kind: "tcp", host: "127.0.0.1", port: 0 }, { kind: "unix", path }],
    limits: { maxConnections: 4, maxHeaderBytes: 8_192, headerTimeoutMs: 60_000 },
    handle: (_, { kind }) => new Response(kind),
    isForRemote: true,
    keepFromChildren() {},
    onError() {},
  });
  const port = server.addresses[0]?.port ?? 0;
  const taken = [1, 2, 3, 4, 5].map(() => connect(port, "127.0.0.1"));
  for (const socket of taken) socket.on("error", () => socket.destroy());
  while (server.connections < 3) await pause(5);
  assert.match((await curl(`http://127.0.0.1:${port}/`)).text, /too_many_connections/);
  assert.equal((await curl("--unix-socket", path, "http://localhost/")).text, "local");
  for (const socket of taken) socket.destroy();
});

Deno.test("a header that is too long is refused over TLS as it is without", async () => {
  await using place = await directory();
  await using t = await serve({ tls: await makeCertificate(place.path, "one") });
  const { text } = await curl(
    "-k",
    "-H",
    `X: ${"a".repeat(20_000)}`,
    `https://127.0.0.1:${t.port}/`,
  );
  assert.match(text, /header_too_large/);
});

Deno.test("the runner on TCP asks for a key, takes and follows a job with one, and warns where it must", async () => {
  await using bench = new RunnerBench({ config: "log: { level: info }\n" });
  const port = await freePort();
  const args = [`--listen-address=0.0.0.0:${port}`];
  await bench.start(args);
  const { stderr } = await bench.kill("SIGTERM");
  assert.match(stderr, /not safe/);
  await bench.start(args);
  const status = await bench.json("GET", "/v1/status");
  assert.match(status.body.warnings.join(), /cross the network unencrypted at "0\.0\.0\.0:/);
  const none = await curl(`http://127.0.0.1:${port}/v1/jobs`);
  assert.equal(JSON.parse(none.text).code, "unauthorized");
  const { body } = await bench.json("POST", "/v1/keys", {
    body: { name: "CI", scopes: ["submit"], projects: ["web"] },
  });
  const followed = await curl(
    "-H",
    `Authorization: Bearer ${body.key}`,
    "-d",
    JSON.stringify({ project: "web", script: "echo over-tcp" }),
    `http://127.0.0.1:${port}/v1/jobs?follow=1`,
  );
  assert.match(followed.text, /^over-tcp\n.*state=succeeded exit_code=0/s);
});

Deno.test("the runner names the setting when the port is taken or the key lies open", async () => {
  await using place = await directory();
  await makeCertificate(place.path, "one");
  await using taken = await serve();
  await using bench = new RunnerBench();
  bench.spawn([`--listen-address=127.0.0.1:${taken.port}`]);
  const first = await bench.ended();
  assert.equal(first.code, 73);
  assert.match(first.stderr, /listen\.address/);
  await Deno.chmod(`${place.path}/one.key`, 0o644);
  bench.spawn([
    `--listen-address=${taken.port}`,
    `--listen-tls-certificate=${place.path}/one.crt`,
    `--listen-tls-key=${place.path}/one.key`,
  ]);
  const second = await bench.ended();
  assert.equal(second.code, 78);
  assert.match(second.stderr, /listen\.tls_key.*0644.*chmod 600/s);
});

Deno.test({
  name: "a TCP socket of the service manager asks for a key, one of Unix does not",
  ignore: !await isThere(ACTIVATE),
  async fn() {
    await using place = await directory();
    const port = await freePort();
    const path = `${place.path}/passed.sock`;
    await using _activated = activate([`127.0.0.1:${port}`, path], place.path);
    let remote = await curl(`http://127.0.0.1:${port}/v1/jobs`);
    while (remote.code !== 0) {
      await pause(50);
      remote = await curl(`http://127.0.0.1:${port}/v1/jobs`);
    }
    assert.equal(JSON.parse(remote.text).code, "unauthorized");
    const local = await curl("--unix-socket", path, "http://localhost/v1/jobs");
    assert.deepEqual(JSON.parse(local.text).jobs, []);
  },
});

Deno.test({
  name: "a connection of a network that the service manager accepted is not led past the keys",
  ignore: !await isThere(ACTIVATE),
  async fn() {
    await using place = await directory();
    const port = await freePort();
    await using _activated = activate([`127.0.0.1:${port}`], place.path, {
      options: ["--accept", "--inetd"],
    });
    let answer = await curl(`http://127.0.0.1:${port}/v1/jobs`);
    // 7: nobody listens yet.
    while (answer.code === 7) {
      await pause(50);
      answer = await curl(`http://127.0.0.1:${port}/v1/jobs`);
    }
    assert.notEqual(answer.code, 0);
    assert.equal(answer.text, "");
  },
});

Deno.test({
  name: "a runner with a TCP listener of its own does not exit when it is idle, one without does",
  ignore: !await isThere(ACTIVATE),
  async fn() {
    await using stays = await directory();
    await using leaves = await directory();
    const port = await freePort();
    const idle = ["--idle-exit=1s", "--agents=child"];
    await using _staying = activate([`${stays.path}/s.sock`], stays.path, {
      args: [...idle, `--listen-address=127.0.0.1:${port}`],
    });
    await untilAnswered(`${stays.path}/s.sock`);
    await using leaving = activate([`${leaves.path}/s.sock`], leaves.path, { args: idle });
    await untilAnswered(`${leaves.path}/s.sock`);
    // It was asked later, and is idle for a shorter time.
    assert.equal((await leaving.ended).code, 0);
    assert.equal((await curl(`http://127.0.0.1:${port}/healthz`)).text, "ok\n");
  },
});

Deno.test({
  name: "who waits at a socket for a runner that cannot start is told why, a network is not",
  ignore: !await isThere(ACTIVATE),
  async fn() {
    await using place = await directory();
    const port = await freePort();
    const path = `${place.path}/passed.sock`;
    const args = [`--config=${place.path}/config.yaml`];
    await Deno.writeTextFile(`${place.path}/config.yaml`, "queue:\n  max_runing: 2\n");
    {
      await using activated = activate([path], place.path, { args });
      while (!await isThere(path)) await pause(20);
      const { text } = await curl("--unix-socket", path, "http://localhost/v1/jobs");
      const problem = JSON.parse(text);
      assert.equal(problem.code, "invalid_config");
      assert.match(JSON.stringify(problem), /max_runing/);
      assert.equal((await activated.ended).code, 78);
    }
    await using activated = activate([`127.0.0.1:${port}`], place.path, { args });
    const url = `http://127.0.0.1:${port}/v1/jobs`;
    let remote = await curl(url);
    while (remote.code === 7) {
      await pause(20);
      remote = await curl(url);
    }
    assert.equal(JSON.parse(remote.text).code, "runner_unavailable");
    assert(!remote.text.includes("max_runing"));
    assert.equal((await activated.ended).code, 78);
  },
});

async function untilAnswered(path: string): Promise<void> {
  while ((await curl("--unix-socket", path, "http://localhost/healthz")).text !== "ok\n") {
    await pause(50);
  }
}

/** The runner behind sockets that were opened for it, as a service manager does. */
function activate(
  addresses: readonly string[],
  home: string,
  { options = [], args = [] }: {
    readonly options?: readonly string[];
    /** Further flags of the runner. */
    readonly args?: readonly string[];
  } = {},
): AsyncDisposable & { readonly ended: Promise<Deno.CommandStatus> } {
  const main = fromFileUrl(new URL("../../cmd/runner/main.ts", import.meta.url).href);
  const child = new Deno.Command(ACTIVATE, {
    args: [
      ...options,
      ...addresses.map((address) => `--listen=${address}`),
      ...["PATH", "HOME", "XDG_RUNTIME_DIR", "DENO_DIR"].map((name) => `--setenv=${name}`),
      Deno.execPath(),
      "run",
      "--quiet",
      "--allow-all",
      main,
      "--socket-activation",
      ...args,
    ],
    clearEnv: true,
    env: {
      PATH: Deno.env.get("PATH") ?? "/usr/bin:/bin",
      HOME: home,
      XDG_RUNTIME_DIR: home,
      DENO_DIR: Deno.env.get("DENO_DIR") ?? `${Deno.env.get("HOME")}/.cache/deno`,
    },
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  let isAlive = true;
  const ended = child.status.finally(() => isAlive = false);
  return {
    ended,
    async [Symbol.asyncDispose]() {
      if (isAlive) child.kill("SIGKILL");
      await ended;
    },
  };
}

async function isThere(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

async function freePort(): Promise<number> {
  await using t = await serve();
  return t.port;
}
