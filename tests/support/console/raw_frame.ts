/**
 * Frames of a WebSocket server, shaped by hand.
 *
 * @module
 */

/** What a frame is. */
export const OPCODES = {
  continuation: 0,
  text: 1,
  binary: 2,
  close: 8,
  ping: 9,
  pong: 10,
} as const;

/** Returns a frame without a mask, as a server sends it. */
export function rawFrame(opcode: number, payload: Uint8Array, isFinal = true): Uint8Array {
  const head = headOf(payload.byteLength);
  head[0] = (isFinal ? 0x80 : 0) | opcode;
  const frame = new Uint8Array(head.byteLength + payload.byteLength);
  frame.set(head);
  frame.set(payload, head.byteLength);
  return frame;
}

function headOf(size: number): Uint8Array {
  if (size < 126) return new Uint8Array([0, size]);
  const head = new Uint8Array(size < 65_536 ? 4 : 10);
  const view = new DataView(head.buffer);
  if (size < 65_536) {
    head[1] = 126;
    view.setUint16(2, size);
  } else {
    head[1] = 127;
    view.setBigUint64(2, BigInt(size));
  }
  return head;
}

/** Returns one text message in frames that are cut at these byte offsets. */
export function fragments(text: string, cuts: readonly number[]): Uint8Array[] {
  const bytes = new TextEncoder().encode(text);
  const ends = [...cuts, bytes.byteLength];
  return ends.map((end, index) =>
    rawFrame(
      index === 0 ? OPCODES.text : OPCODES.continuation,
      bytes.subarray(ends[index - 1] ?? 0, end),
      index === ends.length - 1,
    )
  );
}
