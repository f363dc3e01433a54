/**
 * The flags that describe what is around a job, the same for `run` and
 * `submit`: its container, its checkout, what is kept of its workspace.
 *
 * @module
 */
import { merge, object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { multiple, optional } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import type { InferValue } from "@optique/core/parser";
import { choice, integer, string } from "@optique/core/valueparser";
import { PULL_POLICIES } from "@lib/spine/spec/setup_fields.ts";
import { filePath, size, toggle } from "@lib/foundations/cli/grammar_values.ts";

/** Makes the flags. */
export function setupFlags() {
  return merge(workspaceFlags(), containerFlags());
}

/** The flags as given. */
export type SetupFlags = InferValue<ReturnType<typeof setupFlags>>;

function workspaceFlags() {
  return object("Workspace", {
    gitUrl: optional(option("--git", string({ metavar: "URL" }), {
      description: message`Check this repository out first; the URL holds no credentials`,
    })),
    gitRef: optional(option("--ref", string({ metavar: "NAME" }), {
      description: message`Branch or tag; else what the remote's HEAD names`,
    })),
    gitSha: optional(option("--sha", string({ metavar: "COMMIT" }), {
      description: message`The full id of the commit that must be checked out`,
    })),
    gitDepth: optional(option("--depth", integer({ metavar: "COUNT", min: 0 }), {
      description: message`Commits of history, 1 unless given; 0 is all of it`,
    })),
    gitSubmodules: toggle(["--submodules"], message`Check submodules out too`),
    gitLfs: toggle(["--lfs"], message`Fetch the files kept in Git LFS`),
    gitPath: optional(option("--git-path", filePath("PATH"), {
      description: message`Folder below the workspace that the repository goes to`,
    })),
    gitToken: optional(option("--git-token", string({ metavar: "SOURCE" }), {
      description: message`Opens the remote, is kept from the job; SOURCE as for ${"--secret"}`,
    })),
    artifacts: multiple(option("--artifact", string({ metavar: "GLOB" }), {
      description: message`Keep these files of the workspace; may be repeated, !GLOB takes away`,
    })),
    artifactWhen: optional(option("--artifact-when", choice(["success", "failure", "always"]), {
      description: message`After which endings; success unless given`,
    })),
    caches: multiple(option("--cache", string({ metavar: "NAME=PATHS[:FILES]" }), {
      description:
        message`Carry folders from job to job; the content of FILES, such as package-lock.json,
makes the key; lists have commas`,
    })),
  });
}

function containerFlags() {
  return object("Container", {
    image: optional(option("--image", string({ metavar: "IMAGE" }), {
      description: message`Run the job in a container of this image`,
    })),
    pull: optional(option("--pull", choice(PULL_POLICIES), {
      description: message`When the image is fetched`,
    })),
    network: optional(option("--network", string({ metavar: "NAME" }), {
      description: message`none, bridge, or a network that is allowed for the project`,
    })),
    entrypoint: optional(option("--entrypoint", choice(["job", "image"]), {
      description: message`image passes the command to the image's own entrypoint`,
    })),
    user: optional(option("--user", string({ metavar: "USER" }), {
      description: message`Whom the container runs as; must be allowed for the project`,
    })),
    mounts: multiple(option("--mount", string({ metavar: "SOURCE:TARGET[:rw]" }), {
      description: message`A path of the machine, read-only unless it ends in :rw; must be allowed`,
    })),
    capabilities: multiple(option("--cap-add", string({ metavar: "NAME" }), {
      description: message`A capability, such as NET_RAW; all others are dropped; must be allowed`,
    })),
    privileged: toggle(["--privileged"], message`Confine nothing; must be allowed`),
    ulimits: multiple(option("--ulimit", string({ metavar: "NAME=COUNT" }), {
      description: message`Such as nofile=1024; may be repeated`,
    })),
    shmSize: optional(option("--shm-size", size(), { description: message`Size of /dev/shm` })),
    limitDisk: optional(option("--limit-disk", "--disk", size(), {
      description: message`What the container may write outside its workspace`,
    })),
    registryUser: optional(option("--registry-user", string({ metavar: "NAME" }), {
      description: message`Who fetches the image`,
    })),
    registryPassword: optional(option("--registry-password", string({ metavar: "SOURCE" }), {
      description: message`Is kept from the job; SOURCE as for ${"--secret"}`,
    })),
  });
}
