import assert from "node:assert/strict";
import { boundLabel, type Metric } from "@lib/foundations/metrics/metric.ts";
import { renderMetrics } from "@lib/foundations/metrics/render_metrics.ts";

/** Reads OpenMetrics text strictly enough to notice a broken line. */
function parse(text: string): Map<string, number> {
  const lines = text.split("\n");
  assert.equal(lines.pop(), "");
  assert.equal(lines.pop(), "# EOF");
  const samples = new Map<string, number>();
  const types = new Map<string, string>();
  for (const line of lines) {
    const type = /^# TYPE (\w+) (counter|gauge)$/.exec(line);
    if (type !== null) {
      assert(!types.has(type[1] ?? ""), `declared twice: ${line}`);
      types.set(type[1] ?? "", type[2] ?? "");
      continue;
    }
    if (/^# HELP \w+ .+$/.test(line)) continue;
    const sample = /^((\w+)(?:\{(?:\w+="(?:[^"\\\n]|\\[\\"n])*",?)*\})?) (\S+)$/.exec(line);
    assert(sample !== null, `no sample: ${line}`);
    const [, key = "", name = "", value = ""] = sample;
    const family = types.has(name) ? name : name.replace(/_total$/, "");
    assert(types.has(family), `not declared: ${line}`);
    if (types.get(family) === "counter") assert(name.endsWith("_total"), `no _total: ${line}`);
    assert(!Number.isNaN(Number(value)), line);
    assert(!samples.has(key), `twice: ${line}`);
    samples.set(key, Number(value));
  }
  return samples;
}

const counter: Metric = {
  name: "cicd_ended",
  help: "What ended",
  type: "counter",
  labelNames: ["project"],
  samples: [{ labels: { project: "web" }, value: 3 }, { labels: { project: "api" }, value: 0.5 }],
};

Deno.test("renderMetrics() writes OpenMetrics with its type and its end", async () => {
  const { text, contentType } = await renderMetrics([
    counter,
    { name: "cicd_ready", help: "Ready", type: "gauge", samples: [{ value: 1 }] },
  ]);
  assert.match(contentType, /^application\/openmetrics-text; version=1\.0\.0/);
  assert.deepEqual(
    parse(text),
    new Map([
      ['cicd_ended_total{project="web"}', 3],
      ['cicd_ended_total{project="api"}', 0.5],
      ["cicd_ready", 1],
    ]),
  );
});

Deno.test("renderMetrics() keeps a label's value from breaking out of its line", async () => {
  const { text } = await renderMetrics([
    { ...counter, samples: [{ labels: { project: 'a"} 1\nb\\' }, value: 1 }] },
  ]);
  assert.equal(parse(text).size, 1);
});

Deno.test("renderMetrics() declares a metric without samples", async () => {
  const { text } = await renderMetrics([{ ...counter, samples: [] }]);
  assert.match(text, /^# TYPE cicd_ended counter$/m);
  assert.equal(parse(text).size, 0);
});

Deno.test("renderMetrics() starts anew each time", async () => {
  await renderMetrics([counter]);
  assert.equal(
    parse((await renderMetrics([counter])).text).get('cicd_ended_total{project="web"}'),
    3,
  );
});

Deno.test("renderMetrics() gives a histogram in both formats, and counters their suffix", async () => {
  const metrics: readonly Metric[] = [
    {
      name: "cicd_wait_seconds",
      help: "A time",
      type: "histogram",
      labelNames: ["project"],
      samples: [{
        labels: { project: "web" },
        value: 7.5,
        buckets: [{ le: 0.5, count: 1 }, { le: Infinity, count: 2 }],
      }],
    },
    { name: "cicd_done", help: "A sum", type: "counter", samples: [{ value: 3 }] },
  ];
  const lines = [
    "# TYPE cicd_wait_seconds histogram",
    'cicd_wait_seconds_bucket{le="0.5",project="web"} 1',
    'cicd_wait_seconds_bucket{le="+Inf",project="web"} 2',
    'cicd_wait_seconds_sum{project="web"} 7.5',
    'cicd_wait_seconds_count{project="web"} 2',
    "cicd_done_total 3",
  ];
  const sorted = (text: string) =>
    text.replace(/\{(.*)\}/g, (_, labels) => `{${labels.split(",").sort().join(",")}}`);
  const open = await renderMetrics(metrics);
  const plain = await renderMetrics(metrics, { isPlain: true });
  for (const { text } of [open, plain]) {
    for (const line of lines) assert(sorted(text).split("\n").includes(line), line);
  }
  assert(open.text.includes("# TYPE cicd_done counter\n"));
  assert(plain.text.includes("# TYPE cicd_done_total counter\n"));
  assert(!plain.text.includes("# EOF"));
  assert.match(plain.contentType, /^text\/plain/);
});

Deno.test("boundLabel() sums up the values beyond the bound, and keeps the first", () => {
  const of = (project: string, value: number) => ({
    labels: { project, state: "failed" },
    value,
    buckets: [{ le: 1, count: 1 }, { le: Infinity, count: value }],
  });
  const metrics: readonly Metric[] = [
    {
      name: "a",
      help: "A",
      type: "histogram",
      labelNames: ["project", "state"],
      samples: [of("a", 1), of("b", 2), of("c", 3), of("z", 4)],
    },
    { name: "b", help: "B", type: "gauge", samples: [{ value: 1 }] },
  ];
  const bound = { label: "project", first: ["z", "unused"], max: 2, other: "_other" };
  const [bounded, other] = boundLabel(metrics, bound);
  assert.deepEqual(bounded?.samples.map(({ labels, value }) => [labels?.["project"], value]), [
    ["a", 1],
    ["z", 4],
    ["_other", 5],
  ]);
  assert.deepEqual(bounded?.samples.at(-1)?.buckets, [
    { le: 1, count: 2 },
    { le: Infinity, count: 5 },
  ]);
  assert.equal(other, metrics[1]);
  assert.equal(boundLabel(metrics, { ...bound, max: 4 }), metrics);
});
