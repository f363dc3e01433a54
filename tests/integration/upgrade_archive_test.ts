import assert from "node:assert/strict";
import { upgrade } from "@lib/features/install/upgrade/upgrade.ts";
import { archiveName } from "../../tools/build/layout.ts";
import { openStage } from "../support/upgrade_stage.ts";

/** What an archive contains besides a release, as commands in its tree, and what is said of it. */
const ODD: Readonly<Record<string, string>> = {
  "a FIFO": "rm lib/cicd-toolkit/build.json; mkfifo lib/cicd-toolkit/build.json",
  "a link out of it": "ln -s ../../../etc/passwd lib/x",
  "an absolute link": "ln -s /etc/passwd lib/x",
  "a link in place of a directory": "mv lib outside; ln -s outside lib",
  "a link to a file that is not unpacked": "mv bin/cicd-runner x; ln -s ../x bin/cicd-runner",
};

for (const [name, commands] of Object.entries(ODD)) {
  Deno.test(`upgrade() unpacks no archive with ${name}`, async () => {
    await using t = await openStage();
    await t.publish({ version: "1.1.0" });
    const archive = `${t.published}/${archiveName(Deno.build.target)}`;
    const script = `mkdir "$1" && cd "$1" && tar -xzf "$0" && ${commands} && tar -czf "$0" .`;
    const args = ["-ec", script, archive, `${t.directory}/tree`];
    assert.ok((await new Deno.Command("sh", { args }).output()).success);
    await t.sum();
    await assert.rejects(upgrade(t.input(), t.ports()), {
      code: "io_failed",
      message: /Cannot use the release 1\.1\.0: its archive has something other than/,
    });
    assert.equal(await t.current(), "1.0.0");
    assert.deepEqual(await t.left(), []);
  });
}

Deno.test("upgrade() unpacks an archive with links inside of the release", async () => {
  await using t = await openStage();
  await t.publish({ version: "1.1.0" });
  const archive = `${t.published}/${archiveName(Deno.build.target)}`;
  const script = `mkdir "$1" && cd "$1" && tar -xzf "$0" && ln -s units lib/cicd-toolkit/u &&
    ln -s ../../../bin/cicd-runner lib/cicd-toolkit/units/r && tar -czf "$0" .`;
  const args = ["-ec", script, archive, `${t.directory}/tree`];
  assert.ok((await new Deno.Command("sh", { args }).output()).success);
  await t.sum();
  assert.equal((await upgrade(t.input(), t.ports())).kind, "upgraded");
});

Deno.test("upgrade() unpacks no archive that comes to more than a release can", async () => {
  await using t = await openStage();
  await t.publish({ version: "1.1.0" });
  const archive = `${t.published}/${archiveName(Deno.build.target)}`;
  const script = `mkdir "$1" && cd "$1" && tar -xzf "$0" && truncate -s 8M lib/zeros &&
    tar -czf "$0" .`;
  const args = ["-ec", script, archive, `${t.directory}/tree`];
  assert.ok((await new Deno.Command("sh", { args }).output()).success);
  await t.sum();
  const ports = { ...t.ports(), unpackedMaxBytes: 8 * 1024 * 1024 };
  await assert.rejects(upgrade(t.input(), ports), {
    code: "io_failed",
    message: "Cannot unpack the archive: it comes to more than 8M",
  });
  assert.equal(await t.current(), "1.0.0");
  assert.deepEqual(await t.left(), []);
});

Deno.test("upgrade() to a release of which the copy in use is damaged touches no file of that", async () => {
  await using t = await openStage();
  await t.publish({ version: "1.1.0" });
  await upgrade(t.input(), t.ports());
  const damaged = await Deno.realPath(`${t.home}/current`);
  await Deno.writeTextFile(`${damaged}/lib/cicd-toolkit/scar`, "");
  const { ino } = await Deno.stat(`${damaged}/lib/cicd-toolkit/scar`);
  const ended = await upgrade(t.input({ to: "1.1.0" }), t.ports());
  assert.equal(ended.kind, "upgraded");
  assert.equal(await Deno.realPath(`${t.home}/current`), `${damaged}.2`);
  // The one before is kept, as after each upgrade.
  assert.equal((await Deno.stat(`${damaged}/lib/cicd-toolkit/scar`)).ino, ino);
  assert.equal(await Deno.realPath(`${t.home}/previous`), damaged);
  await Deno.writeTextFile(`${damaged}.2/lib/cicd-toolkit/scar`, "");
  await upgrade(t.input({ to: "1.1.0" }), t.ports());
  assert.equal(await Deno.realPath(`${t.home}/current`), `${damaged}.3`);
});
