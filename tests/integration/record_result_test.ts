import assert from "node:assert/strict";
import { RECORD_PROGRAM, recordResultArgv } from "@lib/spine/executors/record_result.ts";
import { parseResultRecord } from "@lib/spine/executors/result_record.ts";

interface Ended {
  readonly result: string;
  readonly code: string;
  readonly status: string;
}

/** Runs the program as the service manager does; `prefix` starts it. */
async function recordEnd(end: Ended, prefix: readonly string[] = []) {
  const directory = await Deno.makeTempDir({ prefix: "cicd-record-" });
  try {
    // Whoever the program runs as.
    await Deno.chmod(directory, 0o777);
    await Deno.writeTextFile(`${directory}/recorder`, RECORD_PROGRAM);
    await Deno.writeTextFile(`${directory}/environment`, "");
    await Deno.chmod(`${directory}/environment`, 0o666);
    const argv = recordResultArgv({
      recorder: `${directory}/recorder`,
      resultFile: `${directory}/result`,
      unit: "cicd-job-none-1.service",
      runtimeDir: directory,
      environmentFile: `${directory}/environment`,
    });
    const [program = "", ...args] = [...prefix, ...argv];
    const output = await new Deno.Command(program, {
      args,
      clearEnv: true,
      env: { SERVICE_RESULT: end.result, EXIT_CODE: end.code, EXIT_STATUS: end.status },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).output();
    const names: string[] = [];
    for await (const { name } of Deno.readDir(directory)) names.push(name);
    const said = new TextDecoder().decode(output.stdout) + new TextDecoder().decode(output.stderr);
    const text = await Deno.readTextFile(`${directory}/result`);
    return { parsed: parseResultRecord(text), names: names.toSorted(), said };
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

const isLinux = Deno.build.os === "linux";

const FAILED: Ended = { result: "exit-code", code: "exited", status: "5" };

Deno.test("RECORD_PROGRAM records how a unit ended, says nothing and leaves nothing", {
  ignore: !isLinux,
}, async () => {
  const { parsed, names, said } = await recordEnd(FAILED);
  assert(parsed.kind === "record");
  assert.deepEqual(parsed.record.end, { kind: "exited", exitCode: 5 });
  assert.deepEqual(names, ["recorder", "result"]);
  assert.equal(said, "");
});

Deno.test("RECORD_PROGRAM leaves its record where it cannot fork", {
  ignore: !isLinux,
}, async () => {
  // Root is under no such limit.
  const other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"];
  const prefix = ["prlimit", "--nproc=1:1", "--", ...(Deno.uid() === 0 ? other : [])];
  const { parsed, said } = await recordEnd(FAILED, prefix);
  assert(parsed.kind === "record");
  assert.deepEqual(parsed.record.end, { kind: "exited", exitCode: 5 });
  assert.equal(said, "");
});
