/**
 * The part of dockerode in use.
 *
 * `@types/dockerode` brings the types of Node 18 along, which replace the runtime's own in the
 * whole project. Answers are `unknown`: the reader parses them.
 */
import type { Readable } from "node:stream";

type Call<Options = object, Answer = unknown> = (
  options: Options & { readonly abortSignal: AbortSignal },
) => Promise<Answer>;

interface Labelled {
  readonly filters: { readonly label: readonly string[] };
}

declare class Docker {
  constructor(options: object);
  getContainer(id: string): {
    readonly getArchive: Call<{ readonly path: string }, Readable>;
  };
  getImage(name: string): { readonly remove: Call };
  readonly listImages: Call;
  importImage(
    archive: Uint8Array,
    options: { readonly changes: string; readonly abortSignal: AbortSignal },
  ): Promise<Readable>;
  pull(
    image: string,
    options: { readonly abortSignal: AbortSignal; readonly authconfig?: object },
  ): Promise<Readable>;
  readonly listNetworks: Call<Labelled>;
  getNetwork(id: string): { readonly remove: Call };
}

export default Docker;
