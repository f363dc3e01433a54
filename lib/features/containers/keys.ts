/**
 * Configuration keys of containers.
 *
 * @module
 */
import { choice, choices, duration, integer, size, text, textList } from "@lib/core/value_types.ts";
import { section } from "@lib/foundations/config/config.ts";
import { key } from "@lib/foundations/config/key.ts";
import { age, diskSpace, tasks } from "@lib/foundations/config/ranges.ts";

/** What makes a container less than closed. */
const FREEDOMS = [
  "privileged",
  "capabilities",
  "host_network",
  "mounts",
  "engine_socket",
  "user",
] as const;

const NETWORK = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/;

/** What holds for containers; without a project's word all are closed. */
export const CONTAINERS = section({
  keys: {
    pull: key(
      "containers.pull",
      choice(["always", "missing", "never"]),
      "When the image of a job that does not say is fetched from its registry.",
      "missing",
    ),
    network: key(
      "containers.network",
      text("none, bridge or the name of a network", NETWORK),
      "Network of a container whose job names none.",
      "bridge",
      {
        project: {
          name: "containers.network",
          doc: "Network of its containers whose job names none.",
        },
      },
    ),
    images: key(
      "containers.images",
      textList("a list of image names, in which * stands for any characters", /^[^\s]+$/),
      "The images that jobs may use; one without a tag or digest in the pattern stands for all of " +
        "them. Empty: every image. In the environment variable: separated by commas.",
      [],
      { project: { name: "containers.images", doc: "The images that its jobs may use." } },
    ),
    tasks: key(
      "containers.tasks",
      integer(tasks),
      "Processes and threads of a container whose job names no limit.",
      4_096,
    ),
  },
  projectKeys: {
    allow: key(
      "containers.allow",
      choices(FREEDOMS),
      `What its containers may ask for that opens them: ${FREEDOMS.join(", ")}.`,
      [],
    ),
    mounts: key(
      "containers.mounts",
      textList("a list of absolute paths", /^\/[^\s]*$/),
      "Paths of this machine that its containers may mount, each with what is below; needs " +
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

/** Limits of the images that jobs brought here. */
export const IMAGES = section({
  keys: {
    maxAgeMs: key(
      "clean.images_unused_for",
      duration(age),
      "Images that jobs brought here and no job used for so long are removed by `cicd-runner clean`.",
      "14d",
    ),
    maxBytes: key(
      "clean.images_max_size",
      size(diskSpace),
      "Disk space of the images that jobs brought here; those not used for longest go first.",
      "20G",
    ),
  },
});
