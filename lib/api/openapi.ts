/**
 * The OpenAPI document, made from the routes and the schemas that validate.
 *
 * @module
 */
import { toJsonSchema } from "@valibot/to-json-schema";
import * as v from "valibot";
import { ERROR_CODES, type ErrorCode } from "@lib/core/error_codes.ts";
import { JOB_ID_PATTERN } from "@lib/core/ids.ts";
import type { Measure } from "@lib/core/json_schema.ts";
import { projectName } from "@lib/core/value_types.ts";
import { measureSchema } from "@lib/api/measure_pattern.ts";
import type { AnyRoute } from "@lib/api/route.ts";

/** A value of JSON. */
type Json = { readonly [key: string]: unknown };

/** Makes the OpenAPI 3.1 document of the routes. */
export function openApiDocument(routes: readonly AnyRoute[], version: string): Json {
  const paths: Record<string, Record<string, Json>> = {};
  for (const route of routes) {
    const path = route.path.replace(/:(\w+)(?:\{[^}]*\})?/g, "{$1}");
    (paths[path] ??= {})[route.method.toLowerCase()] = operation(route);
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "cicd-runner",
      version,
      summary: "Jobs on one Linux account, run by systemd",
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [
      {
        url: "http://localhost",
        description: "The Unix socket; the host is ignored, no key is needed",
      },
      {
        url: "https://{address}",
        description: "The TCP listener (listen.address); every request needs a key",
        variables: { address: { default: "localhost:8443" } },
      },
    ],
    paths,
    components: { schemas: { Problem: PROBLEM }, securitySchemes: SCHEMES },
  };
}

const SCHEMES: Json = {
  bearer: { type: "http", scheme: "bearer", description: "A key of `cicd-runner keys create`" },
  apiKey: { type: "apiKey", in: "header", name: "X-API-Key", description: "The same key" },
  grytKey: { type: "apiKey", in: "header", name: "X-API-Key", description: "gryt.api_key" },
};

/** Returns the security of a route over TCP; the Unix socket needs no key. */
function security({ access: { scope }, ownKey }: AnyRoute): Json {
  if (ownKey !== undefined) return { security: [{ [ownKey]: [] }] };
  if (scope === "none") return { security: [] };
  return { security: [{ bearer: [scope] }, { apiKey: [scope] }], "x-access": { scope } };
}

const PROBLEM: Json = {
  type: "object",
  additionalProperties: false,
  description: "RFC 9457 problem details",
  required: ["type", "title", "status", "detail", "code", "retryable"],
  properties: {
    type: { type: "string" },
    title: { type: "string" },
    status: { type: "integer" },
    detail: { type: "string" },
    code: { type: "string", enum: Object.keys(ERROR_CODES) },
    retryable: { type: "boolean" },
    errors: {
      type: "array",
      items: {
        type: "object",
        additionalProperties: false,
        required: ["path", "message"],
        properties: { path: { type: "string" }, message: { type: "string" } },
      },
    },
  },
};

function operation(route: AnyRoute): Json {
  const pathNames = [...route.path.matchAll(/:(\w+)/g)].map((match) => match[1] ?? "");
  return {
    summary: route.summary,
    ...(route.description === undefined ? {} : { description: route.description }),
    ...security(route),
    parameters: [
      ...pathNames.map((name) => ({
        name,
        in: "path",
        required: true,
        schema: partSchema(route, name),
      })),
      ...Object.entries(route.query ?? {}).map(([name, schema]) => ({
        name,
        in: "query",
        schema: jsonSchema(schema, "request"),
      })),
    ],
    ...(route.body === undefined ? {} : {
      requestBody: {
        required: route.body.type !== "optional",
        content: { "application/json": { schema: jsonSchema(route.body, "request") } },
      },
    }),
    responses: responses(route),
  };
}

/** Describes all answers; a status that the handler shares with the checks has both bodies. */
function responses(route: AnyRoute): Json {
  const own = answers(route);
  const all = { ...own, ...problems(codesOf(route)) };
  return Object.fromEntries(
    Object.entries(all).map(([status, problem]) => {
      const before = own[status];
      return [
        status,
        before === undefined || before === problem ? problem : {
          description: `${before.description}; ${problem.description}`,
          content: { ...before.content, ...problem.content },
        },
      ];
    }),
  );
}

/** A body that is no JSON. */
const TEXT: Json = {};

/** A possible answer as OpenAPI has it. */
interface Described {
  readonly description: string;
  readonly content?: Json;
}

function answers(route: AnyRoute): Readonly<Record<string, Described>> {
  return Object.fromEntries(
    Object.entries(route.answers).map(([status, { description, schema, ...of }]) => {
      const { contentType = "application/json", otherTypes = [] } = of;
      const types = schema === undefined && of.contentType === undefined ? [] : [
        [contentType, schema === undefined ? TEXT : { schema: jsonSchema(schema, "answer") }],
        ...otherTypes.map((type) => [type, TEXT]),
      ];
      return [status, {
        description,
        ...(types.length === 0 ? {} : { content: Object.fromEntries(types) }),
      }];
    }),
  );
}

/** Returns the codes of a route, with those of the access checks before it. */
function codesOf({ access: { scope, by }, errors = [] }: AnyRoute): readonly ErrorCode[] {
  const subject: readonly ErrorCode[] = by === "job"
    ? ["job_not_found"]
    : by === "project"
    ? ["project_not_found"]
    : [];
  const caller: readonly ErrorCode[] = scope === "none"
    ? []
    : ["unauthorized", "forbidden", "rate_limited"];
  // Every route refuses parameters that it does not know.
  return [...new Set([...subject, ...errors, ...caller, "invalid_request" as const])];
}

/** Describes the problems of a route by status; several codes may share one. */
function problems(codes: readonly ErrorCode[]): Readonly<Record<string, Described>> {
  const byStatus = Map.groupBy(codes, (code) => ERROR_CODES[code].status);
  return Object.fromEntries(
    [...byStatus].map(([status, sharing]) => [status, {
      description: sharing.map((code) => `\`${code}\`: ${ERROR_CODES[code].title}`).join("; "),
      content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } },
    }]),
  );
}

/** Describes a part of a path. */
function partSchema({ access: { by }, params = {} }: AnyRoute, name: string): Json {
  const own = params[name];
  if (own !== undefined) return own;
  if (name === "id" && by === "job") {
    return { type: "string", pattern: `^(?:${JOB_ID_PATTERN}|[0-9a-f]{6,8})$` };
  }
  return name === "project" ? projectName().json : { type: "string", minLength: 1 };
}

/**
 * Describes a schema's input: value types bring a JSON Schema of their own.
 *
 * An answer has no fields but those of its schema, in this release.
 */
function jsonSchema(schema: v.GenericSchema, use: "request" | "answer"): Json {
  const { $schema: _, ...rest } = toJsonSchema(schema, {
    typeMode: "input",
    // Checks that JSON Schema cannot express are in the description.
    errorMode: "ignore",
    overrideSchema({ valibotSchema, jsonSchema }) {
      const { entries } = { entries: {}, ...valibotSchema };
      for (const [name, entry] of Object.entries<unknown>(entries)) {
        const property = jsonSchema.properties?.[name];
        if (typeof property === "object") Object.assign(property, descriptionOf(entry));
      }
      return use === "answer" && valibotSchema.type === "object"
        ? { ...jsonSchema, additionalProperties: false }
        : jsonSchema;
    },
  });
  return { ...withMeasures(rest), ...descriptionOf(schema) };
}

/** Replaces each {@linkcode Measure} in a JSON Schema. */
function withMeasures(schema: Json): Json {
  const { measure, ...rest } = schema;
  const deep = Object.fromEntries(
    Object.entries(rest).map(([key, value]) => [key, key === "examples" ? value : inside(value)]),
  );
  return isMeasure(measure) ? { ...measureSchema(measure), ...deep } : deep;
}

function inside(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inside);
  return typeof value === "object" && value !== null ? withMeasures({ ...value }) : value;
}

function isMeasure(value: unknown): value is Measure {
  return typeof value === "object" && value !== null && "kind" in value && "max" in value;
}

/** Returns the description of a schema, also one that follows a transform. */
function descriptionOf(schema: unknown): { readonly description?: string } {
  if (!isSchema(schema)) return {};
  const description = v.getDescription(schema);
  if (description !== undefined) return { description };
  return "wrapped" in schema ? descriptionOf(schema.wrapped) : {};
}

function isSchema(value: unknown): value is v.GenericSchema {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === "schema";
}
