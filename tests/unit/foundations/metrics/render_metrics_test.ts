import assert from "node:assert/strict";
import { type Metric, renderMetrics } from "@lib/foundations/metrics/render_metrics.ts";

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
