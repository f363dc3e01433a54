/**
 * The part of dockerode that is used here.
 *
 * The published types bring those of an old Node along, which take the place of the runtime's own
 * in the whole project. Answers are `unknown`: they are checked where they are read.
 */
import type { Agent } from "node:http";
import type { Readable } from "node:stream";

/** Ends the request. */
interface Abortable {
  readonly abortSignal?: AbortSignal;
}

declare class Docker {
  constructor(options: Docker.DockerOptions & { readonly agent?: Agent });
  info(): Promise<unknown>;
  df(): Promise<unknown>;
  createContainer(
    options: Abortable & { readonly _query: object; readonly _body: object },
  ): Promise<{ readonly id: string }>;
  getContainer(id: string): Docker.Container;
  listContainers(options: Abortable & Docker.ListOptions): Promise<unknown>;
  getImage(name: string): Docker.Image;
  listImages(options: Abortable): Promise<unknown>;
  pull(image: string, options: Abortable & { readonly authconfig?: object }): Promise<Readable>;
  getEvents(
    options: Abortable & {
      readonly since: string;
      readonly until: string;
      readonly filters: {
        readonly container: readonly string[];
        readonly event: readonly string[];
      };
    },
  ): Promise<Readable>;
  listNetworks(options: Abortable & Docker.ListOptions): Promise<unknown>;
  getNetwork(id: string): Docker.Network;
}

declare namespace Docker {
  interface DockerOptions {
    readonly socketPath?: string;
    readonly host?: string;
    readonly port?: number;
    readonly protocol?: "http" | "https";
    readonly ca?: string | undefined;
    readonly cert?: string | undefined;
    readonly key?: string | undefined;
  }

  interface ListOptions {
    readonly all?: boolean;
    readonly filters?: { readonly label: readonly string[] };
  }

  interface Container {
    start(options: Abortable): Promise<unknown>;
    inspect(options: Abortable): Promise<unknown>;
    logs(
      options: Abortable & {
        readonly follow: true;
        readonly stdout: boolean;
        readonly stderr: boolean;
      },
    ): Promise<Readable>;
    kill(options: Abortable & { readonly signal: string }): Promise<unknown>;
    remove(
      options: Abortable & { readonly force: boolean; readonly v: boolean },
    ): Promise<unknown>;
    rename(options: Abortable & { readonly name: string }): Promise<unknown>;
  }

  interface Image {
    inspect(): Promise<unknown>;
    remove(options: Abortable): Promise<unknown>;
  }

  interface Network {
    remove(options: Abortable): Promise<unknown>;
  }
}

export default Docker;
