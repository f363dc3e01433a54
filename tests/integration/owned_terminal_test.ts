import assert from "node:assert/strict";
import { createServer } from "node:http";
// @ts-types="../../lib/foundations/http/ws.d.ts"
import { type WebSocket, WebSocketServer } from "ws";
import { parseProjectName } from "@lib/core/ids.ts";
import type { TerminalOptions } from "@lib/api/terminal_opener.ts";
import type { Programs, RunningProgram } from "@lib/features/terminals/program.ts";
import { terminalOpener } from "@lib/features/terminals/owned_terminal.ts";
import { parseOrder, type TerminalOrder } from "@lib/features/terminals/protocol.ts";
import { TerminalHost } from "@lib/features/terminals/terminal_host.ts";
import { loadConfig } from "@lib/foundations/config/load.ts";
import { SECTIONS } from "../../cmd/shared/config_sections.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { silentLogger } from "../support/silent_logger.ts";

const ID = "0123456789ab";
const HELLO = {
  type: "hello",
  session: ID,
  role: "writer",
  columns: 80,
  rows: 24,
  viewers: 1,
  recording: false,
};
const project = parseProjectName("web");
assert.ok(project);

/** An agent that a test answers for; it may be killed, and be there again. */
async function fakeAgent(serve: (order: TerminalOrder, webSocket: WebSocket) => void) {
  const directory = await Deno.makeTempDir();
  const socketPath = `${directory}/a.sock`;
  const server = createServer();
  const sockets = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: 1024 * 1024,
  });
  const joined = Promise.withResolvers<void>();
  let orders = 0;
  server.on("upgrade", (request, stream, head) => {
    const url = new URL(request.url ?? "/", "http://agent");
    sockets.handleUpgrade(request, stream, head, (webSocket) => {
      if (++orders === 2) joined.resolve();
      serve(parseOrder(url.searchParams.get("order") ?? ""), webSocket);
    });
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  const { config } = loadConfig({
    sections: SECTIONS,
    home: directory,
    env: { XDG_RUNTIME_DIR: directory },
    cores: 2,
    flags: new Map<string, string>(),
  });
  const clock = new FakeClock();
  const open = terminalOpener({
    config: () => config,
    agents: { socketPath: () => socketPath, ensureListening: () => Promise.resolve() },
    clock,
    unitExpected: () => {},
    log: silentLogger,
  });
  return {
    open,
    clock,
    /** Resolves when the terminal was joined again. */
    joined: joined.promise,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await Deno.remove(directory, { recursive: true });
    },
  };
}

const never = new AbortController().signal;
const SHELL: TerminalOptions = {
  project,
  command: [],
  columns: 80,
  rows: 24,
  by: "by a test",
  onOutput: () => {},
  onNotice: () => {},
};

Deno.test("an owned terminal is joined again after its agent was killed, and shows its screen", async () => {
  const orders: TerminalOrder[] = [];
  const typed: string[] = [];
  await using agent = await fakeAgent((order, webSocket) => {
    orders.push(order);
    webSocket.send(JSON.stringify(HELLO), { binary: false }, () => {});
    if (order.session === undefined) {
      webSocket.send(new TextEncoder().encode("before"), { binary: true }, () => {
        webSocket.terminate();
      });
      return;
    }
    webSocket.on("message", (data) => {
      typed.push(data.toString());
      const exit = { type: "exit", exit_code: 7, signal: null, reason: "exited", text: "e" };
      webSocket.send(JSON.stringify(exit), { binary: false }, () => webSocket.close(1000, ""));
    });
    webSocket.send(JSON.stringify({ type: "screen" }), { binary: false }, () => {});
    webSocket.send(new TextEncoder().encode("screen"), { binary: true }, () => {});
  });
  let text = "";
  using terminal = await agent.open({
    ...SHELL,
    onOutput: (bytes) => void (text += new TextDecoder().decode(bytes)),
  }, never);
  const ending = terminal.ended;
  // Its connection may be cut already: then it goes over the next one.
  const resized = terminal.resize({ columns: 100, rows: 30 });
  while (agent.clock.sleeping === 0) await new Promise((resolve) => setTimeout(resolve, 2));
  await agent.clock.tick(200);
  await agent.joined;
  await resized;
  await terminal.write(new TextEncoder().encode("typed"));
  assert.deepEqual(orders.map(({ columns, rows }) => [columns, rows]), [[80, 24], [100, 30]]);
  assert.deepEqual(await ending, { exitCode: 7, text: "e", hasExited: true });
  assert.deepEqual(typed, ["typed"]);
  assert.match(text, /^before.*screen$/);
  assert.deepEqual(orders.map(({ session, isOwned }) => [session, isOwned]), [
    [undefined, true],
    [ID, true],
  ]);
  await assert.rejects(terminal.write(new Uint8Array(1)));
});

Deno.test("an owned terminal that is cut off before it has an id is no second one", async () => {
  let orders = 0;
  await using agent = await fakeAgent((_, webSocket) => {
    orders++;
    webSocket.terminate();
  });
  using terminal = await agent.open(SHELL, never);
  const { text } = await terminal.ended;
  assert.equal(text, "did not open: the connection to its agent was lost");
  assert.equal(orders, 1);
  assert.equal(agent.clock.sleeping, 0);
});

Deno.test("an owned terminal whose agent says nothing is given up", async () => {
  const ordered = Promise.withResolvers<void>();
  const gone = Promise.withResolvers<void>();
  await using agent = await fakeAgent((_, webSocket) => {
    webSocket.on("close", () => gone.resolve());
    ordered.resolve();
  });
  const cut = new AbortController();
  const opening = agent.open(SHELL, cut.signal);
  await ordered.promise;
  cut.abort(new Error("it is closed"));
  await assert.rejects(opening, /it is closed/);
  await gone.promise;
});

Deno.test("an owned terminal ends where its agent never comes back", async () => {
  let isFirst = true;
  await using agent = await fakeAgent((_, webSocket) => {
    if (isFirst) {
      webSocket.send(JSON.stringify(HELLO), { binary: false }, () => webSocket.terminate());
    } else webSocket.terminate();
    isFirst = false;
  });
  using terminal = await agent.open(SHELL, never);
  let ending: unknown;
  void terminal.ended.then((end) => ending = end);
  while (ending === undefined) {
    await new Promise((resolve) => setTimeout(resolve, 2));
    if (agent.clock.sleeping > 0) await agent.clock.tick(6_000);
  }
  assert.deepEqual(ending, {
    exitCode: undefined,
    text: "ended: its agent is gone",
    hasExited: false,
  });
});

Deno.test("an agent ends an owned terminal half a minute after its owner is gone, and no other", async () => {
  const directory = await Deno.makeTempDir();
  const stopped: string[] = [];
  const ends = Promise.withResolvers<void>();
  const program = (id: string): RunningProgram => {
    const ended = Promise.withResolvers<Awaited<RunningProgram["ended"]>>();
    return {
      device: "fake",
      open: () => ({
        ended: Promise.resolve(),
        unwritten: 0,
        pause() {},
        resume() {},
        write: () => Promise.resolve(),
        resize() {},
        closeSlave() {},
        [Symbol.dispose]() {},
      }),
      foreground: () => undefined,
      ended: ended.promise,
      stop() {
        stopped.push(id);
        ended.resolve({ exitCode: null, signal: "SIGHUP", isTimeLimit: false, isLost: false });
        return Promise.resolve();
      },
      forget() {
        ends.resolve();
        return Promise.resolve();
      },
    };
  };
  const programs: Programs = {
    outlivesAgent: true,
    start: () => Promise.reject(new Error("not here")),
    adopt: (id) => Promise.resolve(program(id)),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  for (const [id, owned] of [[ID, true], ["ba9876543210", undefined]] as const) {
    await Deno.mkdir(`${directory}/${id}`);
    const record = { id, by: "x", started_at: 0, command: "sh", columns: 80, rows: 24 };
    const text = JSON.stringify({ ...record, device: "fake", recorded: false, owned });
    await Deno.writeTextFile(`${directory}/${id}/record.json`, text);
  }
  const clock = new FakeClock();
  await using host = new TerminalHost({
    project,
    programs,
    rules: () => ({
      isEnabled: true,
      maxSessions: 8,
      idleMs: 3_600_000,
      maxMs: 86_400_000,
      record: "never",
      recordMaxBytes: 1_000_000,
    }),
    programOf: () => Promise.reject(new Error("not here")),
    directory,
    recordings: directory,
    clock,
    log: silentLogger,
  });
  await host.adopt(never);
  await clock.tick(29_999);
  assert.deepEqual(stopped, []);
  await clock.tick(1);
  await ends.promise;
  assert.deepEqual(stopped, [ID]);
  assert.equal(host.size, 1);
  await clock.tick(120_000);
  assert.deepEqual(stopped, [ID]);
  await host[Symbol.asyncDispose]();
  await Deno.remove(directory, { recursive: true });
});
