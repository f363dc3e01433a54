/**
 * Runs inside the measured runner, as a module that is loaded before it: measures for how long its
 * event loop does not turn. Each connection to the probe's socket gets the longest time since the
 * previous one, in milliseconds.
 *
 * @module
 */

const STEP_MS = 2;

const path = Deno.env.get("BENCH_LOOP_PROBE");
if (path !== undefined) {
  let worstMs = 0;
  let turnedAt = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    worstMs = Math.max(worstMs, now - turnedAt - STEP_MS);
    turnedAt = now;
  }, STEP_MS);
  // Main modules run once the loop has nothing left to wait for.
  Deno.unrefTimer(timer);
  const listener = Deno.listen({ transport: "unix", path });
  listener.unref();
  void (async () => {
    for await (using connection of listener) {
      await connection.write(new TextEncoder().encode(`${worstMs}\n`));
      worstMs = 0;
    }
  })();
}
