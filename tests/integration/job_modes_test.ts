import assert from "node:assert/strict";
import { systemClock } from "@lib/core/clock.ts";
import { attemptDirectory } from "@lib/spine/jobs/attempt_directory.ts";
import { parseJobId } from "@lib/core/ids.ts";
import { projectName } from "../support/job_fixtures.ts";
import { createRepository } from "../support/git_repository.ts";
import { RunnerBench } from "../support/runner_process.ts";

const CONFIG = "git: { schemes: [file] }\n";
const SCRIPT = `umask; find . -path ./.git/objects -prune -o -printf '%m %p\\n' | sort -k2
find .git/objects -printf '%m\\n' | sort -u
mkdir -p cache/tool; echo x >cache/tool/run; chmod 2775 cache/tool; chmod 755 cache/tool/run
touch go; while [ ! -e "$CICD_WORKSPACE/../../leave" ]; do sleep 0.05; done`;

async function modesOf(umask: string) {
  await using bench = new RunnerBench({ config: CONFIG, umask });
  const path = `${bench.directory}/app.git`;
  const repository = await createRepository(path, { url: `file://${path}`, sha256: false });
  await repository.commit({
    files: { "src/plain": "1", "src/run": { kind: "executable", text: "#!/bin/sh" } },
  });
  await bench.start();
  const body = {
    project: "web",
    git: { url: repository.url, ref: "main" },
    files: { "made/by/request": "text" },
    caches: [{ name: "tool", paths: ["cache/tool"], key_files: ["src/plain"] }],
    script: SCRIPT,
  };
  const texts: string[] = [];
  for (let run = 0; run < 2; run++) {
    const { body: job } = await bench.json("POST", "/v1/jobs", { body });
    const jobId = parseJobId(job.id);
    assert(jobId !== undefined);
    const ref = { project: projectName(), jobId, number: 1 };
    const directory = attemptDirectory(bench.stateDir, ref, 1);
    const follow = bench.ask("GET", `/v1/jobs/${job.id}/wait?timeout=60s`);
    const signal = AbortSignal.timeout(30_000);
    while (!exists(`${directory.workspace}/go`)) await systemClock.sleep(20, { signal });
    for (const { name, isDirectory } of Deno.readDirSync(directory.path)) {
      const mode = (Deno.lstatSync(`${directory.path}/${name}`).mode ?? 0) & 0o777;
      assert.equal(mode & 0o077, 0, `${name} has mode ${mode.toString(8)}`);
      assert.equal(mode & 0o700, isDirectory ? 0o700 : 0o600, name);
    }
    assert.equal((Deno.lstatSync(directory.path).mode ?? 0) & 0o777, 0o700);
    const leave = `${bench.stateDir}/projects/web/leave`;
    Deno.writeTextFileSync(leave, "");
    assert.equal((await (await follow).json()).state, "succeeded");
    Deno.removeSync(leave);
    texts.push(await (await bench.ask("GET", `/v1/jobs/${job.id}/logs`)).text());
  }
  return texts.map((text) =>
    text.split("\n").filter((line) => line !== "" && !line.startsWith("[setup]"))
  );
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

Deno.test("a job's files have git's modes under the installed unit's umask, its records stay private", async () => {
  const [first = [], second = []] = await modesOf("077");
  assert.equal(first[0], "0022");
  for (
    const line of [
      "755 .",
      "755 ./src",
      "644 ./src/plain",
      "755 ./src/run",
      "755 ./made/by",
      "644 ./made/by/request",
      "755 ./.git",
      "644 ./.git/HEAD",
      "644 ./.git/config",
      "644 ./.git/index",
    ]
  ) assert(first.includes(line), `${line} in ${first.join(", ")}`);
  assert.deepEqual(first.slice(-2), ["444", "755"]);
  assert(second.includes("755 ./cache"), second.join());
  assert(second.includes("2775 ./cache/tool"), second.join());
  assert(second.includes("755 ./cache/tool/run"), second.join());
});

Deno.test("a job has the umask that the project's unit sets", async () => {
  const [first = []] = await modesOf("027");
  assert.equal(first[0], "0027");
  assert(first.includes("750 ./src"), first.join());
});
