import assert from "node:assert/strict";
import {
  parsePublicKey,
  parseSigningKey,
  sign,
  verify,
} from "../../../../tools/release/minisign.ts";

// Made by `minisign -G -W` of version 0.11.
const SECRET = `untrusted comment: minisign encrypted secret key
RWQAAEIyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAkAEiqkxpxoTJkpwk+sUkCIt976O9h8Vrel1J7u5kUq1nTBxXZWnVteXu/8TwaOtpuAKrkxCEuUA8/u6z1eZ9sINx/WT27rF/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
`;
const PUBLIC = `untrusted comment: minisign public key 84C6694CAA220190
RWSQASKqTGnGhOXu/8TwaOtpuAKrkxCEuUA8/u6z1eZ9sINx/WT27rF/
`;
const CONTENT = new TextEncoder().encode("hello\n");
// Made by `minisign -S -m FILE -t 'timestamp:1 file:rel-h'`.
const SIGNATURE = `untrusted comment: untrusted
RUSQASKqTGnGhAVKEOH9+6FkXcMvB9JuPtMRirj4dY61jKtZMOka/PekTlLOiuLCKQ3+cctIdMLv1fhVbWR68LrhVwil1Zq82w0=
trusted comment: timestamp:1 file:rel-h
TaW0Q8+nO4ajTtPPN2elnrdbQh+yYJvb/5/zrQyehQpNmfNiYfMHqhf29m3EVKmxqD4QWw9cvqZ1IPGco6ihAA==
`;

Deno.test("sign() makes what minisign makes of the same key, file and comment", async () => {
  const key = await parseSigningKey(SECRET);
  const made = await sign(CONTENT, { key, comment: "timestamp:1 file:rel-h" });
  // The first line is not signed.
  assert.deepEqual(made.split("\n").slice(1), SIGNATURE.split("\n").slice(1));
});

Deno.test("a secret key file contains its public key", async () => {
  const key = await parseSigningKey(SECRET);
  assert.equal(key.public.text, PUBLIC.split("\n")[1]);
});

Deno.test("verify() returns the comment of a signature made by minisign", async () => {
  const by = await parsePublicKey(PUBLIC);
  assert.equal(await verify(CONTENT, SIGNATURE, by), "timestamp:1 file:rel-h");
});

Deno.test("verify() refuses another content, comment, key, and algorithm", async () => {
  const by = await parsePublicKey(PUBLIC);
  const other = await parsePublicKey("RWSrYkzLaCo7WDzSAvFfoKNZrJ+znEzaC3u2pIeQPd0fyHRReuZEy8Ua");
  const changed = new TextEncoder().encode("hullo\n");
  assert.equal(await verify(changed, SIGNATURE, by), undefined);
  assert.equal(await verify(CONTENT, SIGNATURE.replace(":rel-h", ":rel-x"), by), undefined);
  assert.equal(await verify(CONTENT, SIGNATURE, other), undefined);
  // The older form, without a hash.
  assert.equal(await verify(CONTENT, SIGNATURE.replace("\nRUS", "\nRWS"), by), undefined);
  assert.equal(await verify(CONTENT, "", by), undefined);
});

Deno.test("parseSigningKey() refuses a key with a password, and says how to remove it", async () => {
  const [comment, line = ""] = SECRET.split("\n");
  const bytes = Uint8Array.fromBase64(line);
  bytes.set(new TextEncoder().encode("Sc"), 2);
  await assert.rejects(
    parseSigningKey(`${comment}\n${bytes.toBase64()}\n`),
    /protected by a password; remove that from a copy with minisign -C -W/,
  );
});

Deno.test("sign() refuses a key whose halves do not belong together", async () => {
  const [comment, line = ""] = SECRET.split("\n");
  const bytes = Uint8Array.fromBase64(line);
  bytes.fill(7, 62, 94);
  const key = await parseSigningKey(`${comment}\n${bytes.toBase64()}\n`);
  await assert.rejects(sign(CONTENT, { key, comment: "x" }), /does not belong to the secret one/);
});

for (const text of ["", "no key", "AAAA", PUBLIC.slice(0, -9)]) {
  Deno.test(`parsePublicKey() and parseSigningKey() refuse ${JSON.stringify(text)}`, async () => {
    await assert.rejects(parsePublicKey(text), SyntaxError);
    await assert.rejects(parseSigningKey(text), SyntaxError);
  });
}
