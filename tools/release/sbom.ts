/**
 * The bill of materials of a release, in CycloneDX 1.6: every package of `deno.lock`, and the runtime.
 *
 * @module
 */
import * as v from "valibot";
import type { BundledPackage } from "../build/licenses.ts";

const lock = v.object({
  /** Resolved versions, by what is imported: `npm:yaml@2.9.1`. */
  specifiers: v.record(v.string(), v.string()),
  npm: v.record(
    v.string(),
    v.object({
      integrity: v.string(),
      dependencies: v.optional(v.array(v.string()), []),
      optionalDependencies: v.optional(v.array(v.string()), []),
      /** Those of the dependencies that are used if another package brings them. */
      optionalPeers: v.optional(v.array(v.string()), []),
    }),
  ),
});

/** A package of the lock. */
export interface LockedPackage {
  /** As the lock names it, with the versions of its peers. */
  readonly id: string;
  readonly name: string;
  readonly version: string;
  /** SHA-512 of its archive in hex. */
  readonly sha512: string;
  /** Ids of the packages that it needs. */
  readonly needs: readonly string[];
}

/** The packages of a lock. */
export interface LockedPackages {
  readonly packages: readonly LockedPackage[];
  /** Id of the package that a specifier, such as `npm:yaml@2.9.1`, stands for. */
  readonly imported: ReadonlyMap<string, string>;
}

/**
 * Parses a `deno.lock`.
 *
 * @throws {Error} If it has another format.
 */
export function parseLock(text: string): LockedPackages {
  const { specifiers, npm } = v.parse(v.pipe(v.string(), v.parseJson(), lock), text);
  const ids = Object.keys(npm);
  const packages = Object.entries(npm).map(([id, { integrity, ...all }]) => ({
    id,
    ...split(id),
    sha512: sha512Of(id, integrity),
    needs: [...all.dependencies, ...all.optionalDependencies]
      .filter((need) => !all.optionalPeers.includes(need))
      .map((need) => resolve(need, ids)),
  }));
  const imported = Object.entries(specifiers).map(([specifier, version]): [string, string] => {
    const name = /^npm:(@?[^@]+)@/.exec(specifier)?.[1];
    return [specifier, resolve(`${name}@${version}`, ids)];
  });
  return { packages, imported: new Map(imported) };
}

/** The parts of {@linkcode formatSbom}. */
export interface SbomOptions {
  readonly version: string;
  /** RFC 3339. */
  readonly date: string;
  /** SPDX expression of the product's own licence. */
  readonly license: string;
  readonly runtimeVersion: string;
  readonly locked: LockedPackages;
  /** SPDX expressions, by the id of the package. */
  readonly licenses: ReadonlyMap<string, string>;
  /** The packages in the programs; those that only tests and tools need are marked as excluded. */
  readonly bundled: readonly BundledPackage[];
}

/** Formats the bill of materials; the same facts give the same bytes. */
export function formatSbom(options: SbomOptions): string {
  const { version, date, license, runtimeVersion, locked, licenses, bundled } = options;
  const byId = new Map(locked.packages.map((each) => [each.id, each]));
  const inPrograms = new Set(bundled.map(({ name, version }) => `${name}@${version}`));
  const isBundled = ({ name, version }: BundledPackage) => inPrograms.has(`${name}@${version}`);
  const ref = (id: string) => purlOf(byId.get(id) ?? { ...split(id) });
  const roots = [...locked.imported.values()].filter((id) => isBundled(byId.get(id) ?? split(id)));
  const product = `pkg:generic/cicd-toolkit@${version}`;
  const runtime = `pkg:github/denoland/deno@v${runtimeVersion}`;
  // Two entries that differ in the versions of peers are one package.
  const components = new Map(locked.packages.map((each) => [ref(each.id), {
    type: "library",
    "bom-ref": ref(each.id),
    name: each.name,
    version: each.version,
    scope: isBundled(each) ? "required" : "excluded",
    hashes: [{ alg: "SHA-512", content: each.sha512 }],
    ...licensed(licenses.get(each.id)),
    purl: ref(each.id),
  }]));
  const needs = new Map(
    locked.packages.map((each) => [ref(each.id), each.needs.map(ref).sort()]),
  );
  const bom = {
    $schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: {
      timestamp: date,
      component: {
        type: "application",
        "bom-ref": product,
        name: "cicd-toolkit",
        version,
        ...licensed(license),
        purl: product,
      },
    },
    components: [
      {
        type: "platform",
        "bom-ref": runtime,
        name: "deno",
        version: runtimeVersion,
        scope: "required",
        ...licensed("MIT"),
        purl: runtime,
      },
      ...sorted(components).map(([, component]) => component),
    ],
    dependencies: [
      { ref: product, dependsOn: [runtime, ...new Set(roots.map(ref))].sort() },
      { ref: runtime, dependsOn: [] },
      ...sorted(needs).map(([of, dependsOn]) => ({ ref: of, dependsOn: [...new Set(dependsOn)] })),
    ],
  };
  return JSON.stringify(bom, null, 2) + "\n";
}

function licensed(expression: string | undefined): { readonly licenses?: readonly unknown[] } {
  if (expression === undefined) return {};
  // What is no expression, such as "SEE LICENSE IN file", can still be named.
  const isSpdx = /^[A-Za-z0-9.+() -]+$/.test(expression) && !/^SEE |^UNLICENSED$/.test(expression);
  return { licenses: [isSpdx ? { expression } : { license: { name: expression } }] };
}

function split(id: string): { readonly name: string; readonly version: string } {
  const [, name, version] = /^(@?[^@]+)@([^_]+)/.exec(id) ?? [];
  if (name === undefined || version === undefined) {
    throw new Error(`Cannot read the lock: "${id}" is not a name and a version`);
  }
  return { name, version };
}

/** The lock leaves out the version of a dependency where there is only one. */
function resolve(need: string, ids: readonly string[]): string {
  const found = ids.find((id) => id === need) ?? ids.find((id) => id.startsWith(`${need}@`));
  if (found === undefined) throw new Error(`Cannot read the lock: it has no "${need}"`);
  return found;
}

function sha512Of(id: string, integrity: string): string {
  const base64 = /^sha512-(.+)$/.exec(integrity)?.[1];
  if (base64 === undefined) {
    throw new Error(`Cannot read the lock: the integrity of "${id}" is not a SHA-512`);
  }
  return Uint8Array.fromBase64(base64).toHex();
}

function purlOf({ name, version }: { readonly name: string; readonly version: string }): string {
  return `pkg:npm/${name.replace("@", "%40")}@${version.replaceAll("+", "%2B")}`;
}

function sorted<T>(map: ReadonlyMap<string, T>): readonly (readonly [string, T])[] {
  return [...map].sort(([a], [b]) => a < b ? -1 : 1);
}
