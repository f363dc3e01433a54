import { systemClock } from "@lib/core/clock.ts";
import { silentLogger } from "@lib/core/logger.ts";
import { Engine } from "@lib/docker/engine.ts";
import { EngineSource } from "@lib/docker/engine_source.ts";
import { containerBody } from "@lib/executors/container_config.ts";
import { Bench, deadline } from "/work/main/tests/support/executor_contract.ts";
import { CLOSED, CLOSED_RULES, containerContract } from "/work/main/tests/support/container_bench.ts";
const host = "unix:///tmp/h1/dockerd/docker.sock";
const container = { ...CLOSED, image: "cicd/busybox:1" };
const bench = new Bench({ ...containerContract({ host }), spec: { container } });
const raw = await Engine.open({ kind: "unix", path: "/tmp/h1/dockerd/docker.sock" });
const ex = await bench.executor();
const N = Number(Deno.args[0] ?? 30);
const mine: number[] = [], base: number[] = [];
const parts: Record<string, number[]> = {};
for (let i = 0; i < N + 2; i++) {
  {
    const request = bench.request({ kind: "command", argv: ["true"] });
    const a = performance.now();
    await ex.start(request, deadline());
    const b = performance.now();
    const o = await ex.ended(request, deadline());
    const c = performance.now();
    if (o.state !== "succeeded") throw new Error(o.message);
    if (i >= 2) { mine.push(c - a); (parts.start ??= []).push(b - a); (parts.end ??= []).push(c - b); }
  }
  {
    const request = bench.request({ kind: "command", argv: ["true"] });
    Deno.mkdirSync(request.folder.home);
    const facts = await raw.facts(deadline());
    const body = containerBody(request, { facts, init: true, account: { uid: 0, gid: 0 }, stateDir: "/x", tasks: 256 });
    const a = performance.now();
    const name = "raw" + i;
    await raw.createContainer(name, body, deadline());
    const a2 = performance.now();
    await raw.startContainer(name, deadline());
    const b = performance.now();
    await raw.waitContainer(name, deadline());
    const b2 = performance.now();
    await raw.removeContainer(name, deadline());
    const c = performance.now();
    if (i >= 2) { base.push(c - a); (parts.rcreate ??= []).push(a2 - a); (parts.rstart ??= []).push(b - a2); (parts.rwait ??= []).push(b2 - b); (parts.rremove ??= []).push(c - b2); }
  }
}
const med = (x: number[]) => x.sort((p, q) => p - q)[Math.floor(x.length / 2)]!.toFixed(1);
const diff = mine.map((m, i) => m - base[i]!); console.log("paired median diff", med([...diff]), "min ours", Math.min(...mine).toFixed(1), "min raw", Math.min(...base).toFixed(1));
console.log("ours", med(mine), "raw", med(base), Object.fromEntries(Object.entries(parts).map(([k, v]) => [k, med(v)])));
await bench[Symbol.asyncDispose]();
raw[Symbol.dispose]();
