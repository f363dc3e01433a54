/**
 * The fields around a job: container, checkout, files, artifacts and caches.
 *
 * @module
 */
import * as v from "valibot";
import {
  annotated,
  anyText,
  choice,
  flag,
  integer,
  listOf,
  mapOf,
  path,
  size,
  type ValueType,
  variableName,
} from "@lib/core/value_types.ts";
import { field, group, isMap, record, type SpecOf, toView } from "@lib/spine/spec/field.ts";
import {
  base64Bytes,
  documented,
  filesProblem,
  lowerCase,
  PART_MAX_BYTES,
  PATTERNS,
  SAFE_NAMES,
  safely,
  shortText,
  shortTextProblem,
} from "@lib/spine/spec/text_types.ts";

/** Any size. */
export const anySize = { min: 1, max: 1024 ** 5 };

const glob = documented(path("any"), {
  pattern: PATTERNS.glob,
  examples: ["dist/*.tar.gz"],
});
const globs = (min: number, max: number) => listOf(glob, { min, max, accepts: "a list of globs" });
const inside = (pattern: string) =>
  documented(path("any"), { pattern, maxLength: PART_MAX_BYTES, examples: ["dist/app"] });

const IMAGE_NAME = "[a-z0-9]+(?:(?:[.]|__?|-+)[a-z0-9]+)*";
/** With a tag, a digest, and the host of a registry, if it has a port. */
const IMAGE_PATTERN =
  `^(?:[A-Za-z0-9]+(?:[.-][A-Za-z0-9]+)*:[0-9]{1,5}/)?${IMAGE_NAME}(?:/${IMAGE_NAME})*` +
  "(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?$";
const USER = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}";
const ULIMIT_NAMES =
  "core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack"
    .split(" ");
const CACHE_NAME = { pattern: "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", maxLength: 64 };
const HOST = "[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?";
const PORT = "(?::[1-9][0-9]{0,3})?";
/** A path of a repository, no part of which begins with a dot. */
const REPOSITORY = "[A-Za-z0-9_~][A-Za-z0-9_.~+-]*";
const GIT_URL = {
  pattern:
    `^(?:https?://${HOST}${PORT}|ssh://(?:${HOST}@)?${HOST}${PORT}|(?:[A-Za-z0-9_]+@)?${HOST}:${REPOSITORY})` +
    `(?:/${REPOSITORY})+/?$`,
  examples: ["https://example.org/group/app.git"],
};
const REF_PART = "[^\\x00-\\x20\\x7f-\\x9f~^:?*\\[\\]\\\\/.@{-]+";
const GIT_REF = { pattern: `^${REF_PART}(?:[/.-]${REF_PART})*$`, examples: ["main"] };
const GIT_SHA = {
  pattern: "^(?:[0-9a-fA-F]{39}|[0-9a-fA-F]{63})[1-9a-fA-F]$",
  examples: ["4b825dc642cb6eb9a060e54bf8d69288fbee4904"],
};

const MOUNT = {
  source: field("source", documented(path("any"), { pattern: PATTERNS.mount }), {
    required: true,
    doc: "Absolute path on the machine",
  }),
  target: field("target", documented(path("any"), { pattern: PATTERNS.mount }), {
    required: true,
    doc: "Absolute path in the container",
  }),
  readOnly: field("read_only", flag(), { default: true, doc: "`true` by default" }),
};

const REGISTRY = {
  username: field("username", shortText(), {
    required: true,
    doc: "Account that fetches the image",
    flag: "--registry-user NAME",
  }),
  passwordSecret: field("password_secret", variableName(), {
    required: true,
    doc: "Name of the secret that holds the password; the job does not get it",
    secret: "CICD_REGISTRY_PASSWORD",
    flag: "--registry-password SOURCE",
    help: "Its password, which the job does not get; SOURCE as for --secret",
  }),
};

/** The fields of a request for its image, beside `container`. */
export const IMAGE = {
  image: field(
    "image",
    documented(shortText(), { pattern: IMAGE_PATTERN, examples: ["alpine:3"] }),
    {
      only: "request",
      doc: "Container image; without one the job runs as a process of the account",
      flag: "--image IMAGE",
      help: "Run the job in a container of this image",
      section: "Container",
    },
  ),
  pull: field("pull", choice(["always", "missing", "never"]), {
    only: "request",
    setting: "containers.pull",
    doc: "When the image is fetched",
    flag: "--pull WHEN",
    section: "Container",
  }),
  network: field(
    "network",
    documented(shortText(), { pattern: "^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$" }),
    {
      only: "request",
      setting: "containers.network",
      doc: "`none`, `bridge`, or a network that is allowed for the project",
      flag: "--network NAME",
      section: "Container",
    },
  ),
};

/** The `container` of a job's request. */
export const CONTAINER = {
  entrypoint: field("entrypoint", choice(["job", "image"]), {
    default: "job",
    doc: "`job`: only the command runs; `image`: it is passed to the entrypoint of the image",
    flag: "--entrypoint WHICH",
  }),
  user: field("user", documented(shortText(), { pattern: `^${USER}(?::${USER})?$` }), {
    doc: "Account in the container; must be allowed for the project",
    flag: "--user USER",
  }),
  registry: group("registry", REGISTRY, { doc: "Credentials for the image's registry" }),
  mounts: field(
    "mounts",
    listOf(record(MOUNT), { max: 32, accepts: "a list of {source, target, read_only}" }),
    {
      default: [],
      doc: "Paths of the machine; each must be allowed for the project",
      flag: "--mount SOURCE:TARGET[:rw]",
      help: "A path of the machine, read-only unless it ends in :rw; must be allowed",
    },
  ),
  capabilities: field(
    "capabilities",
    listOf(documented(shortText(), { pattern: "^(?:CAP_)?[A-Z][A-Z_]{2,40}$" }), {
      max: 48,
      accepts: "a list of capabilities such as NET_RAW",
    }),
    {
      default: [],
      doc: "Kept capabilities; all others are dropped; must be allowed for the project",
      flag: "--cap-add NAME",
      help: "A capability, such as NET_RAW; all others are dropped; must be allowed",
    },
  ),
  privileged: field("privileged", flag(), {
    default: false,
    doc: "Run without isolation; must be allowed for the project",
    flag: "--privileged",
  }),
  ulimits: field(
    "ulimits",
    mapOf(integer({ min: 0, max: Number.MAX_SAFE_INTEGER }), {
      nameProblem: safely(shortTextProblem),
      names: { enum: ULIMIT_NAMES },
      max: 16,
    }),
    {
      default: {},
      doc: "Soft and hard limit by name, such as nofile",
      flag: "--ulimit NAME=COUNT",
      help: "Such as nofile=1024; may be repeated",
    },
  ),
  shmBytes: field("shm_size", size(anySize), { doc: "Size of /dev/shm", flag: "--shm-size SIZE" }),
};

/** The container of a job's record. */
export function container() {
  const fields = { ...IMAGE, image: { ...IMAGE.image, required: true }, ...CONTAINER } as const;
  const { type, ...of } = group("container", fields, {
    setup: true,
    spread: true,
    doc: "Absent: the job runs as a process of the account",
  });
  const show = (spec: SpecOf<typeof fields>) => ({
    ...toView(IMAGE, spec),
    container: toView(CONTAINER, spec),
  });
  return { ...of, type: { ...type, show } };
}

/** The `git` of a job. */
export const GIT = {
  url: field("url", documented(shortText(2048), GIT_URL), {
    required: true,
    doc: "https://, http://, ssh:// or user@host:path, without credentials",
    flag: "--git URL",
    help: "Check this repository out first; the URL holds no credentials",
  }),
  ref: field("ref", documented(shortText(), GIT_REF), {
    doc: "Branch, tag or refs/…; by default the default branch of the remote",
    flag: "--ref NAME",
  }),
  sha: field("sha", documented(lowerCase(shortText()), GIT_SHA), {
    doc: "The full id of the commit; the job fails if another one is checked out",
    flag: "--sha COMMIT",
    help: "The full id of the commit that must be checked out",
  }),
  depth: field("depth", integer({ min: 0, max: 1_000_000 }), {
    default: 1,
    doc: "Commits of history, 1 by default; 0: all",
    flag: "--depth COUNT",
  }),
  tags: field("tags", flag(), {
    doc: "Fetch all tags; by default with `depth` 0; a tag in `ref` always comes",
    flag: "--tags",
  }),
  submodules: field("submodules", flag(), {
    default: false,
    doc: "Check submodules out too",
    flag: "--submodules",
  }),
  lfs: field("lfs", flag(), {
    default: false,
    doc: "Fetch the files of Git LFS",
    flag: "--lfs",
  }),
  path: field("path", inside(PATTERNS.gitPath), {
    default: ".",
    doc: "Directory of the repository below the workspace",
    flag: "--git-path PATH",
  }),
  tokenSecret: field("token_secret", variableName(), {
    doc: "Name of the secret for access to the remote; the job does not get it",
    secret: "CICD_GIT_TOKEN",
    flag: "--git-token SOURCE",
    help: "Token for the remote, which the job does not get; SOURCE as for --secret",
  }),
};

const FILE = {
  path: field("path", path("any"), { required: true, doc: "Below the workspace" }),
  content: field("base64", documented(anyText(), { pattern: PATTERNS.base64 }), {
    required: true,
    doc: "Base64",
    shown: "never",
  }),
  executable: field("executable", flag(), { default: false, doc: "`true` for a program" }),
};
const { path: _, ...CONTENT } = FILE;

/** The `files` of a job: contents by path; kept as a list. */
export function files(): ValueType<readonly SpecOf<typeof FILE>[]> {
  const written = record(CONTENT);
  const content = { ...written, json: { anyOf: [{ type: "string" }, written.json] } };
  const map = mapOf({
    ...content,
    schema: v.pipe(
      v.unknown(),
      v.transform((given) =>
        typeof given === "string" ? { base64: new TextEncoder().encode(given).toBase64() } : given
      ),
      written.schema,
    ),
  }, {
    nameProblem: safely(pathProblem),
    names: { ...inside(PATTERNS.inside).json, not: SAFE_NAMES.not },
    max: 64,
  });
  return {
    ...listOf(record(FILE), { max: 64, accepts: "an object of paths and contents" }),
    json: map.json,
    schema: v.pipe(
      annotated(map.json),
      // Before any content is encoded.
      v.rawCheck(({ dataset, addIssue }) => {
        const problem = filesProblem(leastBytes(dataset.value));
        if (problem !== undefined) addIssue({ message: problem });
      }),
      map.schema,
      v.transform((all) => Object.entries(all).map(([path, one]) => ({ path, ...one }))),
    ),
    show: (all) =>
      all.map((one) => ({ ...toView(FILE, one), size_bytes: base64Bytes(one.content) })),
  };
}

/** Returns the least size of all contents together; what is not a content counts as nothing. */
function leastBytes(files: unknown): number {
  let bytes = 0;
  for (const content of Object.values(Object(files))) {
    if (typeof content === "string") bytes += content.length;
    else if (isMap(content) && typeof content["base64"] === "string") {
      bytes += base64Bytes(content["base64"]);
    }
  }
  return bytes;
}

const ARTIFACTS = {
  paths: field("paths", documented(globs(1, 64), { contains: { pattern: "^[^!]" } }), {
    required: true,
    doc: "Globs below the workspace; !GLOB excludes",
    flag: "--artifact GLOB",
    help: "Keep these files of the workspace; may be repeated, !GLOB excludes",
  }),
  when: field("when", choice(["success", "failure", "always"]), {
    default: "success",
    doc: "After which results: `success` (default), `failure` or `always`",
    flag: "--artifact-when WHEN",
  }),
};

/** The `artifacts` of a job; a list stands for its `paths`. */
export function artifacts() {
  const { type, ...of } = group("artifacts", ARTIFACTS, {
    doc: "Files of the workspace that are kept after the job",
    section: "Workspace",
  });
  const json = { anyOf: [ARTIFACTS.paths.type.json, type.json] };
  const schema = v.pipe(
    annotated(json),
    v.transform((given) => Array.isArray(given) ? { paths: given } : given),
    type.schema,
  );
  return { ...of, type: { ...type, json, schema } };
}

const CACHE = {
  name: field("name", documented(shortText(), CACHE_NAME), {
    required: true,
    doc: "Names the cache in the project",
  }),
  paths: field("paths", documented(globs(1, 16), { items: inside(PATTERNS.cachePath).json }), {
    required: true,
    doc: "Below the workspace",
  }),
  keyFiles: field("key_files", globs(0, 16), {
    default: [],
    doc: "Globs of the files whose content determines the key",
  }),
};

/** The `caches` of a job. */
export function caches() {
  return listOf(record(CACHE), { max: 16, accepts: "a list of {name, paths, key_files}" });
}

function pathProblem(text: string): string | undefined {
  return text === ""
    ? "is empty"
    : text.isWellFormed() && text.length <= 4_096
    ? undefined
    : "is not a path";
}
