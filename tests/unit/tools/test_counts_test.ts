import assert from "node:assert/strict";
import { NO_TESTS, readJunit, summaryLine } from "../../../tools/test_counts.ts";

const REPORT = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="deno test" tests="7" failures="3" errors="0" time="0.151">
    <testsuite name="./a_test.ts" tests="6" disabled="1" errors="0" failures="3">
        <testcase name="a" classname="./a_test.ts" time="0.001" line="1" col="6">
        </testcase>
        <testcase name="b" classname="./a_test.ts" time="0.001" line="1" col="32">
            <failure message="Uncaught Error: &lt;/testcase&gt; &lt;skipped/&gt;">x</failure>
        </testcase>
        <testcase name="c" classname="./a_test.ts" time="0.000" line="1" col="83">
            <skipped/>
        </testcase>
        <testcase name="d &lt;x&gt;" classname="./a_test.ts" time="0.002" line="1" col="111">
            <failure message="1 test step failed">1 test step failed.</failure>
        </testcase>
        <testcase name="d &lt;x&gt; &gt; s" classname="./a_test.ts" time="0.000" line="1" col="148">
            <failure message="Uncaught 1">1</failure>
        </testcase>
        <testcase name="d &lt;x&gt; &gt; s &gt; deep" classname="./a_test.ts" time="0.000"/>
    </testsuite>
    <testsuite name="./b_test.ts" tests="1" disabled="0" errors="0" failures="0">
        <testcase name="a &gt; b" classname="./b_test.ts" time="0.000"/>
    </testsuite>
</testsuites>
`;

Deno.test("readJunit() counts tests, not their steps, and names what failed", () => {
  assert.deepEqual(readJunit(REPORT), {
    passed: 2,
    failed: 2,
    skipped: 1,
    failures: ["./a_test.ts: b", "./a_test.ts: d <x>", "./a_test.ts: d <x> > s"],
  });
});

Deno.test("readJunit() finds nothing in a report that was not written", () => {
  assert.deepEqual(readJunit(""), NO_TESTS);
});

Deno.test("summaryLine() names skipped tests only if there are any", () => {
  assert.equal(summaryLine({ ...NO_TESTS, passed: 3 }), "3 passed, 0 failed");
  assert.equal(
    summaryLine({ ...NO_TESTS, passed: 3, failed: 1, skipped: 2 }),
    "3 passed, 1 failed, 2 skipped",
  );
});
