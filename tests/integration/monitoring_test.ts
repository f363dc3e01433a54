import assert from "node:assert/strict";
import { parse } from "yaml";
import { pause, RunnerBench } from "../support/runner_process.ts";

const FILES = new URL("../../deploy/monitoring", import.meta.url).pathname;
const hasPrometheus = await Deno.stat("/usr/bin/prometheus").then(() => true, () => false);

Deno.test("the dashboard and the alert rules name only series that a runner has", async () => {
  await using bench = new RunnerBench();
  await bench.start();
  await bench.runJob({ project: "web", command: ["true"] });
  const known = metricNames(await plainMetrics(bench));
  const expressions = [...await dashboardExpressions(), ...await alertExpressions()];
  assert(expressions.length > 40);
  for (const expression of expressions) {
    for (const [name] of expression.matchAll(/\b(?:cicd|process)_[a-z0-9_]+/g)) {
      const base = name.replace(/_bucket$/, "");
      assert(known.has(base), `${name} in ${expression}`);
    }
  }
});

/** A runner with every series that there can be. */
async function fullMetrics(): Promise<string> {
  const proxy = freePort();
  await using bench = new RunnerBench({
    config: `llm_proxy: { listen: ${proxy} }
telemetry: { traces: "http://127.0.0.1:9" }
gryt: { project: gryt }
`,
  });
  await bench.start();
  await bench.runJob({ project: "web", command: ["true"] });
  for (let isListening = false; !isListening; await pause(20)) {
    isListening = (await bench.json("GET", "/v1/llm/usage")).body.proxy.state === "listening";
  }
  const refused = await fetch(`http://127.0.0.1:${proxy}/v1/nobody/models`);
  assert.equal(refused.status, 400);
  await refused.body?.cancel();
  return await plainMetrics(bench);
}

Deno.test("the documentation names every series, and no other", async () => {
  const names = [...metricNames(await fullMetrics())];
  const page = await Deno.readTextFile("docs/monitoring.md");
  const [, table = ""] = /## Metrics\n([^]*?)\n## /.exec(page) ?? [];
  const documented = table.split("\n").filter((line) => line.startsWith("| `"))
    .flatMap((line) => [...(line.split("|")[1] ?? "").matchAll(/`([^`]+)`/g)])
    .flatMap(([, name = ""]) => expanded(name));
  const isNamedBy = (name: string) => (pattern: string) =>
    pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
  assert.deepEqual(names.filter((name) => !documented.some(isNamedBy(name))), []);
  assert.deepEqual(documented.filter((one) => !names.some((name) => isNamedBy(name)(one))), []);
});

Deno.test({
  name: "promtool has nothing to say about the metrics, the rules and the configuration",
  ignore: !hasPrometheus,
  async fn() {
    await promtool(["check", "metrics"], await fullMetrics());
    await promtool(["check", "rules", `${FILES}/alerts.yml`]);
    await promtool(["check", "config", "--syntax-only", `${FILES}/prometheus.yml`]);
  },
});

Deno.test({
  name: "a Prometheus scrapes the TCP listener with a key, and evaluates every expression",
  ignore: !hasPrometheus,
  async fn() {
    const [port, own] = [freePort(), freePort()];
    await using bench = new RunnerBench({ config: `listen: { address: "127.0.0.1:${port}" }` });
    await bench.start();
    await bench.runJob({ project: "web", command: ["true"] });
    const { body } = await bench.json("POST", "/v1/keys", {
      body: { name: "prometheus", scopes: ["read"] },
    });
    const place = bench.directory;
    await Deno.writeTextFile(`${place}/key`, body.key);
    await Deno.writeTextFile(
      `${place}/prometheus.yml`,
      (await Deno.readTextFile(`${FILES}/prometheus.yml`))
        .replace("/etc/prometheus/cicd-runner.key", `${place}/key`)
        .replace("127.0.0.1:8080", `127.0.0.1:${port}`)
        .replace("30s", "1s")
        .replace("alerts.yml", `${FILES}/alerts.yml`),
    );
    await using prometheus = new Deno.Command("prometheus", {
      args: [
        `--config.file=${place}/prometheus.yml`,
        `--storage.tsdb.path=${place}/data`,
        `--web.listen-address=127.0.0.1:${own}`,
      ],
      stdout: "null",
      stderr: "null",
    }).spawn();
    const query = async (expression: string) => {
      const url = `http://127.0.0.1:${own}/api/v1/query?query=${encodeURIComponent(expression)}`;
      try {
        const response = await fetch(url, { signal: AbortSignal.timeout(10_000) });
        // It starts.
        if (response.status === 503) return void await response.body?.cancel();
        return await response.json();
      } catch (error) {
        assert(error instanceof TypeError, String(error));
        return undefined;
      }
    };
    const ended = 'cicd_attempts_ended_total{project="web",state="succeeded"}';
    const deadline = AbortSignal.timeout(60_000);
    while ((await query(ended))?.data?.result?.length !== 1) {
      deadline.throwIfAborted();
      await pause(100);
    }
    const [value] = (await query(ended)).data.result;
    assert.equal(value.value[1], "1");
    const [count] = (await query("cicd_attempt_duration_seconds_count")).data.result;
    assert.equal(count.value[1], "1");
    assert.equal((await query("cicd_host_cpus > 0")).data.result.length, 1);
    for (const expression of [...await dashboardExpressions(), ...await alertExpressions()]) {
      const answer = await query(
        expression.replaceAll("$__rate_interval", "1m").replaceAll(/\$(instance|project)/g, ".*"),
      );
      assert.equal(answer.status, "success", `${expression}: ${answer.error}`);
    }
    prometheus.kill();
  },
});

async function plainMetrics(bench: RunnerBench): Promise<string> {
  const response = await bench.ask("GET", "/metrics", { headers: { accept: "text/plain" } });
  assert.match(response.headers.get("content-type") ?? "", /^text\/plain/);
  return await response.text();
}

function metricNames(text: string): ReadonlySet<string> {
  return new Set([...text.matchAll(/^# TYPE (\S+) /gm)].map(([, name = ""]) => name));
}

/** Returns the names that `a_{b,c_{d,e}}` stands for. */
function expanded(text: string): readonly string[] {
  const [all, head = "", words = "", tail = ""] = /^(.*)\{([^{}]*)\}(.*)$/.exec(text) ?? [];
  if (all === undefined) return [text];
  return words.split(",").flatMap((word) => expanded(`${head}${word}${tail}`));
}

async function dashboardExpressions(): Promise<readonly string[]> {
  const { panels, templating } = JSON.parse(await Deno.readTextFile(`${FILES}/dashboard.json`));
  const queries: string[] = templating.list.flatMap(({ query }: { query: { query?: string } }) =>
    /\((\w+),/.exec(query.query ?? "")?.slice(1) ?? []
  );
  return [
    ...queries,
    ...panels.flatMap(({ targets = [] }: { targets?: { expr: string }[] }) =>
      targets.map(({ expr }) => expr)
    ),
  ];
}

async function alertExpressions(): Promise<readonly string[]> {
  const { groups } = parse(await Deno.readTextFile(`${FILES}/alerts.yml`));
  return groups.flatMap(({ rules }: { rules: { expr: string }[] }) =>
    rules.map(({ expr }) => expr)
  );
}

async function promtool(args: readonly string[], input = ""): Promise<void> {
  await using child = new Deno.Command("promtool", {
    args: [...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const fed = new Blob([input]).stream().pipeTo(child.stdin);
  const { code, stdout, stderr } = await child.output();
  await fed;
  const said = new TextDecoder().decode(stderr);
  assert.equal(code, 0, new TextDecoder().decode(stdout) + said);
  assert.equal(said, "");
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
