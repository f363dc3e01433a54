import assert from "node:assert/strict";
import { RECORD_PROGRAM, recordResultArgv } from "@lib/spine/executors/record_result.ts";
import { parseResultRecord } from "@lib/spine/executors/result_record.ts";

interface Ended {
  readonly result: string;
  readonly code: string;
  readonly status: string;
}

/** Runs the program as the service manager does; `prefix` starts it. */
async function recordEnd(
  end: Ended,
  { prefix = [], prepare = () => Promise.resolve(), asks = true }: {
    readonly asks?: boolean;
    readonly prefix?: readonly string[];
    readonly prepare?: (resultFile: string) => Promise<unknown>;
  } = {},
) {
  const directory = await Deno.makeTempDir({ prefix: "cicd-record-" });
  try {
    // Whoever the program runs as.
    await Deno.chmod(directory, 0o777);
    await Deno.writeTextFile(`${directory}/recorder`, RECORD_PROGRAM);
    await Deno.writeTextFile(`${directory}/environment`, "");
    await Deno.chmod(`${directory}/environment`, 0o666);
    await prepare(`${directory}/result`);
    const argv = recordResultArgv({
      recorder: `${directory}/recorder`,
      resultFile: `${directory}/result`,
      ...(asks ? { unit: "cicd-job-none-1.service" } : {}),
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
    return { text, parsed: parseResultRecord(text), names: names.toSorted(), said };
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

Deno.test("RECORD_PROGRAM without a unit forks nothing to ask about a failure", {
  ignore: !isLinux,
}, async () => {
  const timedOut = { result: "timeout", code: "exited", status: "203" };
  await using managers = new AsyncDisposableStack();
  const { parsed } = await recordEnd(timedOut, {
    asks: false,
    prepare: async (resultFile) => {
      const directory = resultFile.slice(0, resultFile.lastIndexOf("/"));
      await Deno.mkdir(`${directory}/systemd`);
      const path = `${directory}/systemd/private`;
      const manager = managers.use(Deno.listen({ transport: "unix", path }));
      void manager.accept().then(() => assert.fail("it asks"), () => undefined);
    },
  });
  assert(parsed.kind === "record");
  assert.deepEqual(parsed.record.end, { kind: "exited", exitCode: 203 });
  assert.equal(parsed.record.serviceResult, "timeout");
});

Deno.test("RECORD_PROGRAM leaves its record where it cannot fork", {
  ignore: !isLinux,
}, async () => {
  // Root is under no such limit.
  const other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"];
  const prefix = ["prlimit", "--nproc=1:1", "--", ...(Deno.uid() === 0 ? other : [])];
  const { parsed, said } = await recordEnd(FAILED, { prefix });
  assert(parsed.kind === "record");
  assert.deepEqual(parsed.record.end, { kind: "exited", exitCode: 5 });
  assert.equal(said, "");
});

Deno.test(
  "RECORD_PROGRAM leaves a record of which no part is one",
  { ignore: !isLinux },
  async () => {
    const { text } = await recordEnd({ result: "success", code: "exited", status: "0" });
    for (let length = 0; length < text.length; length++) {
      assert.equal(
        parseResultRecord(text.slice(0, length)).kind,
        "unusable",
        text.slice(0, length),
      );
    }
  },
);

Deno.test("RECORD_PROGRAM opens nothing but files, whatever a job left in their place", {
  ignore: !isLinux,
}, async () => {
  const fifo = (path: string) => new Deno.Command("mkfifo", { args: [path] }).output();
  const places = [
    fifo,
    (path: string) => Deno.symlink("/dev/full", path),
    (path: string) => Deno.mkdir(path),
    (path: string) => Deno.writeTextFile(path, "x".repeat(100_000)),
  ];
  for (const place of places) {
    const { parsed } = await recordEnd(FAILED, {
      prepare: async (path) => {
        await place(path);
        await place(`${path}.draft`);
      },
    });
    assert(parsed.kind === "record");
    assert.deepEqual(parsed.record.end, { kind: "exited", exitCode: 5 });
  }
});

Deno.test("RECORD_PROGRAM leaves its record when systemd stops it as too slow", {
  ignore: !isLinux,
}, async () => {
  const directory = await Deno.makeTempDir({ prefix: "cicd-record-" });
  try {
    // A manager that answers nobody.
    await Deno.mkdir(`${directory}/systemd`);
    using manager = Deno.listen({ transport: "unix", path: `${directory}/systemd/private` });
    await Deno.writeTextFile(`${directory}/recorder`, RECORD_PROGRAM);
    const argv = recordResultArgv({
      recorder: `${directory}/recorder`,
      resultFile: `${directory}/result`,
      unit: "cicd-job-none-1.service",
      runtimeDir: directory,
    });
    const child = new Deno.Command("setsid", {
      args: [...argv],
      clearEnv: true,
      env: { SERVICE_RESULT: "timeout", EXIT_CODE: "killed", EXIT_STATUS: "TERM" },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    using _asked = await manager.accept();
    // As KillMode=control-group: to all processes of the unit.
    Deno.kill(-child.pid, "SIGTERM");
    await child.status;
    const parsed = parseResultRecord(await Deno.readTextFile(`${directory}/result`));
    assert(parsed.kind === "record");
    assert.deepEqual(parsed.record.end, { kind: "killed", signal: "SIGTERM", dumped: false });
    assert.equal(parsed.record.serviceResult, "timeout");
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
