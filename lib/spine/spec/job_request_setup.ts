/**
 * The parts of a job request that say what is around the job: its container,
 * its checkout, files, artifacts and caches.
 *
 * @module
 */
import * as v from "valibot";
import { PULL_POLICIES } from "@lib/spine/jobs/model.ts";
import {
  countField,
  flagField,
  nameField,
  pathField,
  shortTextField,
  sizeField,
} from "@lib/spine/spec/job_request_fields.ts";

/** The `pull` of a job. */
export const pullField = v.picklist(PULL_POLICIES, `must be one of ${PULL_POLICIES.join(", ")}`);

const mountSchema = v.strictObject({
  source: v.pipe(pathField, v.description("Absolute path on the machine")),
  target: v.pipe(pathField, v.description("Absolute path in the container")),
  read_only: v.exactOptional(v.pipe(flagField, v.description("True unless given"))),
});

/** The `container` of a job. */
export const containerSchema = v.strictObject({
  entrypoint: v.exactOptional(v.pipe(
    v.picklist(["job", "image"], 'must be "job" or "image"'),
    v.description(
      "`job`: the command is all that runs; `image`: it is passed to the image's own entrypoint",
    ),
  )),
  user: v.exactOptional(v.pipe(shortTextField, v.description("Must be allowed for the project"))),
  mounts: v.exactOptional(v.pipe(
    v.array(mountSchema, "must be a list of {source, target, read_only}"),
    v.maxLength(32, "has more than 32 entries"),
    v.description("Paths of the machine; each must be allowed for the project"),
  )),
  capabilities: v.exactOptional(v.pipe(
    v.array(shortTextField, "must be a list of capabilities such as NET_RAW"),
    v.maxLength(48, "has more than 48 entries"),
    v.description("All are dropped but these, which must be allowed for the project"),
  )),
  privileged: v.exactOptional(v.pipe(flagField, v.description("Must be allowed for the project"))),
  ulimits: v.exactOptional(v.pipe(
    v.record(shortTextField, countField(0, Number.MAX_SAFE_INTEGER), "must be an object"),
    v.maxEntries(16, "has more than 16 entries"),
    v.description("Such as nofile; soft and hard limit at once"),
  )),
  shm_size: v.exactOptional(v.pipe(sizeField, v.description("Size of /dev/shm"))),
  registry: v.exactOptional(v.strictObject({
    username: shortTextField,
    password_secret: v.pipe(
      nameField,
      v.description("Name of the secret that holds the password; the job does not get it"),
    ),
  })),
});

/** The `git` of a job. */
export const gitSchema = v.strictObject({
  url: v.pipe(
    v.string("must be text"),
    v.minLength(1, "is empty"),
    v.maxLength(2048, "is longer than 2048 characters"),
    v.description("https://, http://, ssh:// or user@host:path, without credentials"),
  ),
  ref: v.exactOptional(v.pipe(
    shortTextField,
    v.description("Branch, tag or refs/…; the remote's default branch unless given"),
  )),
  sha: v.exactOptional(v.pipe(
    shortTextField,
    v.transform((sha) => sha.toLowerCase()),
    v.description("The full id of the commit; anything else fails the job"),
  )),
  depth: v.exactOptional(v.pipe(
    countField(0, 1_000_000),
    v.description("Commits of history, 1 unless given; 0: all"),
  )),
  submodules: v.exactOptional(flagField),
  lfs: v.exactOptional(v.pipe(flagField, v.description("Fetch the files kept in Git LFS"))),
  path: v.exactOptional(v.pipe(pathField, v.description("Folder below the workspace"))),
  token_secret: v.exactOptional(v.pipe(
    nameField,
    v.description("Name of the secret that opens the remote; the job does not get it"),
  )),
});

/** The `files` of a job. */
export const filesSchema = v.pipe(
  v.record(
    pathField,
    v.union([
      v.string(),
      v.strictObject({
        base64: v.string("must be text"),
        executable: v.exactOptional(flagField),
      }),
    ], "must be text, or {base64, executable}"),
    "must be an object of paths and contents",
  ),
  v.maxEntries(64, "has more than 64 entries"),
);

const globsField = v.pipe(
  v.array(pathField, "must be a list of globs"),
  v.minLength(1, "is empty"),
  v.maxLength(64, "has more than 64 entries"),
);

/** The `artifacts` of a job. */
export const artifactsSchema = v.union([
  globsField,
  v.strictObject({
    paths: globsField,
    when: v.exactOptional(v.pipe(
      v.picklist(
        ["success", "failure", "always"],
        'must be "success", "failure" or "always"',
      ),
      v.description("After which endings; `success` unless given"),
    )),
  }),
], "must be a list of globs, or {paths, when}");

/** The `caches` of a job. */
export const cachesSchema = v.pipe(
  v.array(
    v.strictObject({
      name: shortTextField,
      paths: globsField,
      key_files: v.exactOptional(v.pipe(
        v.array(pathField, "must be a list of globs"),
        v.maxLength(64, "has more than 64 entries"),
        v.description("Globs of the files whose content makes the key"),
      )),
    }),
    "must be a list of {name, paths, key_files}",
  ),
  v.maxLength(16, "has more than 16 entries"),
);
