import assert from "node:assert/strict";
import { parseCast } from "../../tools/record/cast.ts";
import { RunnerBench } from "../support/runner_process.ts";

const hasPlayer = await Deno.stat("/usr/bin/asciinema").then(() => true, () => false);

/** Plays a recording with asciinema, in no time; returns what it writes. */
async function played(path: string): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command("asciinema", {
    args: ["play", "--speed", "100000", "--idle-time-limit", "0.001", path],
    stdin: "null",
  }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

Deno.test({
  name: "asciinema plays the recording of a terminal to the byte",
  ignore: !hasPlayer,
  async fn() {
    await using bench = new RunnerBench({ config: "executor: direct\nagents: child\n" });
    await bench.start();
    const script = 'printf "Grüße 漢字\\n\\033[1mbold\\033[0m \\"quoted\\" \\\\ \\007"; exit 3';
    const ended = await bench.cli(["attach", "web", "--record", "--", "sh", "-c", script]);
    assert.equal(ended.code, 3);
    const directory = `${bench.stateDir}/projects/web/recordings`;
    const [recording] = [...Deno.readDirSync(directory)];
    assert.match(recording?.name ?? "", /^[0-9a-f]{12}\.cast$/);
    const shown = await played(`${directory}/${recording?.name}`);
    assert.equal(shown, ended.stdout);
    assert.equal(shown, 'Grüße 漢字\r\n\x1b[1mbold\x1b[0m "quoted" \\ \x07');
  },
});

Deno.test({
  name: "asciinema plays the recordings of the documentation",
  ignore: !hasPlayer,
  async fn() {
    for (const name of ["first-minutes", "top"]) {
      const path = new URL(`../../docs/img/${name}.cast`, import.meta.url).pathname;
      const { events } = parseCast(await Deno.readTextFile(path));
      const output = events.filter(({ kind }) => kind === "o").map(({ text }) => text).join("");
      assert.equal(await played(path), output, name);
    }
  },
});
