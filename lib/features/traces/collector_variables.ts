/**
 * The variables of OpenTelemetry, and the address of a collector.
 *
 * @module
 */

/** The environment of the runner. */
export type Env = Readonly<Record<string, string | undefined>>;

/** Returns the address for traces: the path is added to one without. */
export function tracesUrl(address: string): string {
  const url = new URL(address);
  if (url.pathname === "/") url.pathname = "/v1/traces";
  return url.href;
}

/** Returns the headers of `OTEL_EXPORTER_OTLP_HEADERS`, such as a token of the collector. */
export function headersIn(env: Env): Readonly<Record<string, string>> {
  const text = env["OTEL_EXPORTER_OTLP_TRACES_HEADERS"] ?? env["OTEL_EXPORTER_OTLP_HEADERS"] ?? "";
  return pairsIn(text, /^[A-Za-z0-9!#$%&'*+.^_|~-]+$/);
}

/** Returns the attributes of the resource: ours, and those of OpenTelemetry's variables. */
export function resourceIn(env: Env, version: string, hostname: string) {
  return {
    "host.name": hostname,
    "service.version": version,
    ...pairsIn(env["OTEL_RESOURCE_ATTRIBUTES"] ?? "", /^[\w.-]+$/),
    "service.name": env["OTEL_SERVICE_NAME"] || "cicd-runner",
  };
}

function pairsIn(text: string, name: RegExp): Readonly<Record<string, string>> {
  return Object.fromEntries(
    text.slice(0, 8_192).split(",").flatMap((pair) => {
      const equals = pair.indexOf("=");
      const key = pair.slice(0, equals).trim();
      const value = decoded(pair.slice(equals + 1).trim());
      const isUsable = equals > 0 && name.test(key) && !/[\r\n\0]/.test(value);
      return isUsable ? [[key, value]] : [];
    }),
  );
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // Not encoded, with a percent sign of its own.
    return text;
  }
}
