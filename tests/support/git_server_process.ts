/**
 * A git server with one repository, for where the test itself cannot listen: in a test machine.
 *
 * Prints one line of JSON, `{"url": …, "sha": …}`, and serves until it is killed.
 *
 * @module
 */
import { startGitServer } from "./git_server.ts";

if (import.meta.main) {
  const server = await startGitServer();
  const repository = await server.repository("web");
  const sha = await repository.commit({
    files: {
      "build.sh": { kind: "executable", text: "#!/bin/sh\nmkdir out\ncat in >out/a.txt\n" },
      in: "from git\n",
    },
  });
  console.log(JSON.stringify({ url: repository.url, sha }));
}
