/**
 * Bundles a program and everything it imports into one file.
 *
 * Minified, because each start reads all of it and keeps it in memory; functions and classes keep
 * their names, which stack traces show. A source map would be loaded at each start. Not split,
 * because a program that runs across an upgrade must never load a part of the next release.
 *
 * @module
 */
import * as v from "valibot";
import { loadPart } from "../../cmd/shared/kept_code.ts";
import type { LazyModule, Program } from "./layout.ts";
import { run } from "./run.ts";
import { toScriptForm } from "./script_form.ts";
import { protectUsing } from "./using_declarations.ts";

/** Options for {@linkcode bundle}. */
export interface BundleOptions {
  /** Root of the tree; paths in the bundle's comments are relative to it. */
  readonly root: string;
  readonly outDir: string;
  /** The files become part of an executable. */
  readonly isEmbedded?: boolean;
  /** Called with the path of each file of which something is in the bundle. */
  readonly onSource?: (path: string) => void;
  readonly signal: AbortSignal;
}

/**
 * Packages in a file of their own, which is loaded on first use: most runs never need it, and
 * everything in a program's own file costs memory in each run.
 *
 * The file's name contains a hash of its content, so a program never loads that of another release.
 */
export const LAZY_PACKAGES: readonly LazyModule[] = [
  { name: "@lib/foundations/config/yaml_source.ts", exports: "readYamlSource" },
  { name: "@lib/foundations/terminal/screen.ts", exports: "openScreen" },
  { name: "aws4fetch", exports: "AwsV4Signer" },
  { name: "dockerode", exports: "default" },
  { name: "ipaddr.js", exports: "default" },
  { name: "jsonc-parser", exports: "createScanner" },
  { name: "prom-client", exports: "Counter, Gauge, Histogram, Registry, openMetricsContentType" },
  { name: "string-width", exports: "default" },
  { name: "systeminformation", exports: "default" },
  { name: "ws", exports: "WebSocket, WebSocketServer" },
];

/**
 * Bundles a module in a file of its own; returns the name of the file.
 *
 * @param packages As for {@linkcode bundle}.
 */
export async function bundleLazily(
  { name, file: module, exports, keepsCode = false, without = [] }: LazyModule,
  packages: ReadonlyMap<string, string>,
  options: BundleOptions,
): Promise<string> {
  const stem = name.replace(/^.*\//, "").replace(/\.ts$/, "");
  const from = module === undefined ? name : `${options.root}/${module}`;
  const entry = `export { ${exports} } from "${from}";\n`;
  const path = await bundleText(entry, { stem, without }, packages, options);
  if (!keepsCode) return await renameByHash(path, `${stem}-`, ".js");
  const { script, modules } = toScriptForm(await Deno.readTextFile(path));
  await Deno.writeTextFile(path, script);
  const part = await renameByHash(path, `${stem}-`, ".part");
  const names = modules.map((_, index) => `m${index}`);
  const loader = [
    ...modules.map((module, index) => `import * as m${index} from "${module}";`),
    `import { ${loadPart.name} } from "${options.root}/cmd/shared/kept_code.ts";`,
    `const load = (name: string) => import(name);`,
    `const path = import.meta.dirname + "/${part}";`,
    `const given = [{ dirname: import.meta.dirname }, load, ${names.join(", ")}];`,
    `export const { ${exports} } = await ${loadPart.name}({ path, given }) as never;`,
  ].join("\n");
  const loaderPath = await bundleText(loader, { stem, without: [] }, new Map(), options);
  return await renameByHash(loaderPath, `${stem}-`, ".js");
}

/** Bundles a module that is given as text; returns the path of the bundle. */
async function bundleText(
  text: string,
  { stem, without }: { readonly stem: string; readonly without: readonly string[] },
  packages: ReadonlyMap<string, string>,
  options: BundleOptions,
): Promise<string> {
  const entry = `${options.outDir}/.${stem}.ts`;
  try {
    await Deno.writeTextFile(entry, text);
    return await bundle({ entry, bundle: `.${stem}.js`, without }, packages, options);
  } finally {
    await Deno.remove(entry);
  }
}

/** Gives a file a name with a hash of its content; returns the name. */
async function renameByHash(path: string, before: string, after: string): Promise<string> {
  const bytes = await Deno.readFile(path);
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex().slice(0, 12);
  const name = `${before}${hash}${after}`;
  await Deno.rename(path, `${path.slice(0, path.lastIndexOf("/"))}/${name}`);
  return name;
}

/**
 * Bundles `program`; returns the path of the bundle.
 *
 * @param packages Files of the packages, by the package's name.
 */
export async function bundle(
  program: Pick<Program, "entry" | "bundle" | "without">,
  packages: ReadonlyMap<string, string>,
  options: BundleOptions,
): Promise<string> {
  const output = `${options.outDir}/${program.bundle}`;
  const bundled = async (entry: string, flags: readonly string[]) => {
    const externals = [
      "*.node",
      ...packages.keys(),
      ...(program.without ?? []).map((file) => `@lib/features/*/${file}`),
    ];
    const fixed = ["--quiet", "--no-check", "--platform=deno", `--output=${output}`];
    const argv = [...fixed, ...externals.map((name) => `--external=${name}`), ...flags, entry];
    await run([Deno.execPath(), "bundle", ...argv], { cwd: options.root, signal: options.signal });
  };
  const whole = options.onSource === undefined ? [] : ["--sourcemap=external"];
  await bundled(program.entry, ["--keep-names", ...whole]);
  if (options.onSource !== undefined) await readSourceMap(`${output}.map`, options.onSource);
  await minify(program.entry, await Deno.readTextFile(output), bundled);
  const own = withRequire(withoutHttp2(await Deno.readTextFile(output)));
  const source = linkPackages(own, packages, options.isEmbedded === true);
  await Deno.writeTextFile(output, toAscii(source));
  return output;
}

/**
 * Minifies a bundle. What has no `using` is bundled again, so that packages in the older form keep the
 * way to the runtime's modules that they have where names are kept.
 *
 * @param plain The bundle of `entry`, not minified; its names are kept by calls.
 */
async function minify(
  entry: string,
  plain: string,
  bundled: (entry: string, flags: readonly string[]) => Promise<void>,
): Promise<void> {
  const safe = protectUsing(plain);
  if (safe === plain) return await bundled(entry, ["--minify", "--keep-names"]);
  const path = await Deno.makeTempFile({ suffix: ".js" });
  try {
    await Deno.writeTextFile(path, safe);
    await bundled(path, ["--minify"]);
  } finally {
    await Deno.remove(path);
  }
}

const sourceMap = v.object({ sources: v.array(v.string()) });

/** Reads the sources of a bundle from its source map, which no build keeps. */
async function readSourceMap(path: string, onSource: (path: string) => void): Promise<void> {
  const text = await Deno.readTextFile(path);
  v.parse(v.pipe(v.string(), v.parseJson(), sourceMap), text).sources.forEach(onSource);
  await Deno.remove(path);
}

/**
 * Replaces what the server's adapter imports of `node:http2`, which each start would load: no server
 * of ours speaks it.
 */
function withoutHttp2(source: string): string {
  return source.replace(
    /import\{Http2ServerRequest as ([\w$]+),constants as ([\w$]+)\}from"node:http2";/,
    (_, request, constants) => `const ${request}=class{},${constants}={};`,
  );
}

/**
 * Gives packages in the older form the runtime's own modules; the bundler does so only where names
 * are not kept. Others are native add-ons, without which they work too.
 */
function withRequire(source: string): string {
  if (!source.includes("Dynamic require of")) return source;
  return `const require=(name)=>{const found=process.getBuiltinModule(name);` +
    `if(found)return found;throw new Error("There is no module "+name)};${source}`;
}

/** Name of the URL of the release's directory, in a bundle. */
const HOME = "releaseUrl";
/** Not the path by which the bundle was found: that may lead to the next release before long. */
const HOME_URL = `const ${HOME}="file://"+Deno.realPathSync(import.meta.dirname).split("/")` +
  `.map(encodeURIComponent).join("/")+"/";`;

/**
 * Redirects imports of packages to their files. What they import is an expression, because the
 * runtime reads and parses the files of other dynamic imports at each start. An executable finds only
 * the others.
 */
function linkPackages(
  source: string,
  packages: ReadonlyMap<string, string>,
  isEmbedded: boolean,
): string {
  let linked = source;
  for (const [name, file] of packages) {
    const place = isEmbedded ? `"./${file}"` : `${HOME}+"${file}"`;
    linked = linked.replaceAll(`import("${name}")`, `import(${place})`);
    // A static import would load at each start, and any other form would not be redirected.
    if (linked.includes(`"${name}"`)) {
      throw new Error(
        `Cannot bundle: "${name}" is imported in a form other than import("${name}")`,
      );
    }
  }
  return isEmbedded || linked === source ? linked : `${HOME_URL}${linked}`;
}

/**
 * Escapes non-ASCII characters. A single one would make V8 store the whole source with two bytes
 * per character. They occur only in comments, which the bundle drops, and in literals, where an
 * escape means the same.
 */
function toAscii(source: string): string {
  const escape = (unit: number) => `\\u${unit.toString(16).padStart(4, "0")}`;
  return source.replaceAll(
    /\P{ASCII}/gu,
    (char) => Array.from(char.split(""), (unit) => escape(unit.charCodeAt(0))).join(""),
  );
}
