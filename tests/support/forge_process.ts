/**
 * A stand-in for github.com in a test machine that has no other network: `https://github.com/acme/web`.
 *
 * Takes the files of a certificate and its key, prints `ready`, and serves until it is killed.
 *
 * @module
 */
import { request } from "node:http";
import { createServer } from "node:https";
import { startGitServer } from "./git_server.ts";

/** A small project whose tests pass and whose lint does not. */
const FILES = {
  Makefile: [
    "test:",
    "\t@for name in cart checkout login; do sleep 0.3; echo ok $$name; done",
    "\t@echo 3 passed",
    "",
    "lint:",
    "\t@echo 'src/cart.js:12: total is never used' && exit 1",
    "",
  ].join("\n"),
};

if (import.meta.main) {
  const [cert = "", key = ""] = Deno.args.map((path) => Deno.readTextFileSync(path));
  const git = await startGitServer();
  await (await git.repository("web")).commit({ files: FILES, message: "Test the cart" });
  const server = createServer({ cert, key }, (asked, answer) => {
    const { method = "GET", headers, url = "/" } = asked;
    const passed = request(`${git.url}${url.replace(/^\/acme\/web(\.git)?/, "/web.git")}`, {
      method,
      headers,
    }, (response) => {
      answer.writeHead(response.statusCode ?? 502, response.headers);
      response.pipe(answer);
    });
    passed.on("error", () => answer.destroy());
    asked.pipe(passed);
  });
  server.listen(443, "127.0.0.1", () => console.log("ready"));
}
