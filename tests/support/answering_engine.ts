/**
 * An engine that answers one request, in these parts, and then closes the connection.
 *
 * @param options `isKept` keeps it open instead.
 */
export function answeringEngine(
  answer: string | readonly string[],
  { isKept = false }: { readonly isKept?: boolean } = {},
) {
  const kept = new DisposableStack();
  const directory = Deno.makeTempDirSync({ prefix: "engine-" });
  const path = `${directory}/sock`;
  const listener = Deno.listen({ transport: "unix", path });
  const asked = (async () => {
    const connection = await listener.accept();
    const buffer = new Uint8Array(4_096);
    const count = await connection.read(buffer) ?? 0;
    for (const part of [answer].flat()) await connection.write(new TextEncoder().encode(part));
    if (isKept) kept.defer(() => connection.close());
    else connection.close();
    return new TextDecoder().decode(buffer.subarray(0, count));
  })();
  return {
    address: { kind: "unix", path } as const,
    asked,
    [Symbol.dispose]() {
      kept.dispose();
      listener.close();
      Deno.removeSync(directory, { recursive: true });
    },
  };
}
