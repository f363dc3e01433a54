/**
 * The licence texts of everything that is in the programs and not ours.
 *
 * @module
 */
import * as v from "valibot";

/** A package of which a bundle has something. */
export interface BundledPackage {
  readonly name: string;
  readonly version: string;
}

const SEPARATOR = "=".repeat(100);

/** The runtime of both layouts. */
const RUNTIME_NOTE =
  `Deno is compiled with further libraries, V8 among them. Their texts are no part of
what Deno publishes; its source, https://github.com/denoland/deno, names them in Cargo.lock.`;

/** Returns the packages that files of `node_modules` belong to, sorted. */
export function packagesOf(sources: Iterable<string>): readonly BundledPackage[] {
  const found = new Map<string, BundledPackage>();
  for (const path of sources) {
    // The rest of the path may be one of the package's own sources, by its own source map.
    const [, id, version] = /\/node_modules\/\.deno\/((?:@[^/@]+)?[^/@]+)@([^/_]+)/.exec(path) ??
      [];
    if (id === undefined || version === undefined) continue;
    const name = id.replace("+", "/");
    found.set(`${name}@${version}`, { name, version });
  }
  return [...found].sort(([a], [b]) => a < b ? -1 : 1).map(([, each]) => each);
}

/**
 * Returns the text of the file: the runtime, then each package.
 *
 * @param root The source tree, whose packages are installed.
 * @param sources Paths of the files in the bundles.
 */
export async function thirdPartyLicenses(
  root: string,
  sources: Iterable<string>,
): Promise<string> {
  const deno = await Deno.readTextFile(`${root}/tools/build/licenses/deno.txt`);
  const parts = [
    "The programs of cicd-toolkit contain the following, each under its own licence.\n",
    section("deno", "MIT", `${deno.trim()}\n\n${RUNTIME_NOTE}`),
  ];
  for (const { name, version } of packagesOf(sources)) {
    const place = `${name.replace("/", "+")}@${version}`;
    const directory = `${root}/node_modules/.deno/${place}/node_modules/${name}`;
    const license = licenseOf(await Deno.readTextFile(`${directory}/package.json`)) ??
      "none stated";
    const texts = await readTexts(directory);
    const text = texts.length > 0 ? texts.join("\n\n") : missingText(license);
    parts.push(section(`${name} ${version}`, license, text));
  }
  return parts.join("\n");
}

/** Returns the packages that {@linkcode thirdPartyLicenses} has in its text. */
export function packagesIn(text: string): readonly BundledPackage[] {
  const titles = text.matchAll(/^={100}\n(\S+) (\S+)\nLicence: /gm);
  return [...titles].map(([, name = "", version = ""]) => ({ name, version }));
}

function section(title: string, license: string, text: string): string {
  return `${SEPARATOR}\n${title}\nLicence: ${license}\n\n${text}\n`;
}

function missingText(license: string): string {
  return `The package has no file with the text of its licence; its package.json states: ${license}.`;
}

/** Returns the texts of a package's licence and of its notices, which go with every copy. */
async function readTexts(directory: string): Promise<readonly string[]> {
  const names: string[] = [];
  for await (const { name, isFile } of Deno.readDir(directory)) {
    if (isFile && /^(?:licen[cs]e|copying|notice|unlicense)/i.test(name)) names.push(name);
  }
  const texts = names.sort().map((name) => Deno.readTextFile(`${directory}/${name}`));
  return (await Promise.all(texts)).map((text) =>
    text.replaceAll("\r\n", "\n").replaceAll(/[ \t]+$/gm, "").trim()
  );
}

/** Returns the SPDX expression that a `package.json` states; `undefined` if it states none. */
export function licenseOf(packageJson: string): string | undefined {
  const named = v.object({ type: v.string() });
  const manifest = v.object({
    license: v.optional(v.union([v.string(), named])),
    licenses: v.optional(v.array(named), []),
  });
  const { license, licenses } = v.parse(v.pipe(v.string(), v.parseJson(), manifest), packageJson);
  if (license !== undefined) return typeof license === "string" ? license : license.type;
  return licenses.length === 0 ? undefined : licenses.map(({ type }) => type).join(" OR ");
}
