/**
 * The names of images.
 *
 * @module
 */

/** The parts of an image's name, with what the name leaves out filled in. */
export interface ImageReference {
  /** Such as `docker.io/library/alpine` or `registry.example.org:5000/team/app`. */
  readonly repository: string;
  /** `latest` if neither a tag nor a digest is given. */
  readonly tag?: string;
  /** Such as `sha256:…`. */
  readonly digest?: string;
}

/** Longest name of a repository, as the engines have it. */
const REPOSITORY_MAX_CHARS = 255;

const COMPONENT = "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*";
const LABEL = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
const HOST = `(?:${LABEL}(?:\\.${LABEL})*|\\[[0-9a-fA-F:]+\\])(?::\\d{1,5})?`;
const REFERENCE = new RegExp(
  `^(?:(${HOST})/)?(${COMPONENT}(?:/${COMPONENT})*)` +
    "(?::([A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?" +
    "(?:@([a-z0-9]+(?:[+._-][a-z0-9]+)*:[0-9a-f]{32,128}))?$",
);

const DEFAULT_REGISTRY = "docker.io";

/** Reads the name of an image; `undefined` if it is none. */
export function parseImageReference(text: string): ImageReference | undefined {
  // Bounds the work of the expression.
  if (text.length > 2 * REPOSITORY_MAX_CHARS) return undefined;
  const [, first, rest = "", tag, digest] = REFERENCE.exec(text) ?? [];
  if (rest === "") return undefined;
  const repository = fullRepository(first, rest);
  if (repository === undefined || repository.length > REPOSITORY_MAX_CHARS) return undefined;
  return {
    repository,
    ...(digest === undefined ? { tag: tag ?? "latest" } : tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest }),
  };
}

/** The registry of a repository: `docker.io`. */
export function registryOf({ repository }: ImageReference): string {
  return repository.slice(0, repository.indexOf("/"));
}

/**
 * Whether an image is one of those that a pattern names.
 *
 * In a pattern `*` stands for any characters. One that names neither a tag nor a digest stands for
 * all of them; what it leaves out of the name is filled in as in the name of an image.
 */
export function matchesImage(pattern: string, image: ImageReference): boolean {
  const [wanted = "", digest] = pattern.split("@", 2);
  const colon = wanted.lastIndexOf(":");
  const tagged = colon > wanted.lastIndexOf("/") && colon !== -1;
  const name = tagged ? wanted.slice(0, colon) : wanted;
  if (tagged && !glob(wanted.slice(colon + 1)).test(image.tag ?? "")) return false;
  if (digest !== undefined && !glob(digest).test(image.digest ?? "")) return false;
  return glob(fullPattern(name)).test(image.repository);
}

function fullRepository(first: string | undefined, rest: string): string | undefined {
  if (first === undefined) return `${DEFAULT_REGISTRY}/library/${rest}`;
  if (isRegistry(first)) {
    const registry = first === "index.docker.io" ? DEFAULT_REGISTRY : first;
    const official = registry === DEFAULT_REGISTRY && !rest.includes("/");
    return `${registry}/${official ? "library/" : ""}${rest}`;
  }
  return new RegExp(`^${COMPONENT}$`).test(first)
    ? `${DEFAULT_REGISTRY}/${first}/${rest}`
    : undefined;
}

function fullPattern(name: string): string {
  const slash = name.indexOf("/");
  const first = slash === -1 ? undefined : name.slice(0, slash);
  const rest = name.slice(slash + 1);
  if (name === "*") return name;
  if (first === undefined) return `${DEFAULT_REGISTRY}/library/${rest}`;
  if (!isRegistry(first) && !first.includes("*")) return `${DEFAULT_REGISTRY}/${name}`;
  const registry = first === "index.docker.io" ? DEFAULT_REGISTRY : first;
  const official = registry === DEFAULT_REGISTRY && !rest.includes("/") && !rest.includes("*");
  return `${registry}/${official ? "library/" : ""}${rest}`;
}

/** A name's first part is a registry if it can be no part of a path, or is this machine. */
function isRegistry(first: string): boolean {
  return /[.:\[]/.test(first) || first === "localhost" || first !== first.toLowerCase();
}

function glob(pattern: string): RegExp {
  const parts = pattern.split(/\*+/).map((part) => part.replaceAll(/[.+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`, "s");
}
