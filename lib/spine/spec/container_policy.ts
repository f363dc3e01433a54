/**
 * Whether a job's container is one that the project may have.
 *
 * Judged when a job is submitted, and again right before its container is made, as the
 * configuration may have changed between.
 *
 * @module
 */
import type { FieldIssue } from "@lib/core/errors.ts";
import { matchesImage, parseImageReference } from "@lib/foundations/docker/image_reference.ts";
import type { ContainerMount, ContainerSpec } from "@lib/spine/spec/job_spec.ts";

/** What the containers of a project may be. */
export interface ContainerRules {
  /** Of `privileged`, `capabilities`, `host_network`, `mounts`, `engine_socket`, `user`. */
  readonly allow: readonly string[];
  /** Paths of the machine that may be mounted, each with what is below. */
  readonly mounts: readonly string[];
  /** Networks that may be joined, besides `none`, `bridge` and the project's own default. */
  readonly networks: readonly string[];
  /** Patterns; empty: every image. */
  readonly images: readonly string[];
  /** The network of a container whose job names none. */
  readonly network: string;
}

/** Says what is wrong with a container, by the fields of the job's request; empty if nothing is. */
export function containerIssues(
  container: ContainerSpec,
  rules: ContainerRules,
): readonly FieldIssue[] {
  const { user, privileged } = container;
  return [
    ...imageIssues(container, rules),
    ...networkIssues(container, rules),
    ...(privileged ? needs(rules, "privileged", "container.privileged", "is set") : []),
    ...capabilityIssues(container, rules),
    ...(user === undefined ? [] : userIssues(user, rules)),
    ...container.mounts.flatMap((mount, index) =>
      mountIssues(mount, rules).map((message) => ({ path: `container.mounts.${index}`, message }))
    ),
    ...ulimitIssues(container),
  ];
}

/** What an engine's socket is called; who may write to one owns the machine's containers. */
const ENGINE_SOCKET_NAMES = ["docker.sock", "podman.sock", "containerd.sock", "crio.sock"];
/** Directories in which engines have their sockets, besides those of accounts. */
const ENGINE_DIRECTORIES = ["/run", "/run/podman", "/run/containerd", "/run/crio", "/run/docker"];

/**
 * Says why a path may not be mounted; `undefined` if it may.
 *
 * @param source Absolute; to be judged again with its links resolved, once it is known.
 * @param engineSockets Where engines are known to listen.
 */
export function mountSourceProblem(
  source: string,
  rules: ContainerRules,
  engineSockets: readonly string[] = [],
): string | undefined {
  const wanted = cleanPath(source);
  if (wanted === undefined) return `has a source "${source}" that is no absolute path`;
  if (!rules.allow.includes("mounts")) return notAllowed("names a path of the machine", "mounts");
  const allowed = rules.mounts.some((path) => isWithin(wanted, cleanPath(path) ?? "\0"));
  if (!allowed) {
    return `names "${wanted}", which is not below a path of the project's \`containers.mounts\``;
  }
  if (reachesEngine(wanted, engineSockets) && !rules.allow.includes("engine_socket")) {
    return notAllowed(`leads to a container engine's socket ("${wanted}")`, "engine_socket");
  }
  return undefined;
}

/** Whether a path is an engine's socket, or a directory through which one can be reached. */
function reachesEngine(path: string, engineSockets: readonly string[]): boolean {
  if (ENGINE_SOCKET_NAMES.includes(path.slice(path.lastIndexOf("/") + 1))) return true;
  if (engineSockets.some((socket) => isWithin(socket, path))) return true;
  const inRun = path.replace(/^\/var\/run(?=\/|$)/, "/run");
  return inRun === "/" || inRun === "/var" || ENGINE_DIRECTORIES.includes(inRun) ||
    /^\/run\/user(\/[^/]+(\/podman)?)?$/.test(inRun);
}

function imageIssues({ image }: ContainerSpec, { images }: ContainerRules): readonly FieldIssue[] {
  const reference = parseImageReference(image);
  if (reference === undefined) {
    return [{
      path: "image",
      message: `is no name of an image; give one such as alpine:3, or name@sha256:…`,
    }];
  }
  if (images.length === 0 || images.some((pattern) => matchesImage(pattern, reference))) return [];
  return [{
    path: "image",
    message: `"${image}" is not among the images that are allowed here (\`containers.images\`)`,
  }];
}

function networkIssues({ network }: ContainerSpec, rules: ContainerRules): readonly FieldIssue[] {
  if (network === "none" || network === "bridge") return [];
  if (network === "host") {
    return needs(rules, "host_network", "network", "is the machine's own");
  }
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/.test(network)) {
    return [{ path: "network", message: "is no name of a network; give none, bridge or a name" }];
  }
  // Names that an engine takes for something else than a network.
  if (/^(container|default|private|slirp4netns|pasta|nat)$/.test(network)) {
    return [{ path: "network", message: `"${network}" cannot be used as a name here` }];
  }
  if (network === rules.network || rules.networks.includes(network)) return [];
  return [{
    path: "network",
    message: `"${network}" is not among the project's \`containers.networks\``,
  }];
}

function capabilityIssues(
  { capabilities }: ContainerSpec,
  rules: ContainerRules,
): readonly FieldIssue[] {
  return capabilities.flatMap((capability, index) => {
    const path = `container.capabilities.${index}`;
    if (!/^(CAP_)?[A-Z][A-Z_]{2,40}$/.test(capability)) {
      return [{ path, message: "is no name of a capability; give one such as NET_RAW" }];
    }
    return needs(rules, "capabilities", path, "adds to what the container may do");
  });
}

function userIssues(user: string, rules: ContainerRules): readonly FieldIssue[] {
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,63})?$/.test(user)) {
    return [{ path: "container.user", message: "is no user; give a name or id, or user:group" }];
  }
  return needs(rules, "user", "container.user", "is given");
}

function mountIssues(
  { source, target, readOnly: _ }: ContainerMount,
  rules: ContainerRules,
): readonly string[] {
  const place = cleanPath(target);
  if (place === undefined || place === "/") {
    return [`has a target "${target}" that is no absolute path below /`];
  }
  if (RESERVED_TARGETS.some((own) => isWithin(place, own) || isWithin(own, place))) {
    return [`has a target "${target}" that is used for something else`];
  }
  const problem = mountSourceProblem(source, rules);
  return problem === undefined ? [] : [problem];
}

/** What a job's container has by itself. */
const RESERVED_TARGETS = ["/workspace", "/home/job", "/run/cicd", "/proc", "/sys", "/dev"];

/** Those that every engine knows. */
const ULIMITS =
  /^(core|cpu|data|fsize|locks|memlock|msgqueue|nice|nofile|nproc|rss|rtprio|rttime|sigpending|stack)$/;

function ulimitIssues({ ulimits }: ContainerSpec): readonly FieldIssue[] {
  return Object.keys(ulimits).filter((name) => !ULIMITS.test(name)).map((name) => ({
    path: `container.ulimits.${name}`,
    message: "is no limit; give one such as nofile, nproc or core",
  }));
}

function needs(
  { allow }: ContainerRules,
  freedom: string,
  path: string,
  what: string,
): readonly FieldIssue[] {
  return allow.includes(freedom) ? [] : [{ path, message: notAllowed(what, freedom) }];
}

function notAllowed(what: string, freedom: string): string {
  return `${what}, and \`${freedom}\` is not in the project's \`containers.allow\``;
}

/** An absolute path without `.`, `..` and doubled slashes; `undefined` if it is none. */
function cleanPath(path: string): string | undefined {
  if (!path.startsWith("/") || /[\p{Cc}\p{Cs}]/u.test(path)) return undefined;
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  return parts.includes("..") ? undefined : `/${parts.join("/")}`;
}

function isWithin(path: string, directory: string): boolean {
  return directory === "/" || path === directory || path.startsWith(`${directory}/`);
}
