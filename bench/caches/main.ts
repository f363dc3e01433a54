/**
 * `deno task bench:caches`: measures every cache example of the documentation, cold and warm.
 *
 * @module
 */
import { formatDuration } from "@lib/core/duration.ts";
import { RunnerBench } from "../../tests/support/runner_process.ts";
import {
  CACHE_PROJECTS,
  type CacheExample,
  cacheExamples,
  type CacheProject,
  documentPages,
} from "./examples.ts";

const ROOT = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");
/** The document with the table. */
const TABLE = "docs/artifacts.md";
const JOB_DEADLINE_MS = 20 * 60_000;

/** Variables that tools need on a machine behind a proxy, and those of installed toolchains. */
const PASSED = [
  ...["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"],
  ...["NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "PIP_CERT", "RUSTUP_HOME", "PYENV_ROOT"],
];

/** The times of one example, in milliseconds. */
interface Row {
  readonly example: CacheExample;
  readonly coldMs: number;
  readonly warmMs: number;
  readonly byHandMs: number;
  /** What the log says about the restore. */
  readonly restored: string;
}

async function measure(example: CacheExample, files: Readonly<Record<string, string>>) {
  const passed = toolEnv();
  const config = `defaults: { pass_env: [${Object.keys(passed).join(", ")}] }\n`;
  await using bench = new RunnerBench({ config, env: passed });
  await bench.start();
  const { caches, env, script } = example;
  const body = { project: "sample", caches, env, script: `set -e\n${script}`, files };
  const cold = await job(bench, body);
  const warm = await job(bench, body);
  const restored = /restored \S+ into/.exec(warm.log)?.[0];
  if (restored === undefined) {
    throw new Error(`${example.place} restores nothing: ${warm.log}`);
  }
  const directory = `${bench.directory}/by-hand`;
  await writeFiles(directory, files);
  const byHand = { ...passed, HOME: bench.directory, ...env };
  await shell(["sh", "-ec", script], directory, byHand);
  const byHandMs = await shell(["sh", "-ec", script], directory, byHand);
  return { example, coldMs: cold.ms, warmMs: warm.ms, byHandMs, restored } satisfies Row;
}

/** Runs a job that must succeed; the time includes the cache. */
async function job(bench: RunnerBench, body: Readonly<Record<string, unknown>>) {
  const begun = performance.now();
  const { body: { id, detail } } = await bench.json("POST", "/v1/jobs", { body });
  if (typeof id !== "string") throw new Error(`The job was refused: ${detail}`);
  let state = "queued";
  let message = "";
  while (["queued", "starting", "running", "stopping"].includes(state)) {
    if (performance.now() - begun > JOB_DEADLINE_MS) throw new Error("The job takes too long");
    const { body: found } = await bench.json("GET", `/v1/jobs/${id}/wait?timeout=60s`);
    ({ state, message } = found);
  }
  const ms = performance.now() - begun;
  const log = await (await bench.ask("GET", `/v1/jobs/${id}/logs`)).text();
  if (state !== "succeeded") throw new Error(`The job ended as ${state}: ${message}\n${log}`);
  return { ms, log };
}

/** The project's files with its lock file, made outside of what is measured. */
async function filesOf({ files, lock }: CacheProject): Promise<Readonly<Record<string, string>>> {
  if (lock === undefined) return files;
  const directory = await Deno.makeTempDir({ prefix: "cache-example-" });
  try {
    await writeFiles(directory, files);
    await shell(lock, directory, { ...toolEnv(), HOME: directory, GOFLAGS: "-modcacherw" });
    const all: Record<string, string> = { ...files };
    for (const { name, isFile } of Deno.readDirSync(directory)) {
      if (isFile) all[name] = await Deno.readTextFile(`${directory}/${name}`);
    }
    return all;
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function writeFiles(directory: string, files: Readonly<Record<string, string>>) {
  for (const [path, text] of Object.entries(files)) {
    const file = `${directory}/${path}`;
    await Deno.mkdir(file.slice(0, file.lastIndexOf("/")), { recursive: true });
    await Deno.writeTextFile(file, text);
  }
}

/** Runs a program that must succeed; returns its time in milliseconds. */
async function shell(
  [program = "", ...args]: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>>,
): Promise<number> {
  const begun = performance.now();
  const signal = AbortSignal.timeout(JOB_DEADLINE_MS);
  const command = new Deno.Command(program, {
    ...{ args, cwd, signal, clearEnv: true },
    env: { PATH: Deno.env.get("PATH") ?? "/usr/bin:/bin", ...env },
  });
  const { code, stderr } = await command.output();
  if (code === 0) return performance.now() - begun;
  throw new Error(`${program} ended with code ${code}: ${new TextDecoder().decode(stderr)}`);
}

/** The account's toolchains are used, its caches are not: `HOME` is empty. */
function toolEnv(): Record<string, string> {
  const home = Deno.env.get("HOME") ?? "/root";
  const given = PASSED.flatMap((name) => {
    const value = Deno.env.get(name);
    return value === undefined ? [] : [[name, value] as const];
  });
  return { RUSTUP_HOME: `${home}/.rustup`, ...Object.fromEntries(given) };
}

function lineOf({ example, coldMs, warmMs, byHandMs, restored }: Row): string {
  const times = [coldMs, warmMs, byHandMs].map((ms) => formatDuration(Math.round(ms)));
  const [, size] = restored.split(" ");
  return `| ${[example.caches[0].name, ...times, size].join(" | ")} |`;
}

function table(rows: readonly Row[]): string {
  const head = "| cache | first job | with the cache | by hand, second run | restored |\n";
  return `${head}| --- | --- | --- | --- | --- |\n${rows.map(lineOf).join("\n")}\n`;
}

async function writeTable(text: string): Promise<void> {
  const path = `${ROOT}/${TABLE}`;
  const before = await Deno.readTextFile(path);
  const marks = /(<!-- Generated by `deno task bench:caches[^\n]*\n)[\s\S]*?(<!-- End of)/;
  await Deno.writeTextFile(path, before.replace(marks, `$1\n${text}\n$2`));
  const format = new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", path] });
  await format.output();
}

async function main(args: readonly string[]): Promise<void> {
  const only = args.filter((arg) => !arg.startsWith("--"));
  const rows: Row[] = [];
  const done = new Set<string>();
  for (const path of documentPages(ROOT)) {
    for (const example of cacheExamples(path, await Deno.readTextFile(`${ROOT}/${path}`))) {
      const { name } = example.caches[0];
      // The same text on another page needs no second measurement.
      const same = JSON.stringify([example.caches, example.env, example.script]);
      if (done.has(same) || (only.length > 0 && !only.includes(name))) continue;
      done.add(same);
      const project = CACHE_PROJECTS.find((one) => one.name === name);
      if (project === undefined) throw new Error(`${example.place}: no project for "${name}"`);
      console.error(`caches: ${name} (${example.place})`);
      const row = await measure(example, await filesOf(project));
      console.error(lineOf(row));
      rows.push(row);
    }
  }
  console.log(table(rows));
  if (args.includes("--write")) await writeTable(table(rows));
}

if (import.meta.main) await main(Deno.args);
