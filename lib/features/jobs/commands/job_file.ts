/**
 * A job in a file: YAML or JSON, the same schema as over HTTP.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import type { SourceNode } from "@lib/foundations/config/yaml_source.ts";
import { isMap, requestJson } from "@lib/spine/spec/field.ts";
import { JOB } from "@lib/spine/spec/job_fields.ts";

/** A job as written, with the position of each part. */
export interface JobFile {
  readonly value: Readonly<Record<string, unknown>>;
  /** Returns the position of a field, such as `limits.memory`, as `file:line:column`. */
  readonly placeOf: (path: string) => string | undefined;
}

/**
 * Parses a job; the runner validates it.
 *
 * @param name Names the file in messages.
 * @throws {CicdError} `invalid_request`, each issue with its position in the file.
 */
export async function parseJobFile(text: string, name: string): Promise<JobFile> {
  const { readYamlSource } = await import("@lib/foundations/config/yaml_source.ts");
  // JSON is YAML, but may be indented with tabs.
  const source = readYamlSource(/^\s*\{/.test(text) ? text.replaceAll("\t", " ") : text, name);
  if (source.issues.length > 0) throw invalid(source.issues);
  const { root } = source;
  if (root?.kind !== "map") {
    throw invalid([{ path: `${name}:1:1`, message: "must be a map such as `project: web`" }]);
  }
  const issues = referenceIssues(root, name);
  if (issues.length > 0) throw invalid(issues);
  return {
    value: Object.fromEntries(
      root.entries.map(({ name: field, node }) => [field, valueOf(node, [field])]),
    ),
    placeOf: (path) => {
      const at = find(root, path);
      return at === undefined ? undefined : `${name}:${at.line}:${at.column}`;
    },
  };
}

/** Refuses references: a file from a repository must not read other files of the account. */
function referenceIssues(root: SourceNode & { readonly kind: "map" }, name: string) {
  const secrets = root.entries.find((entry) => entry.name === "secrets")?.node;
  if (secrets?.kind !== "map") return [];
  return secrets.entries.flatMap(({ name: secret, node }) => {
    if (node.kind !== "scalar" || !/^(file|env|credential):/.test(node.text)) return [];
    return [{
      path: `${name}:${node.at.line}:${node.at.column}`,
      message: `secrets.${secret} looks like a reference, which a job file must not contain; ` +
        `pass it as --secret ${secret}=SOURCE`,
    }];
  });
}

/** Returns the value at a path of the file. `__proto__` is a name like others. */
function valueOf(node: SourceNode, path: readonly string[]): unknown {
  switch (node.kind) {
    case "scalar":
      return node.value !== null && isText(path, requestJson(JOB)) ? node.text : node.value;
    case "map":
      return Object.fromEntries(
        node.entries.map(({ name, node: below }) => [name, valueOf(below, [...path, name])]),
      );
    case "list":
      return node.items.map((item, index) => valueOf(item, [...path, String(index)]));
  }
}

/** Tells if a field is a text, which is kept as written: the tag `1.10` is not 1.1. */
function isText([name, ...rest]: readonly string[], schema: unknown): boolean {
  if (!isMap(schema)) return false;
  const { type, anyOf, properties, items, additionalProperties } = schema;
  if (Array.isArray(anyOf)) {
    return anyOf.some((one) => isText(name === undefined ? rest : [name, ...rest], one));
  }
  if (name !== undefined) {
    const field = isMap(properties) ? properties[name] : undefined;
    return isText(rest, field ?? items ?? additionalProperties);
  }
  return type === "string" || (Array.isArray(type) && type.includes("boolean"));
}

function find(node: SourceNode, path: string): SourceNode["at"] | undefined {
  if (path === "") return node.at;
  switch (node.kind) {
    case "scalar":
      return undefined;
    case "list": {
      const [, index = "", rest = ""] = /^(\d+)(?:\.(.*))?$/s.exec(path) ?? [];
      const item = node.items[Number(index)];
      return index === "" || item === undefined ? undefined : find(item, rest) ?? item.at;
    }
    case "map": {
      for (const entry of node.entries) {
        if (path === entry.name) return entry.at;
        if (!path.startsWith(`${entry.name}.`)) continue;
        return find(entry.node, path.slice(entry.name.length + 1)) ?? entry.at;
      }
      return undefined;
    }
  }
}

function invalid(issues: CicdError["issues"]): CicdError {
  return new CicdError("invalid_request", "Cannot read the job file", { issues });
}
