import assert from "node:assert/strict";
import * as v from "valibot";
import { openApiDocument } from "@lib/api/openapi.ts";
import { queryDuration, type QueryEntries, route } from "@lib/api/route.ts";
import { listOf, projectName, size } from "@lib/core/value_types.ts";

type Json = Readonly<Record<string, unknown>>;

function propertiesOf(body: v.GenericSchema, query: QueryEntries = {}): Json {
  const document = openApiDocument([
    route({
      method: "POST",
      path: "/x",
      access: { scope: "none" },
      summary: "x",
      query,
      body,
      answers: {},
      errors: [],
      handle: (_, reply) => reply.raw(new Response()),
    }),
  ], "0");
  const operation = JSON.parse(JSON.stringify(document)).paths["/x"].post;
  return {
    ...operation.requestBody.content["application/json"].schema,
    query: operation.parameters,
  };
}

Deno.test("openApiDocument() keeps type and description of a field with a transform", () => {
  const { properties, query } = propertiesOf(
    v.strictObject({
      project: v.pipe(projectName().schema, v.description("The project")),
      limits: v.exactOptional(v.strictObject({
        memory: v.exactOptional(v.pipe(size({ min: 0, max: 9 }).schema, v.description("Bytes"))),
      })),
      names: v.pipe(
        listOf(projectName(), { max: 2, accepts: "a list" }).schema,
        v.transform((names) => new Set(names)),
        v.description("Names"),
      ),
      own: v.optional(v.pipe(v.string(), v.transform(Number), v.description("A number"))),
    }),
    { wait: queryDuration },
  );
  assert.deepEqual(properties, {
    project: { type: "string", description: "The project" },
    limits: {
      type: "object",
      properties: {
        memory: { type: ["string", "number"], examples: ["512M"], description: "Bytes" },
      },
      required: [],
      additionalProperties: false,
    },
    names: { type: "array", items: { type: "string" }, description: "Names" },
    own: { type: "string", description: "A number" },
  });
  assert.deepEqual(query, [{
    name: "wait",
    in: "query",
    schema: { type: ["string", "number"], examples: ["10m"] },
  }]);
});
