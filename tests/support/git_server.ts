/**
 * Real git repositories, served by `git http-backend` on loopback.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createRepository, type GitRepository, plainGitEnv } from "./git_repository.ts";

/** The behavior of a {@linkcode GitServer}. */
export type GitServerBehaviour =
  | { readonly kind: "serve" }
  /** Takes requests and never answers. */
  | { readonly kind: "hang" }
  /** Answers the first request of a fetch, and never the one for the objects. */
  | { readonly kind: "hang_at_objects" }
  | { readonly kind: "fail"; readonly status: number }
  /** Fails as often as `times` says, or breaks the connection (status 0), and then serves. */
  | { readonly kind: "fail_first"; readonly status: number; times: number; readonly at?: RegExp }
  /** Sends to the same path of another server. */
  | { readonly kind: "redirect"; readonly to: string };

/** A request as it arrived. */
export interface GitRequest {
  readonly method: string;
  /** With the query. */
  readonly target: string;
  /** As sent, credentials and all. */
  readonly authorization: string | undefined;
}

/** Options for {@linkcode startGitServer}. */
export interface GitServerOptions {
  /** The password of basic authentication; absent: everybody may read. */
  readonly token?: string;
}

/** Starts a server on a free port of loopback. */
export async function startGitServer(options: GitServerOptions = {}): Promise<GitServer> {
  const root = await Deno.makeTempDir({ prefix: "git-server-" });
  const server = createServer();
  const port = await new Promise<number>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      if (address === null || typeof address === "string") reject(new Error("No port"));
      else resolve(address.port);
    });
  });
  return new GitServer(server, { root, port, token: options.token });
}

interface Place {
  readonly root: string;
  readonly port: number;
  readonly token: string | undefined;
}

/** A running server with its repositories; disposing ends it and removes them. */
export class GitServer implements AsyncDisposable {
  /** Such as `http://127.0.0.1:34567`. */
  readonly url: string;
  /** Every request since the start, or since it was emptied. */
  readonly requests: GitRequest[] = [];
  /** May be changed at any time. */
  behaviour: GitServerBehaviour = { kind: "serve" };
  /** May be changed at any time. */
  token: string | undefined;
  /** Files kept in LFS for all repositories, by their SHA-256. */
  readonly lfs = new Map<string, string>();
  readonly #root: string;
  readonly #server: Server;
  #arrived = Promise.withResolvers<void>();

  /** @see {@linkcode startGitServer} */
  constructor(server: Server, { root, port, token }: Place) {
    this.url = `http://127.0.0.1:${port}`;
    this.token = token;
    this.#root = root;
    this.#server = server;
    server.on("request", (request, response) => this.#serve(request, response));
  }

  /** Makes an empty repository; it is served at `<url>/<name>.git`. */
  async repository(
    name: string,
    options: { readonly sha256?: boolean } = {},
  ): Promise<GitRepository> {
    return await createRepository(`${this.#root}/${name}.git`, {
      url: `${this.url}/${name}.git`,
      sha256: options.sha256 ?? false,
    });
  }

  /** Resolves with the next request that arrives. */
  async nextRequest(): Promise<void> {
    await this.#arrived.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#server.listening) return;
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
    await Deno.remove(this.#root, { recursive: true });
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const { method = "", url: target = "/", headers } = request;
    this.requests.push({ method, target, authorization: headers.authorization });
    const arrived = this.#arrived;
    this.#arrived = Promise.withResolvers();
    arrived.resolve();
    const behaviour = this.behaviour;
    if (behaviour.kind === "hang") return;
    if (behaviour.kind === "fail") return end(response, behaviour.status);
    if (
      behaviour.kind === "fail_first" && behaviour.times > 0 &&
      (behaviour.at?.test(target) ?? true)
    ) {
      behaviour.times--;
      return behaviour.status === 0
        ? void request.socket.destroy()
        : end(response, behaviour.status);
    }
    if (behaviour.kind === "redirect") {
      response.setHeader("location", `${behaviour.to}${target}`);
      return end(response, 302);
    }
    // Such an address opens itself, as those of object storage do.
    const [, oid] = /\/info\/lfs\/objects\/([0-9a-f]{64})$/.exec(target) ?? [];
    if (oid !== undefined) return void response.end(this.lfs.get(oid));
    if (this.token !== undefined && !carries(headers.authorization, this.token)) {
      response.setHeader("www-authenticate", 'Basic realm="git"');
      return end(response, 401);
    }
    if (target.includes("/info/lfs/")) return this.#serveLfs(response);
    if (behaviour.kind === "hang_at_objects" && method === "POST") {
      void collect(request).then((body) => {
        const text = new TextDecoder("latin1").decode(body);
        if (!text.includes("command=fetch")) this.#backend(request, response, body);
      });
      return;
    }
    this.#backend(request, response, undefined);
  }

  /** Answers a batch with every file there is; without any, this server has no LFS. */
  #serveLfs(response: ServerResponse): void {
    if (this.lfs.size === 0) return end(response, 404);
    const objects = [...this.lfs].map(([oid, text]) => ({
      oid,
      size: text.length,
      authenticated: true,
      actions: { download: { href: `${this.url}/info/lfs/objects/${oid}`, header: {} } },
    }));
    response.setHeader("content-type", "application/vnd.git-lfs+json");
    response.end(JSON.stringify({ transfer: "basic", objects }));
  }

  /** Speaks CGI (RFC 3875) with git's own program. */
  #backend(request: IncomingMessage, response: ServerResponse, body: Uint8Array | undefined): void {
    const { method = "", headers } = request;
    const { pathname, searchParams } = new URL(request.url ?? "/", this.url);
    const child = spawn("git", ["http-backend"], {
      env: {
        ...plainGitEnv(),
        GIT_PROJECT_ROOT: this.#root,
        GIT_HTTP_EXPORT_ALL: "1",
        GIT_PROTOCOL: String(headers["git-protocol"] ?? ""),
        HTTP_CONTENT_ENCODING: headers["content-encoding"] ?? "",
        PATH_INFO: decodeURIComponent(pathname),
        QUERY_STRING: searchParams.toString(),
        REQUEST_METHOD: method,
        CONTENT_TYPE: headers["content-type"] ?? "",
        REMOTE_ADDR: "127.0.0.1",
      },
      stdio: ["pipe", "pipe", "ignore"],
    });
    const { stdin, stdout } = child;
    response.on("close", () => child.kill("SIGKILL"));
    // Whoever goes away first breaks the other's pipe, which is no failure of a test.
    stdin.on("error", () => stdin.destroy());
    if (body === undefined) request.pipe(stdin);
    else stdin.end(body);
    let head = new Uint8Array();
    let started = false;
    stdout.on("data", (chunk: Uint8Array) => {
      if (started) {
        if (!response.write(chunk)) {
          stdout.pause();
          response.once("drain", () => stdout.resume());
        }
        return;
      }
      head = joined(head, chunk);
      const text = new TextDecoder("latin1").decode(head);
      const blank = text.indexOf("\r\n\r\n");
      if (blank < 0) return;
      started = true;
      for (const line of text.slice(0, blank).split("\r\n")) {
        const colon = line.indexOf(":");
        const name = line.slice(0, colon);
        const value = line.slice(colon + 1).trim();
        if (name.toLowerCase() === "status") response.statusCode = Number.parseInt(value);
        else response.setHeader(name, value);
      }
      response.write(head.subarray(blank + 4));
    });
    stdout.on("end", () => response.end());
  }
}

function carries(authorization: string | undefined, token: string): boolean {
  const encoded = authorization?.startsWith("Basic ") ? authorization.slice("Basic ".length) : "";
  return atob(encoded).endsWith(`:${token}`);
}

function end(response: ServerResponse, status: number): void {
  response.statusCode = status;
  response.end();
}

async function collect(request: IncomingMessage): Promise<Uint8Array<ArrayBuffer>> {
  let body = new Uint8Array();
  for await (const chunk of request) body = joined(body, chunk);
  return body;
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(first.byteLength + second.byteLength);
  both.set(first);
  both.set(second, first.byteLength);
  return both;
}
