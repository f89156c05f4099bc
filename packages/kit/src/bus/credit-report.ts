// What a stream reader tells a writer over NATS: two u32, little-endian: the writer's epoch, the last number done.

const REPORT_BYTES = 8;

/** A report as bytes. */
export function encodeReport(epoch: number, number: number): Uint8Array {
  const bytes = new Uint8Array(REPORT_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, epoch, true);
  view.setUint32(4, number, true);
  return bytes;
}

/** Reads a report; undefined where the bytes are not one. */
export function decodeReport(bytes: Uint8Array): { epoch: number; number: number } | undefined {
  if (bytes.length !== REPORT_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return { epoch: view.getUint32(0, true), number: view.getUint32(4, true) };
}
