import assert from "node:assert/strict";
import {
  matchesImage,
  parseImageReference,
  registryOf,
} from "@lib/foundations/docker/image_reference.ts";

const DIGEST = `sha256:${"ab".repeat(32)}`;

Deno.test("parseImageReference() fills in what a name leaves out", () => {
  const names = {
    "alpine": { repository: "docker.io/library/alpine", tag: "latest" },
    "team/app:1.2": { repository: "docker.io/team/app", tag: "1.2" },
    "docker.io/alpine:3": { repository: "docker.io/library/alpine", tag: "3" },
    "index.docker.io/library/alpine": { repository: "docker.io/library/alpine", tag: "latest" },
    "localhost/app": { repository: "localhost/app", tag: "latest" },
    "r.example.org:5000/a/b/c:x": { repository: "r.example.org:5000/a/b/c", tag: "x" },
    [`alpine@${DIGEST}`]: { repository: "docker.io/library/alpine", digest: DIGEST },
    [`alpine:3@${DIGEST}`]: { repository: "docker.io/library/alpine", tag: "3", digest: DIGEST },
  };
  for (const [name, expected] of Object.entries(names)) {
    assert.deepEqual(parseImageReference(name), expected, name);
  }
  assert.equal(registryOf({ repository: "r.example.org:5000/a" }), "r.example.org:5000");
});

Deno.test("parseImageReference() rejects an invalid name", () => {
  const names = [
    "",
    "-alpine",
    "Alpine",
    "alpine:",
    "alpine:a b",
    "alpine@sha256:short",
    "a//b",
    "../etc",
    "alpine?x=1",
    "alpine#x",
    "https://r.example.org/a",
    "a/".repeat(200) + "b",
    "alpine\n",
  ];
  for (const name of names) assert.equal(parseImageReference(name), undefined, name);
});

Deno.test("matchesImage() matches all tags with a pattern without a tag, and no other repository", () => {
  const matches = (pattern: string, name: string) => {
    const image = parseImageReference(name);
    assert(image !== undefined, name);
    return matchesImage(pattern, image);
  };
  assert(matches("alpine", "docker.io/library/alpine:3"));
  assert(matches("alpine:3*", "alpine:3.20"));
  assert(matches("r.example.org/team/*", "r.example.org/team/app:1"));
  assert(matches("r.example.org:5000/*", "r.example.org:5000/team/app"));
  assert(matches("team/*", "docker.io/team/app"));
  assert(matches("*", "anything/at-all:1"));
  assert(matches(`alpine@${DIGEST}`, `alpine@${DIGEST}`));
  assert(!matches("alpine:3*", "alpine:4"));
  assert(!matches("alpine:3", `alpine@${DIGEST}`));
  assert(!matches("alpine", "evil.example.org/library/alpine"));
  assert(!matches("alpine", "alpine2"));
  assert(!matches("r.example.org/team/*", "r-example.org/team/app"));
  assert(!matches("team/*", "evil.example.org/team/app"));
});
