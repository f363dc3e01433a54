/**
 * A new user's first minutes, in a terminal of a test machine: the commands of the README.
 *
 * @module
 */
import { makeCertificate } from "./certificate.ts";
import { bootMachine, type Machine } from "./machine.ts";
import { releaseUnderTest } from "./release.ts";
import { openTerminal, type Shown, type Terminal } from "./terminal.ts";

/** A command that is typed. */
export interface FirstCommand {
  /** As in the README, without comments. */
  readonly text: string;
  /** @default {0} */
  readonly exitCode?: number;
  /** Present if the README does not have it: it leads to where its commands are typed. */
  readonly aside?: true;
}

/** In the order in which they are typed. */
export const FIRST_COMMANDS: readonly FirstCommand[] = [
  { text: "cd cicd-toolkit", aside: true },
  { text: "./install.sh" },
  { text: "export PATH=~/.local/bin:$PATH" },
  { text: "cicd-runner doctor" },
  { text: "cd ~/web && cat Makefile", aside: true },
  { text: "cicd-runner run -p web --limit-memory 2G --timeout 10m -- make test" },
  { text: "cicd-runner show last" },
  { text: 'cicd-runner run -p web -- make lint || echo "exit code $?"' },
  { text: "cicd-runner run -p web --git https://github.com/acme/web -- make test" },
  {
    text:
      "curl -N --unix-socket $XDG_RUNTIME_DIR/cicd-runner.sock 'http://localhost/v1/jobs?follow=1' \\\n" +
      `  -d '{"project": "web", "git": {"url": "https://github.com/acme/web"}, "script": "make test",\n` +
      `       "limits": {"memory": "2G", "cpu": 1.5}, "timeout": "10m"}'`,
  },
  { text: "cicd-runner submit -p web -- sleep 600" },
  { text: "cicd-runner cancel last" },
  { text: "cicd-runner jobs" },
  { text: "cicd-runner logs last~1" },
];

/** The size of the terminal. */
export const COLUMNS = 100;
export const ROWS = 30;

const USER = "dev";
const CHECKOUT = "/checkout";

/** A machine as a new user has it: an unpacked release, a project, and nothing installed. */
export async function bootNewMachine(): Promise<AsyncDisposable & { readonly machine: Machine }> {
  await using stack = new AsyncDisposableStack();
  const release = await releaseUnderTest(stack, new AbortController().signal);
  const keys = await Deno.makeTempDir({ prefix: "cicd-forge-" });
  stack.defer(() => Deno.remove(keys, { recursive: true }));
  const { certificate } = await makeCertificate(keys, "github.com");
  const binds = [{ host: release, machine: "/release" }, { host: keys, machine: "/keys" }];
  const machine = stack.use(await bootMachine({ binds, checkout: CHECKOUT }));
  const append = (path: string, stdin: string) => machine.run(["tee", "--append", path], { stdin });
  await append("/etc/hosts", "127.0.0.1 github.com\n");
  await append("/etc/ssl/certs/ca-certificates.crt", certificate);
  const alone = ["--no-config", "--no-lock", "--cached-only", "--allow-all"];
  const forge = stack.use(
    await machine.spawn([
      ...["deno", "run", ...alone, `${CHECKOUT}/tests/support/forge_process.ts`],
      ...["/keys/github.com.crt", "/keys/github.com.key"],
    ]),
  );
  const said = forge.stdout.pipeThrough(new TextDecoderStream()).getReader();
  if ((await said.read()).value !== "ready\n") throw new Error("Cannot start the stand-in forge");
  await machine.run(["cp", "--recursive", "/release", "cicd-toolkit"], { user: USER });
  await machine.run(["git", "clone", "--quiet", "https://github.com/acme/web"], { user: USER });
  const owned = stack.move();
  return { machine, [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose]() };
}

/** Opens the new user's terminal. */
export function openFirstTerminal(machine: Machine, keyMs = 0): Promise<Terminal> {
  return openTerminal(machine, { user: USER, columns: COLUMNS, rows: ROWS, keyMs });
}

/** Types a command. @throws If its exit code is not the expected one. */
export async function typeFirst(terminal: Terminal, command: FirstCommand): Promise<Shown> {
  const shown = await terminal.type(command.text);
  if (shown.exitCode === (command.exitCode ?? 0)) return shown;
  throw new Error(`"${command.text}" exited with ${shown.exitCode}:\n${shown.text}`);
}
