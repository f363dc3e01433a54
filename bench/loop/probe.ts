/**
 * Runs inside the measured runner, as a module that is loaded before it: measures for how long its
 * event loop does not turn. Each connection to the probe's socket gets the longest halt since the
 * previous one, in milliseconds, and the longest commit, which waits for the disk. A halt does not
 * count the commits in it, and neither counts the time for which other programs have the processor.
 *
 * @module
 */
import { StatementSync } from "node:sqlite";

const STEP_MS = 2;

/** Returns the time, less the time for which this thread was ready to run and had no processor. */
function runMs(): number {
  const [, waitedNs = 0] = Deno.readTextFileSync("/proc/self/schedstat").split(" ").map(Number);
  return performance.now() - waitedNs / 1e6;
}

const path = Deno.env.get("BENCH_LOOP_PROBE");
if (path !== undefined) {
  let haltMs = 0;
  let commitMs = 0;
  let commitsMs = 0;
  let turnedAt = runMs();
  const { run } = StatementSync.prototype;
  StatementSync.prototype.run = function (...values) {
    const startedAt = runMs();
    try {
      return Reflect.apply(run, this, values);
    } finally {
      if (this.sourceSQL === "COMMIT") {
        const ms = runMs() - startedAt;
        commitMs = Math.max(commitMs, ms);
        commitsMs += ms;
      }
    }
  };
  const timer = setInterval(() => {
    const now = runMs();
    haltMs = Math.max(haltMs, now - turnedAt - STEP_MS - commitsMs);
    commitsMs = 0;
    turnedAt = now;
  }, STEP_MS);
  // Main modules run once the loop has nothing left to wait for.
  Deno.unrefTimer(timer);
  const listener = Deno.listen({ transport: "unix", path });
  listener.unref();
  void (async () => {
    for await (using connection of listener) {
      await connection.write(new TextEncoder().encode(JSON.stringify({ haltMs, commitMs })));
      haltMs = 0;
      commitMs = 0;
    }
  })();
}
