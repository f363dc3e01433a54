/**
 * Renders the OpenAPI document as Markdown.
 *
 * @module
 */
import type { Json } from "./read_openapi.ts";

/** Renders `docs/api.md`. */
export function apiReference(openapi: Json): string {
  const operations = entries(openapi["paths"]).flatMap(([path, methods]) =>
    entries(methods).map(([method, operation]) => ({
      path,
      method: method.toUpperCase(),
      operation,
    }))
  );
  return [
    "# HTTP API",
    "",
    "The API is served on the Unix socket `$XDG_RUNTIME_DIR/cicd-runner.sock`. `curl` needs a host, which is",
    "ignored: `http://localhost/…`. Over TCP, requests need a key: [remote-access.md](remote-access.md). A",
    "runner serves this reference as OpenAPI 3.1 at `/openapi.json`.",
    "",
    "Errors are `application/problem+json` (RFC 9457) with a stable `code`; input errors list each invalid",
    "field in `errors` as `{path, message}`. Errors that may go away have `retryable: true`, and",
    "`Retry-After` if the wait is known. Durations are strings (`10m`) or seconds, sizes are strings",
    "(`512M`) or bytes, and times are RFC 3339 in UTC.",
    "",
    "This page is generated from the routes by `deno task docs`.",
    "",
    "| route | summary |",
    "| --- | --- |",
    ...operations.map(({ path, method, operation }) =>
      `| [\`${method} ${path}\`](#${anchor(method, path)}) | ${text(operation, "summary")} |`
    ),
    "",
    ...operations.flatMap(({ path, method, operation }) => section(method, path, operation)),
  ].join("\n");
}

function section(method: string, path: string, operation: Json): readonly string[] {
  const parameters = list(operation["parameters"]);
  const body = at(operation, "requestBody", "content", "application/json", "schema");
  return [
    `## ${method} ${path}`,
    "",
    `${text(operation, "summary")}.`,
    "",
    ...(text(operation, "description") === "" ? [] : [text(operation, "description"), ""]),
    ...(parameters.length === 0 ? [] : [
      "| parameter | in | value |",
      "| --- | --- | --- |",
      ...parameters.map((one) =>
        `| \`${text(one, "name")}\` | ${text(one, "in")} | ${valueOf(json(one["schema"]))} |`
      ),
      "",
    ]),
    ...(body === undefined ? [] : ["Body:", "", ...fields(body), ""]),
    "| status | response |",
    "| --- | --- |",
    ...entries(operation["responses"]).map(([status, answer]) =>
      `| ${status} | ${text(answer, "description")} |`
    ),
    "",
  ];
}

function fields(schema: Json): readonly string[] {
  const required = new Set(list(schema["required"]).map(String));
  const rows = (prefix: string, of: Json): readonly string[] =>
    entries(of["properties"]).flatMap(([name, field]) => [
      `| \`${prefix}${name}\`${required.has(name) && prefix === "" ? " (required)" : ""} | ${
        valueOf(field)
      } | ${text(field, "description")} |`,
      ...rows(`${prefix}${name}.`, field),
    ]);
  return ["| field | value | meaning |", "| --- | --- | --- |", ...rows("", schema)];
}

function valueOf(schema: Json): string {
  const options = list(schema["enum"]);
  if (options.length > 0) {
    return options.map(String).filter((one) => one !== "").map((one) => `\`${one}\``).join(", ");
  }
  const any = list(schema["anyOf"]);
  if (any.length > 0) return [...new Set(any.map((one) => valueOf(json(one))))].join(" or ");
  const types = schema["type"];
  if (Array.isArray(types)) return types.join(" or ");
  const type = text(schema, "type");
  if (type === "array") return `list of ${valueOf(json(schema["items"]))}`;
  return type === "" ? "text" : type;
}

function anchor(method: string, path: string): string {
  return `${method} ${path}`.toLowerCase().replaceAll(/[^a-z0-9 _-]/g, "").replaceAll(" ", "-");
}

function entries(value: unknown): readonly [string, Json][] {
  return Object.entries(json(value)).map(([key, one]) => [key, json(one)]);
}

function json(value: unknown): Json {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value))
    : {};
}

function at(value: Json, ...path: readonly string[]): Json | undefined {
  let found: unknown = value;
  for (const key of path) found = json(found)[key];
  return found === undefined ? undefined : json(found);
}

function list(value: unknown): readonly Json[] {
  return Array.isArray(value) ? value : [];
}

function text(value: Json, key: string): string {
  const found = value[key];
  return typeof found === "string" ? found : "";
}
