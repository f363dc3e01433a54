/**
 * Minimal socket-activated programs, as peers of a cold start.
 *
 * @module
 */
import { systemctl } from "./programs.ts";

const RUNTIME = Deno.env.get("XDG_RUNTIME_DIR") ?? "/run";
const HOME = Deno.env.get("HOME") ?? "/";

/** Socket of a bare server on the product's runtime. */
export const BARE_SOCKET = `${RUNTIME}/bench-bare.sock`;
/** Service of the bare server. */
export const BARE_UNIT = "bench-bare.service";
/** Socket of a bare server that also loads what the runner cannot do without. */
export const LADEN_SOCKET = `${RUNTIME}/bench-laden.sock`;
/** Service of that server. */
export const LADEN_UNIT = "bench-laden.service";
/** Socket of a shell script that is started for each connection. */
export const LEAST_SOCKET = `${RUNTIME}/bench-least.sock`;

/** A socket-activated program and its socket. */
export interface ColdPeer {
  readonly unit: string;
  readonly socket: string;
}

/** A bare server in the runner's own unit: with all that confines the runner. */
export const CONFINED = coldPeer("confined");
/** The same, with what the runner loads of the runtime before it can answer. */
export const CONFINED_LADEN = coldPeer("confined-laden");
/** A third, which wakes the second before it loads anything, and passes its answer on. */
export const CONFINED_FRONT = coldPeer("confined-front");

const SERVER = `import { createServer } from "node:http";
createServer((_request, response) => response.end("ok\\n")).listen({ fd: 3 });
`;

const LADEN = `import { createHash } from "node:crypto";
import { statSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
statSync(".");
createHash("sha256");
const db = new DatabaseSync("laden.db");
db.exec("PRAGMA journal_mode=WAL; CREATE TABLE IF NOT EXISTS jobs (id TEXT PRIMARY KEY)");
db.prepare("SELECT count(*) FROM jobs").get();
${SERVER}`;

/** The runtime's modules that the runner imports. */
const MODULES = ["buffer", "crypto", "events", "fs", "http", "net", "os", "path", "sqlite"].concat(
  ["stream", "timers/promises", "util", "vm"],
);
const FULLY_LADEN = `${MODULES.map((name) => `import "node:${name}";`).join("\n")}
${LADEN.replace('"laden.db"', `"${HOME}/.cache/cicd-toolkit/bench-laden.db"`)}`;

const FRONT = `const next = "${CONFINED_LADEN.socket}";
Deno.connect({ transport: "unix", path: next }).then((connection) => connection.close());
${MODULES.map((name) => `await import("node:${name}");`).join("\n")}
const { createServer, request } = await import("node:http");
createServer((_request, response) => {
  request({ socketPath: next, path: "/" }, (answer) => answer.pipe(response)).end();
}).listen({ fd: 3 });
`;

const ANSWER = `#!/bin/sh
read -r line
printf 'HTTP/1.1 200 OK\\r\\nContent-Length: 3\\r\\n\\r\\nok\\n'
`;

/** Installs the peers' units and starts their sockets. */
export async function installPeers(): Promise<void> {
  const directory = `${HOME}/.config/systemd/user`;
  await Deno.mkdir(`${HOME}/bench`, { recursive: true });
  await Deno.writeTextFile(`${HOME}/bench/bare.js`, SERVER);
  await Deno.writeTextFile(`${HOME}/bench/laden.js`, LADEN);
  await Deno.writeTextFile(`${HOME}/bench/least.sh`, ANSWER);
  await Deno.writeTextFile(`${HOME}/bench/fully_laden.js`, FULLY_LADEN);
  await Deno.writeTextFile(`${HOME}/bench/front.js`, FRONT);
  const runtime = await runtimePath();
  const start = (program: string) =>
    `ExecStart=${runtime} run --no-config --no-lock --no-remote --no-npm --allow-all \\
  --v8-flags=--max-semi-space-size=2 %h/bench/${program}
`;
  const server = (program: string) =>
    `[Service]
WorkingDirectory=%h/bench
Environment=DENO_DIR=%h/.cache/bench-bare
${start(program)}`;
  const confinement = await runnerConfinement(directory);
  const confined = (program: string) =>
    `[Service]
${confinement}
Environment=DENO_DIR=%h/.cache/cicd-toolkit/bench
${start(program)}`;
  const units = {
    "bench-bare.socket": `[Socket]\nListenStream=${BARE_SOCKET}\n`,
    [BARE_UNIT]: server("bare.js"),
    "bench-laden.socket": `[Socket]\nListenStream=${LADEN_SOCKET}\n`,
    [LADEN_UNIT]: server("laden.js"),
    [CONFINED.unit]: confined("bare.js"),
    [CONFINED_LADEN.unit]: confined("fully_laden.js"),
    [CONFINED_FRONT.unit]: confined("front.js"),
    "bench-least.socket": `[Socket]\nListenStream=${LEAST_SOCKET}\nAccept=yes\n`,
    "bench-least@.service": `[Service]
StandardInput=socket
StandardOutput=socket
ExecStart=/bin/sh %h/bench/least.sh
`,
  };
  const peers = [CONFINED, CONFINED_LADEN, CONFINED_FRONT];
  for (const { unit, socket } of peers) {
    const path = `${directory}/${socketUnitOf(unit)}`;
    await Deno.writeTextFile(path, `[Socket]\nListenStream=${socket}\n`);
  }
  for (const [name, text] of Object.entries(units)) {
    await Deno.writeTextFile(`${directory}/${name}`, text);
  }
  await systemctl("daemon-reload");
  await systemctl("start", "bench-bare.socket", "bench-laden.socket", "bench-least.socket");
  await systemctl("start", ...peers.map(({ unit }) => socketUnitOf(unit)));
}

/** Settings of the runner's unit that are about its own program. */
const OWN = /^(?:Type|NotifyAccess|Exec\w+|Timeout\w+|WatchdogSec|Restart\w*|SyslogIdentifier)=/;

/** Returns what the runner's unit and its drop-ins set, but for its program. */
async function runnerConfinement(directory: string): Promise<string> {
  const unit = `${directory}/cicd-runner.service`;
  const dropIns = await Array.fromAsync(Deno.readDir(`${unit}.d`), ({ name }) => name)
    .catch(() => []);
  const files = [unit, ...dropIns.sort().map((name) => `${unit}.d/${name}`)];
  const texts = await Promise.all(files.map((file) => Deno.readTextFile(file)));
  const lines = texts.flatMap((text) =>
    /^\[Service\]$([^]*?)(?=^\[|(?![^]))/m.exec(text)?.[1] ?? []
  )
    .flatMap((text) => text.split("\n"));
  return lines.filter((line) => /^\w+=/.test(line) && !OWN.test(line)).join("\n");
}

function coldPeer(name: string): ColdPeer {
  return { unit: `bench-${name}.service`, socket: `${RUNTIME}/bench-${name}.sock` };
}

function socketUnitOf(unit: string): string {
  return unit.replace(/service$/, "socket");
}

/** Returns the product's runtime, so that both share its pages; else the machine's. */
export async function runtimePath(): Promise<string> {
  const own = `${HOME}/.local/lib/cicd-toolkit/current/lib/cicd-toolkit/deno`;
  return await Deno.stat(own).then(() => own, () => "/usr/local/bin/deno");
}
