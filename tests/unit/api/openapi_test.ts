import assert from "node:assert/strict";
import * as v from "valibot";
import { openApi } from "../../support/api_fixture.ts";
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
  const name = { type: "string", maxLength: 56, examples: ["web-app"] };
  const pattern = "^[A-Za-z0-9](?:[.]?[A-Za-z0-9_-])*[.]?$";
  const project = { ...name, pattern };
  assert.deepEqual(properties, {
    project: { ...project, description: "The project" },
    limits: {
      type: "object",
      properties: {
        memory: {
          anyOf: [
            {
              type: "string",
              pattern:
                "^(?:(?:[0-9])(?:[Ii]?[Bb])?|(?:0)[Kk](?:[Ii]?[Bb])?|(?:0)[Mm](?:[Ii]?[Bb])?|(?:0)[Gg](?:[Ii]?[Bb])?|(?:0)[Tt](?:[Ii]?[Bb])?)$",
              maxLength: 32,
            },
            { type: "integer", minimum: 0, maximum: 9 },
          ],
          examples: ["512M"],
          description: "Bytes",
        },
      },
      required: [],
      additionalProperties: false,
    },
    names: { type: "array", items: project, maxItems: 2, description: "Names" },
    own: { type: "string", description: "A number" },
  });
  const [{ schema }] = query as [{ schema: { pattern: string; type: string } }];
  assert.equal(schema.type, "string");
  for (const text of ["0", "1.5", "90s", "1h30m", "3650d"]) {
    assert.match(text, RegExp(schema.pattern));
  }
  for (const text of ["3651d", "-1", "1y", ""]) assert.doesNotMatch(text, RegExp(schema.pattern));
});

Deno.test("openApiDocument() has only patterns that Python's re and RE2 read too", () => {
  using t = openApi();
  const text = JSON.stringify(openApiDocument(t.routes, "1"));
  const patterns = [...text.matchAll(/"pattern":("(?:[^"\\]|\\.)*")/g)].map(([, one]) =>
    String(JSON.parse(one ?? ""))
  );
  assert(patterns.length > 20);
  for (const pattern of patterns) {
    assert.doesNotMatch(pattern, /\(\?[=!<]|\\[pPu]/);
    new RegExp(pattern, "u");
  }
});
