/**
 * A job in a container of rootless Podman, which is one of the user's own services.
 *
 * @module
 */
import type { LimitRow } from "../support/vm_report.ts";
import { type Check, verdict } from "./check.ts";
import {
  api,
  ended,
  log,
  must,
  oomKills,
  PAYLOAD,
  PROJECT_SLICE,
  read,
  submit,
  systemctl,
  until,
  untilRunning,
  workspace,
} from "./guest.ts";

const IMAGE = "localhost/busybox:test";
const CONTAINER = { image: IMAGE, pull: "never", network: "none" };
const MIB = 2 ** 20;
/** Podman takes seconds for each thing here. */
const PATIENCE_MS = 240_000;

/** Jobs with an image, in the project's slice and within limits. */
export const containerCheck: Check = {
  name: "container",
  async carryOut(tell) {
    await systemctl("start", "podman.socket");
    await must(["podman", "import", `${PAYLOAD}/image.tar`, IMAGE], { timeoutMs: PATIENCE_MS });
    tell((await must(["podman", "--version"])) + ", the image is imported");
    // Keeps the slice, and with it the kernel's counters.
    const keeper = await submit({ script: "sleep 1200", timeout: "1h" });
    await untilRunning(keeper);
    const rows = [...await limitedRows(tell), await ownerRow(), await memoryRow()];
    const left = await must(["podman", "ps", "--all", "--quiet"]);
    const group = await containerGroup();
    await api(`/v1/jobs/${keeper}/cancel`, {});
    await ended(keeper);
    return {
      rows: [...rows, {
        limit: "containers that ended",
        set: "nothing",
        kernel: group === undefined ? "no group of them is left" : `left ${group}`,
        result: left === "" ? "`podman ps --all` is empty" : `left behind: ${left}`,
        ok: left === "" && group === undefined,
      }],
    };
  },
};

/** A job that writes a file and shows who it is; looked at while it runs. */
async function limitedRows(tell: (text: string) => void): Promise<readonly LimitRow[]> {
  const id = await submit({
    ...CONTAINER,
    command: ["sh", "-c", 'echo "user $(id -u)"; echo text >made; sleep 8'],
    limits: { memory: "64M", cpu: 0.5, tasks: 40 },
  });
  const made = `${workspace()}/made`;
  const isMade = () => Deno.stat(made).then(() => true, () => false);
  await until("a file of the container in the workspace", isMade, PATIENCE_MS);
  const { uid } = await Deno.stat(made);
  const scope = await containerGroup();
  const files = ["memory.max", "cpu.max", "pids.max"];
  const set = await Promise.all(files.map((name) => read(`${PROJECT_SLICE}/${scope}/${name}`)));
  tell(`the container is in ${scope ?? "no group of the slice"}`);
  const job = await ended(id, PATIENCE_MS);
  const user = /^user \d+$/m.exec(await log(id))?.[0] ?? "user unknown";
  return [
    {
      limit: "limits of a container",
      set: "64M, 0.5 CPUs, 40 tasks; rootless Podman",
      kernel: `${files.map((name, at) => `${name} ${set[at]}`).join(", ")} in \`cicd-web.slice/${
        scope?.replace(/[0-9a-f]{64}/, "…")
      }\``,
      result: verdict(job),
      ok: job.state === "succeeded" && set[0] === String(64 * MIB) &&
        set[1] === "50000 100000" && set[2] === "40",
    },
    {
      limit: "user of a container",
      set: "nothing",
      kernel: `a file made inside belongs to uid ${uid}`,
      result: `the job was ${user}`,
      ok: uid === 1000,
    },
  ];
}

/** A job of another user than the account, which owns its files; its artifact is private. */
async function ownerRow(): Promise<LimitRow> {
  const id = await submit({
    ...CONTAINER,
    container: { user: "1234:1234" },
    files: { "in/file": "text" },
    script: "umask 077; echo seen $(stat -c %u:%g in in/file) && echo more >>in/file && id >made",
    artifacts: { paths: ["made"], when: "always" },
  });
  const job = await ended(id, PATIENCE_MS);
  const seen = /^seen .*$/m.exec(await log(id))?.[0] ?? "nothing seen";
  const kept = JSON.stringify(await api(`/v1/jobs/${id}/artifacts`));
  return {
    limit: "`container.user`",
    set: "1234:1234",
    kernel: `the job has ${seen}`,
    result: `${verdict(job)}; its artifact was ${/"path":"made"/.test(kept) ? "kept" : "lost"}`,
    ok: job.state === "succeeded" && seen === "seen 1234:1234 1234:1234" &&
      /"path":"made"/.test(kept),
  };
}

/** A container that asks for more and more. */
async function memoryRow(): Promise<LimitRow> {
  const before = await oomKills();
  const id = await submit({
    ...CONTAINER,
    command: ["tail", "/dev/zero"],
    limits: { memory: "48M" },
  });
  const job = await ended(id, PATIENCE_MS);
  const kills = await oomKills() - before;
  return {
    limit: "`limits.memory` of a container",
    set: "48M; the job asks for more and more",
    kernel: `memory.events oom_kill ${kills} below \`cicd-web.slice\``,
    result: verdict(job),
    ok: job.state === "failed" && job.reason === "oom_killed" && kills > 0 &&
      /killed at its 48M limit/.test(job.message ?? ""),
  };
}

/** The group with the limits of the only container, below the project's slice. */
async function containerGroup(): Promise<string | undefined> {
  for await (const { name } of Deno.readDir(PROJECT_SLICE)) {
    if (!/^libpod-[0-9a-f]{64}\.scope$/.test(name)) continue;
    // crun puts the processes, and the limits, into one more group.
    const inner = await read(`${PROJECT_SLICE}/${name}/container/cgroup.procs`);
    return inner === undefined ? name : `${name}/container`;
  }
  return undefined;
}
