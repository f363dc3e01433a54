import assert from "node:assert/strict";
import { FIRST_COMMANDS } from "../support/first_minutes.ts";
import { parseCast, writeCast } from "../../tools/record/cast.ts";
import { drawRecording } from "../../tools/record/svg.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const read = (path: string) => Deno.readTextFile(ROOT + path);

Deno.test("the recording has the README's commands, from the installation on", async () => {
  const { events } = parseCast(await read("docs/img/first-minutes.cast"));
  const typed = events.flatMap(({ kind, text }) => kind === "m" ? [text] : []);
  assert.deepEqual(typed, FIRST_COMMANDS.map(({ text }) => text), "run `deno task record`");
  const readme = (await read("README.md")).split("\n").map((line) => line.replace(/ +# .*/, ""))
    .join("\n");
  for (const { text, aside } of FIRST_COMMANDS) {
    assert.equal(readme.includes(`\n${text}\n`), aside !== true, text);
  }
});

Deno.test("each picture is that of its recording", async () => {
  for (const name of ["first-minutes", "top"]) {
    const text = await read(`docs/img/${name}.cast`);
    const recording = parseCast(text);
    assert.equal(writeCast(recording), text);
    assert.equal(drawRecording(recording), await read(`docs/img/${name}.svg`));
  }
});
