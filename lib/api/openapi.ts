/**
 * The OpenAPI document, made from the routes and the schemas that validate.
 *
 * @module
 */
import { toJsonSchema } from "@valibot/to-json-schema";
import * as v from "valibot";
import { ERROR_CODES, type ErrorCode } from "@lib/core/error_codes.ts";
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
};

/** Returns the security of a route over TCP; the Unix socket needs no key. */
function security({ access: { scope } }: AnyRoute): Json {
  if (scope === "none") return { security: [] };
  return { security: [{ bearer: [scope] }, { apiKey: [scope] }], "x-access": { scope } };
}

const PROBLEM: Json = {
  type: "object",
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
        schema: { type: "string" },
      })),
      ...Object.entries(route.query ?? {}).map(([name, schema]) => ({
        name,
        in: "query",
        schema: jsonSchema(schema),
      })),
    ],
    ...(route.body === undefined ? {} : {
      requestBody: {
        required: route.body.type !== "optional",
        content: { "application/json": { schema: jsonSchema(route.body) } },
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

/** A possible answer as OpenAPI has it. */
interface Described {
  readonly description: string;
  readonly content?: Json;
}

function answers(route: AnyRoute): Readonly<Record<string, Described>> {
  return Object.fromEntries(
    Object.entries(route.answers).map(([status, { description, schema, contentType }]) => [status, {
      description,
      ...(schema === undefined && contentType === undefined ? {} : {
        content: {
          [contentType ?? "application/json"]: {
            schema: schema === undefined ? { type: "string" } : jsonSchema(schema),
          },
        },
      }),
    }]),
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

/** Describes a schema's input: value types bring a JSON Schema of their own. */
function jsonSchema(schema: v.GenericSchema): Json {
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
      return jsonSchema;
    },
  });
  return { ...rest, ...descriptionOf(schema) };
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
