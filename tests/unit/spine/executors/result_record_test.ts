import assert from "node:assert/strict";
import fc from "fast-check";
import {
  formatExecFailure,
  parseResultRecord,
  RESULT_MAX_BYTES,
  type ResultRecord,
} from "@lib/spine/executors/result_record.ts";

function record(...lines: string[]): ResultRecord {
  const parsed = parseResultRecord(lines.map((line) => `${line}\n`).join(""));
  assert(parsed.kind === "record", parsed.kind === "unusable" ? parsed.problem : "");
  return parsed.record;
}

const EXITED = ["service_result=exit-code", "exit_code=exited", "exit_status=3"];

Deno.test("parseResultRecord() reads every figure", () => {
  assert.deepEqual(
    record(
      "service_result=oom-kill",
      "exit_code=killed",
      "exit_status=KILL",
      "cpu_usage_usec=1500000",
      "cpu_nr_throttled=3",
      "cpu_throttled_usec=250000",
      "memory_oom=1",
      "memory_oom_kill=2",
      "memory_peak=62914560",
      "pids_max=4",
      "SystemState=stopping",
      "ExecMainStartTimestampMonotonic=1000000",
      "ExecMainExitTimestampMonotonic=3500000",
      "ActiveEnterTimestampMonotonic=1000100",
      "finished_at_ms=1795314432629",
    ),
    {
      serviceResult: "oom-kill",
      end: { kind: "killed", signal: "SIGKILL", dumped: false },
      activated: true,
      mainRunMs: 2_500,
      managerStopping: true,
      memoryPeakBytes: 62_914_560,
      oomKills: 2,
      refusedTasks: 4,
      cpuUsageUs: 1_500_000,
      cpuThrottledUs: 250_000,
      finishedAt: 1_795_314_432_629,
    },
  );
});

Deno.test("parseResultRecord() takes no part of a record for a whole one", () => {
  const whole = `record=2\n${EXITED.join("\n")}\nrecorded=yes\nmemory_peak=4096\n`;
  const blank = "#".repeat(400);
  for (let length = 0; length <= whole.length; length++) {
    const parsed = parseResultRecord(`${whole.slice(0, length)}${blank}\n`);
    if (parsed.kind === "unusable") continue;
    assert(length > whole.indexOf("recorded"), `${length}`);
    assert.deepEqual(parsed.record.end, { kind: "exited", exitCode: 3 });
    const peak = parsed.record.memoryPeakBytes;
    assert(peak === undefined || (peak === 4_096 && length === whole.length), `${length}`);
  }
});

Deno.test("parseResultRecord() needs no more than how the process ended", () => {
  assert.deepEqual(record(...EXITED), {
    serviceResult: "exit-code",
    end: { kind: "exited", exitCode: 3 },
  });
  assert.deepEqual(record("service_result=signal", "exit_code=dumped", "exit_status=SEGV").end, {
    kind: "killed",
    signal: "SIGSEGV",
    dumped: true,
  });
  assert.deepEqual(record("service_result=resources", "exit_code=", "exit_status=").end, {
    kind: "none",
  });
});

Deno.test("parseResultRecord() reads the times of a shell's children", () => {
  assert.equal(record(...EXITED, "child_times=1m2.500000s 0m0.25s").cpuUsageUs, 62_750_000);
  assert.equal(record(...EXITED, "child_times=0m0s 0m0s").cpuUsageUs, 0);
  const times = ["own_times=9m0s 9m0s", "0m1.500000s 0m0.25s"];
  assert.equal(record(...EXITED, ...times).cpuUsageUs, 1_750_000);
  assert.equal(record(...EXITED, "child_times=garbage").cpuUsageUs, undefined);
});

Deno.test("parseResultRecord() treats figures out of range as absent", () => {
  for (const value of ["", "-1", "max", "1e9", "99999999999999999999", "9007199254740993", " 1"]) {
    assert.equal(record(...EXITED, `memory_peak=${value}`).memoryPeakBytes, undefined, value);
  }
});

Deno.test("parseResultRecord() ignores a line without an end and the second of a key", () => {
  assert.equal(record(...EXITED, "exit_status=4").end.kind, "exited");
  const parsed = parseResultRecord(EXITED.join("\n"));
  assert.deepEqual(parsed, { kind: "unusable", problem: "has no exit_status" });
});

Deno.test("parseResultRecord() says what is wrong with a record", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["", "has no service_result"],
    ["service_result=Bad Word\n", "has an invalid service_result"],
    ["service_result=success\n", "has no exit_code"],
    ["service_result=success\nexit_code=exited\n", "has no exit_status"],
    [
      "service_result=success\nexit_code=exited\nexit_status=256\n",
      "has an exit_status that is not an exit code",
    ],
    [
      "service_result=success\nexit_code=killed\nexit_status=<b>\n",
      "has an exit_status that is not a signal",
    ],
    ["service_result=success\nexit_code=melted\nexit_status=0\n", "has an unknown exit_code"],
    ["x".repeat(RESULT_MAX_BYTES + 1), `is longer than ${RESULT_MAX_BYTES} bytes`],
  ];
  for (const [text, problem] of cases) {
    assert.deepEqual(parseResultRecord(text), { kind: "unusable", problem });
  }
});

Deno.test("parseResultRecord() throws at nothing", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
    parseResultRecord(text);
    parseResultRecord(EXITED.join("\n") + "\n" + text);
  }));
});

Deno.test("formatExecFailure() is read back as a program that was never executed", () => {
  const parsed = parseResultRecord(formatExecFailure(127, 5));
  assert.deepEqual(parsed, {
    kind: "record",
    record: {
      serviceResult: "exit-code",
      end: { kind: "exited", exitCode: 127 },
      notBegun: true,
      finishedAt: 5,
    },
  });
});
