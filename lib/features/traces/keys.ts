/**
 * Configuration keys of traces.
 *
 * @module
 */
import { type Config, section } from "@lib/foundations/config/config.ts";
import { optionalKey } from "@lib/foundations/config/key.ts";
import { webAddress } from "@lib/foundations/config/ranges.ts";

const TELEMETRY = section({
  keys: {
    traces: optionalKey(
      "telemetry.traces",
      webAddress(),
      "OpenTelemetry collector that gets a trace of each job, by OTLP over HTTP with JSON. " +
        "`/v1/traces` is added to an address without a path.",
      { text: "`$OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, else `$OTEL_EXPORTER_OTLP_ENDPOINT`" },
    ),
  },
});

/** The sections. */
export const SECTIONS = [TELEMETRY];

/** Returns the address of the collector; `undefined` while nothing is traced. */
export function collectorAddress(
  config: Config,
  env: Readonly<Record<string, string | undefined>>,
): string | undefined {
  const { traces } = config.of(TELEMETRY);
  if (traces !== undefined) return traces;
  const whole = env["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
  const base = env["OTEL_EXPORTER_OTLP_ENDPOINT"];
  const address = whole || (base ? `${base.replace(/\/+$/, "")}/v1/traces` : "");
  return /^https?:/i.test(address) && URL.canParse(address) ? address : undefined;
}
