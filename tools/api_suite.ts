/**
 * The API suite: `deno task test:api`.
 *
 * Schemathesis (a Python program) invents requests from `/openapi.json`, sends them to a real
 * runner, follows the links between routes, and compares each answer with the document. The last
 * line is `N passed, N failed`: requests.
 *
 * Invented jobs are harmless: the agent under test runs `/bin/true` in the place of every program.
 *
 * @module
 */
import process from "node:process";
import { stringify } from "@std/yaml";
import { fromFileUrl } from "@lib/core/file_url.ts";
import { RunnerBench } from "../tests/support/runner_process.ts";
import { readFlags } from "./flags.ts";

const USAGE = `Usage: deno task test:api [-- [--examples N] [--seed N] [--only NAME]]

  --examples N  requests per operation and phase (default: 60)
  --seed N      seed of the invented requests (default: 1)
  --only NAME   one operation, such as "POST /v1/jobs"
`;

const NO_PYTHON = `Cannot run the API suite: it needs Python 3.11 or later with its module venv.
Install it, on Debian with 'apt install python3-venv', or set CICD_PYTHON to the program's path.`;

const ROOT = fromFileUrl(new URL("..", import.meta.url).href).replace(/\/$/, "");
const SUITE = `${ROOT}/tools/api_suite`;

interface Options {
  readonly examples: string;
  readonly seed: string;
  readonly only?: string | undefined;
}

async function main(args: readonly string[]): Promise<number> {
  const flags = readFlags(args, { values: ["examples", "seed", "only"] });
  if (flags.has("help")) {
    console.log(USAGE);
    return 0;
  }
  const python = await findPython();
  if (python === undefined) {
    console.error(NO_PYTHON);
    return 69;
  }
  const schemathesis = await installed(python);
  return await check(schemathesis, {
    examples: flags.value("examples") ?? "60",
    seed: flags.value("seed") ?? "1",
    only: flags.value("only"),
  });
}

/** Returns the first Python that is new enough. */
async function findPython(): Promise<string | undefined> {
  const given = process.env["CICD_PYTHON"];
  for (const name of given === undefined ? ["python3", "python3.13", "python3.12"] : [given]) {
    const isUsable = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))";
    if (await succeeds(name, ["-c", isUsable])) return name;
  }
  return undefined;
}

/** Returns the path of Schemathesis, installed once for each set of pinned versions. */
async function installed(python: string): Promise<string> {
  const pins = await Deno.readFile(`${SUITE}/requirements.txt`);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", pins)).toHex().slice(0, 12);
  const directory = `${ROOT}/.cache/api-suite-${digest}`;
  const ready = `${directory}/ready`;
  if (!await succeeds("test", ["-e", ready])) {
    console.error(`Installing Schemathesis into ${directory}`);
    await run(python, ["-m", "venv", "--clear", directory]);
    const pip = ["-m", "pip", "install", "--quiet", "--require-hashes", "--only-binary=:all:"];
    await run(`${directory}/bin/python`, [...pip, "--requirement", `${SUITE}/requirements.txt`]);
    await Deno.writeTextFile(ready, "");
  }
  return `${directory}/bin/schemathesis`;
}

async function check(schemathesis: string, options: Options): Promise<number> {
  const port = freePort();
  await using bench = new RunnerBench();
  await using _engine = emptyEngine(`${bench.directory}/engine.sock`);
  const grytKey = crypto.randomUUID();
  await Deno.writeTextFile(`${bench.directory}/gryt.key`, grytKey, { mode: 0o600 });
  bench.configure(configOf(bench.directory, port));
  await bench.start();
  const seeds = await sow(bench);
  await bench.kill("SIGTERM");
  for (const pid of bench.agentPids()) Deno.kill(pid, "SIGTERM");
  bench.main = `${SUITE}/cmd/runner/main.ts`;
  await bench.start();
  const report = `${bench.directory}/report.ndjson`;
  const child = new Deno.Command(schemathesis, {
    args: [
      `--config-file=${SUITE}/schemathesis.toml`,
      "run",
      `http://127.0.0.1:${port}/openapi.json`,
      `--max-examples=${options.examples}`,
      `--seed=${options.seed}`,
      "--generation-database=none",
      `--report-ndjson-path=${report}`,
      ...(options.only === undefined ? [] : [`--include-name=${options.only}`]),
    ],
    cwd: SUITE,
    env: { ...seeds, CICD_GRYT_KEY: grytKey, PYTHONDONTWRITEBYTECODE: "1" },
    stdout: "piped",
  }).spawn();
  let last = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    await Deno.stdout.write(new TextEncoder().encode(text));
    last = `${last}${text}`.slice(-4_096);
  }
  const { success } = await child.status;
  const cases = Number(/(\d+) generated/.exec(last)?.[1] ?? 0);
  const failed = Number(/(\d+) failures?\b/.exec(last)?.[1] ?? 0) +
    Number(/(\d+) errors?\b/.exec(last)?.[1] ?? 0);
  console.log(`${Math.max(0, cases - failed)} passed, ${success ? 0 : Math.max(1, failed)} failed`);
  return success ? 0 : 1;
}

function configOf(directory: string, port: number): string {
  return stringify({
    agents: "child",
    executor: "direct",
    listen: { address: `127.0.0.1:${port}`, requests_per_minute: 1_000_000 },
    containers: { host: `unix://${directory}/engine.sock` },
    queue: { max_queued: 1_000_000, max_running: 64, max_agents: 4, start_timeout: "1s" },
    retention: { min_free_disk: 0 },
    gryt: {
      image: "alpine:3",
      api_key: `file:${directory}/gryt.key`,
      callbacks: ["http://127.0.0.1:9/"],
      timeout: "2s",
    },
  });
}

/** Makes a key, and jobs with logs and artifacts, for the routes that show them. */
async function sow(bench: RunnerBench): Promise<Readonly<Record<string, string>>> {
  const job = await bench.runJob({
    project: "seed",
    script: "echo out; echo err >&2; echo artifact > a.txt",
    output: "split",
    artifacts: ["a.txt"],
  });
  if (job.state !== "succeeded") throw new Error(`The seed job ended as ${JSON.stringify(job)}`);
  const { body: key } = await bench.json("POST", "/v1/keys", {
    body: { name: "suite", scopes: ["read", "submit", "admin"] },
  });
  return { CICD_JOB: job.id, CICD_KEY_ID: key.id, CICD_API_KEY: key.key };
}

/** A container engine that answers, and holds nothing. */
function emptyEngine(path: string): Deno.HttpServer {
  return Deno.serve({ path, onListen() {} }, (request) => {
    const { pathname } = new URL(request.url);
    if (pathname.endsWith("/_ping")) {
      return new Response("OK", { headers: { "api-version": "1.43" } });
    }
    if (pathname.endsWith("/networks") || pathname.endsWith("/json")) return Response.json([]);
    return Response.json({ message: "there is nothing here" }, { status: 404 });
  });
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

async function succeeds(program: string, args: readonly string[]): Promise<boolean> {
  try {
    const command = new Deno.Command(program, { args: [...args], stdout: "null", stderr: "null" });
    return (await command.output()).success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

async function run(program: string, args: readonly string[]): Promise<void> {
  const { code } = await new Deno.Command(program, { args: [...args] }).spawn().status;
  if (code !== 0) throw new Error(`${program} ${args.join(" ")} exited with code ${code}`);
}

if (import.meta.main) Deno.exitCode = await main(Deno.args);
