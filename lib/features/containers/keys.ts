/**
 * Configuration keys of containers.
 *
 * @module
 */
import { choice, choices, duration, integer, size, text, textList } from "@lib/core/value_types.ts";
import { section } from "@lib/foundations/config/config.ts";
import { key } from "@lib/foundations/config/key.ts";
import { age, diskSpace, tasks } from "@lib/foundations/config/ranges.ts";

/** Privileges that a project may allow its containers. */
const PRIVILEGES = [
  "privileged",
  "capabilities",
  "host_network",
  "mounts",
  "engine_socket",
  "user",
] as const;

const NETWORK = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/;

/** Rules for containers; they have no privileges unless the project allows them. */
export const CONTAINERS = section({
  keys: {
    pull: key(
      "containers.pull",
      choice(["always", "missing", "never"]),
      "When to pull the image of a job without a pull policy.",
      "missing",
    ),
    network: key(
      "containers.network",
      text("none, bridge or the name of a network", NETWORK),
      "Default network of containers.",
      "bridge",
      {
        project: {
          name: "containers.network",
          doc: "Default network of its containers.",
        },
      },
    ),
    images: key(
      "containers.images",
      textList("a list of image names, in which * matches any characters", /^[^\s]+$/),
      "Patterns of the images that jobs may use; a pattern without a tag or digest matches all of " +
        "them. Empty: every image. In the environment variable: separated by commas.",
      [],
      {
        project: {
          name: "containers.images",
          doc: "Patterns of the images that its jobs may use.",
        },
      },
    ),
    tasks: key(
      "containers.tasks",
      integer(tasks),
      "Default limit of processes and threads of a container.",
      4_096,
    ),
  },
  projectKeys: {
    allow: key(
      "containers.allow",
      choices(PRIVILEGES),
      `Privileges that its containers may request: ${PRIVILEGES.join(", ")}.`,
      [],
    ),
    mounts: key(
      "containers.mounts",
      textList("a list of absolute paths", /^\/[^\s]*$/),
      "Paths of this machine that its containers may mount, with everything below; needs " +
        "`mounts` in `containers.allow`.",
      [],
    ),
    networks: key(
      "containers.networks",
      textList("a list of networks", NETWORK),
      "The networks its containers may join, besides `none` and `bridge`.",
      [],
    ),
  },
});

/** Limits of the images that jobs pulled. */
export const IMAGES = section({
  keys: {
    maxAgeMs: key(
      "clean.images_unused_for",
      duration(age),
      "`cicd-runner clean` removes images that jobs pulled and no job used for this time.",
      "14d",
    ),
    maxBytes: key(
      "clean.images_max_size",
      size(diskSpace),
      "Disk space of the images that jobs pulled; the least recently used go first.",
      "20G",
    ),
  },
});
