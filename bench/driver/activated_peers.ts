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
  const runtime = await runtimePath();
  const server = (program: string) =>
    `[Service]
WorkingDirectory=%h/bench
Environment=DENO_DIR=%h/.cache/bench-bare
ExecStart=${runtime} run --no-config --no-lock --no-remote --no-npm --allow-all \\
  --v8-flags=--max-semi-space-size=2 %h/bench/${program}
`;
  const units = {
    "bench-bare.socket": `[Socket]\nListenStream=${BARE_SOCKET}\n`,
    [BARE_UNIT]: server("bare.js"),
    "bench-laden.socket": `[Socket]\nListenStream=${LADEN_SOCKET}\n`,
    [LADEN_UNIT]: server("laden.js"),
    "bench-least.socket": `[Socket]\nListenStream=${LEAST_SOCKET}\nAccept=yes\n`,
    "bench-least@.service": `[Service]
StandardInput=socket
StandardOutput=socket
ExecStart=/bin/sh %h/bench/least.sh
`,
  };
  for (const [name, text] of Object.entries(units)) {
    await Deno.writeTextFile(`${directory}/${name}`, text);
  }
  await systemctl("daemon-reload");
  await systemctl("start", "bench-bare.socket", "bench-laden.socket", "bench-least.socket");
}

/** Returns the product's runtime, so that both share its pages; else the machine's. */
export async function runtimePath(): Promise<string> {
  const own = `${HOME}/.local/lib/cicd-toolkit/current/lib/cicd-toolkit/deno`;
  return await Deno.stat(own).then(() => own, () => "/usr/local/bin/deno");
}
