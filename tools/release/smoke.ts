/**
 * Tries a release as a user would: serves its files on loopback, and runs its installer.
 *
 * @module
 */
import * as v from "valibot";
import { makeCertificate } from "../../tests/support/certificate.ts";
import { run } from "../build/run.ts";

/** A server of a release's files. */
export interface ReleaseServer extends AsyncDisposable {
  readonly url: string;
  /** Environment in which clients trust the server's certificate. */
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Serves the files of a directory on loopback, by HTTPS, as the installer accepts nothing else.
 *
 * @param scratch An empty directory for the certificate.
 */
export async function serveRelease(directory: string, scratch: string): Promise<ReleaseServer> {
  const { certificate, key } = await makeCertificate(scratch, "release");
  const server = Deno.serve({
    hostname: "127.0.0.1",
    port: 0,
    cert: certificate,
    key,
    onListen: () => {},
  }, async (request) => {
    const name = /^\/([A-Za-z0-9][A-Za-z0-9._~-]*)$/.exec(new URL(request.url).pathname)?.[1];
    const file = name === undefined ? undefined : await openFile(`${directory}/${name}`);
    return file === undefined
      ? new Response("Not found\n", { status: 404 })
      : new Response(file.readable);
  });
  return {
    url: `https://127.0.0.1:${server.addr.port}`,
    env: { CURL_CA_BUNDLE: `${scratch}/release.crt` },
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

async function openFile(path: string): Promise<Deno.FsFile | undefined> {
  try {
    return await Deno.open(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Options for {@linkcode installAndRun}. */
export interface SmokeOptions {
  /** The release's files. */
  readonly directory: string;
  /** An empty directory. */
  readonly scratch: string;
  readonly signal: AbortSignal;
}

const facts = v.object({ version: v.string(), layout: v.string(), target: v.string() });

/** The facts that an installed program states. */
export type InstalledFacts = v.InferOutput<typeof facts>;

/**
 * Installs the release from loopback into a home directory of its own, and runs what it installed.
 *
 * @returns What the installed `cicd-runner` says of itself.
 * @throws {Error} If the installer or the program fails.
 */
export async function installAndRun(options: SmokeOptions): Promise<InstalledFacts> {
  const { directory, scratch, signal } = options;
  const home = `${scratch}/home`;
  await Deno.mkdir(home);
  await using server = await serveRelease(directory, scratch);
  // Nothing of the caller's session: the installer must not touch its units.
  const path = Deno.env.get("PATH") ?? "/usr/bin:/bin";
  const pure = { PATH: path, HOME: home, TMPDIR: scratch, ...server.env };
  const env = ["env", "-i", ...Object.entries(pure).map(([name, value]) => `${name}=${value}`)];
  const installer = [`${directory}/install.sh`, "--base-url", server.url];
  await run([...env, "sh", ...installer, "--no-enable", "--no-linger"], { cwd: scratch, signal });
  const said = await run([...env, `${home}/.local/bin/cicd-runner`, "version", "--json"], {
    cwd: scratch,
    signal,
  });
  return v.parse(v.pipe(v.string(), v.parseJson(), facts), said);
}
