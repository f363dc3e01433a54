import assert from "node:assert/strict";
import { fromFileUrl } from "@lib/core/file_url.ts";
import { RunnerBench } from "../support/runner_process.ts";

const MAIN = fromFileUrl(new URL("../../cmd/runner/main.ts", import.meta.url).href);

Deno.test("top prints one frame, as text and as JSON, where there is no terminal", async () => {
  await using bench = new RunnerBench();
  await bench.start();
  const text = await bench.cli(["top", "--once"]);
  assert.equal(text.code, 0, text.stderr);
  assert.match(text.stdout, /^CPU .*%/m);
  assert(!text.stdout.includes("\x1b"));
  const json = await bench.cli(["top", "--once", "--json", "--interval=200ms"]);
  const frame = JSON.parse(json.stdout);
  assert(frame.host.cpu >= 0 && frame.host.cpu <= 1);
  assert.equal(frame.queue.in_flight, 0);
  const wrong = await bench.cli(["top", "--interval=1ms"]);
  assert.equal(wrong.code, 64);
  assert.match(wrong.stderr, /from 200ms to 1h/);
});

Deno.test("top says at once that no runner is there", async () => {
  await using bench = new RunnerBench();
  for (const args of [["top"], ["top", "--once"], ["top", "--once", "--json"]]) {
    const { code, stderr } = await bench.cli(args);
    assert.match(stderr, /Cannot reach the runner at .*no such socket/);
    assert.equal(code, 69);
  }
});

Deno.test("top fills a terminal, follows its size, and gives it back at q", async () => {
  await using bench = new RunnerBench();
  await bench.start();
  const go = `${bench.directory}/go`;
  const resize = `(until [ -e ${go} ]; do sleep 0.05; done; stty cols 44 rows 9 </dev/tty) &`;
  const top = `${Deno.execPath()} run --quiet -A ${MAIN} top --socket=${bench.socket}`;
  await using child = new Deno.Command("script", {
    args: [
      "-qefc",
      `stty cols 100 rows 30; ${resize} ${top}; code=$?; stty -a; exit $code`,
      "/dev/null",
    ],
    env: { TERM: "xterm-256color", NO_COLOR: "1", SHELL: "/bin/sh" },
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const screen = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const keys = child.stdin.getWriter();
  let shown = "";
  const until = async (seen: (text: string) => boolean) => {
    while (!seen(shown)) {
      const { done, value = "" } = await screen.read();
      assert(!done, shown);
      shown += value;
    }
  };
  const frames = () =>
    shown.split("\x1b[H").slice(1).map((frame) => frame.split("\x1b[K").map((line) => line.trim()));
  await until(() => frames().some((lines) => lines.some((line) => line.startsWith("Queue"))));
  assert(shown.includes("\x1b[?1049h"));
  await Deno.writeTextFile(go, "");
  await until(() => frames().some(([title = ""]) => title.length > 0 && title.length <= 44));
  await keys.write(new TextEncoder().encode("q"));
  await until((text) => / -?icanon/.test(text));
  const [, after] = shown.split("\x1b[?25h\x1b[?1049l");
  assert.match(after ?? "", / icanon/);
  assert.equal((await child.status).code, 0);
  keys.releaseLock();
  await child.stdin.close();
  await screen.cancel();
});
