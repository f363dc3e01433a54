/**
 * Checks a job's container against the rules of its project: when the job is submitted, and again
 * right before its container is created, as the configuration may have changed.
 *
 * @module
 */
import { type FieldIssue, issuesOf } from "@lib/core/errors.ts";
import { matchesImage, parseImageReference } from "@lib/foundations/docker/image_reference.ts";
import type { ContainerMount, ContainerSpec } from "@lib/spine/spec/job_spec.ts";

/** The rules for the containers of a project. */
export interface ContainerRules {
  /** Of `privileged`, `capabilities`, `host_network`, `mounts`, `engine_socket`, `user`. */
  readonly allow: readonly string[];
  /** Directories of the machine that may be mounted, with everything below them. */
  readonly mounts: readonly string[];
  /** Networks that are allowed besides `none`, `bridge` and the project's default. */
  readonly networks: readonly string[];
  /** Patterns; empty: every image is allowed. */
  readonly images: readonly string[];
  /** The network of jobs that name none. */
  readonly network: string;
}

/** Returns the issues of a container, by the fields of the job's request. */
export function containerIssues(
  { image, network, user, privileged, capabilities, mounts, ulimits }: ContainerSpec,
  rules: ContainerRules,
): readonly FieldIssue[] {
  return issuesOf([
    ["image", imageProblem(image, rules)],
    ["network", networkProblem(network, rules)],
    ["container.privileged", privileged ? needs(rules, "privileged", "is set") : undefined],
    ...capabilities.map((name, index) =>
      [`container.capabilities.${index}`, capabilityProblem(name, rules)] as const
    ),
    ["container.user", user === undefined ? undefined : userProblem(user, rules)],
    ...mounts.map((mount, index) =>
      [`container.mounts.${index}`, mountProblem(mount, rules)] as const
    ),
    ...Object.keys(ulimits).filter((name) => !ULIMITS.test(name)).map((name) =>
      [
        `container.ulimits.${name}`,
        "is not a limit; give one such as nofile, nproc or core",
      ] as const
    ),
  ]);
}

/** Names of engine sockets; write access to one gives control of the machine's containers. */
const ENGINE_SOCKET_NAMES = ["docker.sock", "podman.sock", "containerd.sock", "crio.sock"];
/** Directories that hold engine sockets, besides those of accounts. */
const ENGINE_DIRECTORIES = ["/run", "/run/podman", "/run/containerd", "/run/crio", "/run/docker"];

/**
 * Returns why a path may not be mounted; `undefined` if it may.
 *
 * @param source Absolute; check it again after its symlinks are resolved.
 * @param engineSockets The known sockets of engines.
 * @param stateDir The state directory; whoever can write there forges results, or reads secrets.
 */
export function mountSourceProblem(
  source: string,
  rules: ContainerRules,
  { engineSockets = [], stateDir }: {
    readonly engineSockets?: readonly string[];
    readonly stateDir?: string;
  } = {},
): string | undefined {
  const wanted = cleanPath(source);
  if (wanted === undefined) return `has a source "${source}" that is not an absolute path`;
  if (!rules.allow.includes("mounts")) return needs(rules, "mounts", "names a path of the machine");
  const allowed = rules.mounts.some((path) => isWithin(wanted, cleanPath(path) ?? "\0"));
  if (!allowed) {
    return `names "${wanted}", which is not below a path of the project's \`containers.mounts\``;
  }
  if (stateDir !== undefined && (isWithin(stateDir, wanted) || isWithin(wanted, stateDir))) {
    return `names "${wanted}", which leads to the state directory ("${stateDir}")`;
  }
  return reachesEngine(wanted, engineSockets)
    ? needs(rules, "engine_socket", `leads to a container engine's socket ("${wanted}")`)
    : undefined;
}

/** Returns true if a path is an engine's socket or a directory that leads to one. */
function reachesEngine(path: string, engineSockets: readonly string[]): boolean {
  if (ENGINE_SOCKET_NAMES.includes(path.slice(path.lastIndexOf("/") + 1))) return true;
  if (engineSockets.some((socket) => isWithin(socket, path))) return true;
  const inRun = path.replace(/^\/var\/run(?=\/|$)/, "/run");
  return inRun === "/" || inRun === "/var" || ENGINE_DIRECTORIES.includes(inRun) ||
    /^\/run\/user(\/[^/]+(\/podman)?)?$/.test(inRun);
}

function imageProblem(image: string, { images }: ContainerRules): string | undefined {
  const reference = parseImageReference(image);
  if (reference === undefined) {
    return "is not the name of an image; give one such as alpine:3, or name@sha256:…";
  }
  if (images.length === 0 || images.some((pattern) => matchesImage(pattern, reference))) return;
  return `"${image}" is not among the images that are allowed here (\`containers.images\`)`;
}

function networkProblem(network: string, rules: ContainerRules): string | undefined {
  if (network === "none" || network === "bridge") return undefined;
  if (network === "host") return needs(rules, "host_network", "is the machine's own");
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/.test(network)) {
    return "is not the name of a network; give none, bridge or a name";
  }
  // Names with another meaning for an engine.
  if (/^(container|default|private|slirp4netns|pasta|nat)$/.test(network)) {
    return `"${network}" cannot be used as a name here`;
  }
  if (network === rules.network || rules.networks.includes(network)) return undefined;
  return `"${network}" is not among the project's \`containers.networks\``;
}

function capabilityProblem(name: string, rules: ContainerRules): string | undefined {
  return /^(CAP_)?[A-Z][A-Z_]{2,40}$/.test(name)
    ? needs(rules, "capabilities", "adds to what the container may do")
    : "is not the name of a capability; give one such as NET_RAW";
}

function userProblem(user: string, rules: ContainerRules): string | undefined {
  return /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,63})?$/.test(user)
    ? needs(rules, "user", "is given")
    : "is not a user; give a name or id, or user:group";
}

function mountProblem(
  { source, target }: ContainerMount,
  rules: ContainerRules,
): string | undefined {
  const place = cleanPath(target);
  if (place === undefined || place === "/") {
    return `has a target "${target}" that is not an absolute path below /`;
  }
  return RESERVED_TARGETS.some((own) => isWithin(place, own) || isWithin(own, place))
    ? `has a target "${target}" that is used for something else`
    : mountSourceProblem(source, rules);
}

/** Directories that every job's container has. */
const RESERVED_TARGETS = ["/workspace", "/home/job", "/run/cicd", "/proc", "/sys", "/dev"];

/** The limits that every engine supports. */
const ULIMITS =
  /^(core|cpu|data|fsize|locks|memlock|msgqueue|nice|nofile|nproc|rss|rtprio|rttime|sigpending|stack)$/;

function needs({ allow }: ContainerRules, freedom: string, what: string): string | undefined {
  return allow.includes(freedom)
    ? undefined
    : `${what}, and \`${freedom}\` is not in the project's \`containers.allow\``;
}

/** Normalizes an absolute path; `undefined` if it is relative or contains `..`. */
function cleanPath(path: string): string | undefined {
  if (!path.startsWith("/") || /[\p{Cc}\p{Cs}]/u.test(path)) return undefined;
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  return parts.includes("..") ? undefined : `/${parts.join("/")}`;
}

function isWithin(path: string, directory: string): boolean {
  return directory === "/" || path === directory || path.startsWith(`${directory}/`);
}
