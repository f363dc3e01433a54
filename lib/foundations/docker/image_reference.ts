/**
 * Names of images.
 *
 * @module
 */

/** The parts of an image's name, completed by the defaults. */
export interface ImageReference {
  /** Such as `docker.io/library/alpine` or `registry.example.org:5000/team/app`. */
  readonly repository: string;
  /** `latest` if neither a tag nor a digest is given. */
  readonly tag?: string;
  /** Such as `sha256:…`. */
  readonly digest?: string;
}

/** Longest repository name that engines accept. */
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

/** Parses the name of an image; `undefined` if invalid. */
export function parseImageReference(text: string): ImageReference | undefined {
  // Bounds the cost of the regular expression.
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

/** Returns the registry of a repository: `docker.io`. */
export function registryOf({ repository }: ImageReference): string {
  return repository.slice(0, repository.indexOf("/"));
}

/**
 * Tells if an image matches a pattern, in which `*` stands for any characters.
 *
 * A pattern without a tag and a digest matches all of them; its name is completed like that of an
 * image.
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
  if (isRegistry(first)) return inRegistry(first, rest);
  return new RegExp(`^${COMPONENT}$`).test(first)
    ? `${DEFAULT_REGISTRY}/${first}/${rest}`
    : undefined;
}

function fullPattern(name: string): string {
  if (name === "*") return name;
  const slash = name.indexOf("/");
  if (slash === -1) return `${DEFAULT_REGISTRY}/library/${name}`;
  const first = name.slice(0, slash);
  return isRegistry(first) || first.includes("*")
    ? inRegistry(first, name.slice(slash + 1))
    : `${DEFAULT_REGISTRY}/${name}`;
}

function inRegistry(first: string, rest: string): string {
  const registry = first === "index.docker.io" ? DEFAULT_REGISTRY : first;
  const official = registry === DEFAULT_REGISTRY && !/[/*]/.test(rest);
  return `${registry}/${official ? "library/" : ""}${rest}`;
}

/** The first part of a name is a registry if it cannot be part of a path, or is `localhost`. */
function isRegistry(first: string): boolean {
  return /[.:\[]/.test(first) || first === "localhost" || first !== first.toLowerCase();
}

function glob(pattern: string): RegExp {
  const parts = pattern.split(/\*+/).map((part) => part.replaceAll(/[.+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`, "s");
}
