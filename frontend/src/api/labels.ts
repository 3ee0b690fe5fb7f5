/**
 * Pixels and label images on the wire: raw little-endian numbers in C order, gzipped, shape and
 * dtype in headers. Never a PNG: a canvas would decode it to 8 bits.
 */
import { ApiError, request } from "./client";

export type Numbers = Uint8Array | Uint16Array | Uint32Array | Float32Array;
export type LabelDtype = "uint16" | "uint32";

export interface RawArray {
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly values: Numbers;
  readonly headers: Headers;
}

type Reader = (buffer: ArrayBuffer) => Numbers;

/** What WebGL has no texture for is shown as 32-bit floats. */
const READERS: Readonly<Record<string, Reader>> = {
  uint8: (buffer) => new Uint8Array(buffer),
  uint16: (buffer) => new Uint16Array(buffer),
  uint32: (buffer) => new Uint32Array(buffer),
  float32: (buffer) => new Float32Array(buffer),
  int8: (buffer) => Float32Array.from(new Int8Array(buffer)),
  int16: (buffer) => Float32Array.from(new Int16Array(buffer)),
  int32: (buffer) => Float32Array.from(new Int32Array(buffer)),
  float64: (buffer) => Float32Array.from(new Float64Array(buffer)),
};

export async function readRaw(path: string, signal?: AbortSignal): Promise<RawArray> {
  const headers = { Accept: "application/octet-stream" };
  const response = await request("GET", path, { headers, signal });
  return decode(await response.arrayBuffer(), response.headers);
}

/** The numbers an answer holds; an ApiError when bytes and headers do not agree. */
export async function decode(body: ArrayBuffer, headers: Headers): Promise<RawArray> {
  const shape = (headers.get("X-Shape") ?? "").split(",").map(Number);
  const dtype = headers.get("X-Dtype") ?? "";
  const reader = READERS[dtype];
  if (reader === undefined || shape.some((side) => !Number.isInteger(side) || side <= 0)) {
    throw new ApiError(`The server sent pixels of an unknown kind (${dtype}).`, 0, "bad_answer");
  }
  const expected = shape.reduce((product, side) => product * side, 1);
  // The browser has undone the gzip already where the server declared it. Pixels may begin like
  // gzip, but then they have their size.
  const zipped = body.byteLength !== expected * bytesPer(dtype) && isGzip(body);
  const buffer = zipped ? await unzip(body) : body;
  const count = buffer.byteLength / bytesPer(dtype);
  if (count !== expected) {
    throw new ApiError(
      `The server sent ${count} pixels where ${shape.join(" × ")} were expected. Load again.`,
      0,
      "bad_answer",
    );
  }
  return { shape, dtype, values: reader(buffer), headers };
}

function bytesPer(dtype: string): number {
  return Number(/\d+$/.exec(dtype)?.[0] ?? 8) / 8;
}

function isGzip(body: ArrayBuffer): boolean {
  const head = new Uint8Array(body, 0, Math.min(3, body.byteLength));
  return head[0] === 0x1f && head[1] === 0x8b && head[2] === 0x08;
}

const PIECE = 2 ** 20; // bytes

export async function zip(bytes: ArrayBuffer): Promise<ArrayBuffer> {
  return through(bytes, new CompressionStream("gzip"));
}

export async function unzip(bytes: ArrayBuffer): Promise<ArrayBuffer> {
  return through(bytes, new DecompressionStream("gzip"));
}

function through(
  bytes: ArrayBuffer,
  transform: CompressionStream | DecompressionStream,
): Promise<ArrayBuffer> {
  const source = new ReadableStream<BufferSource>({
    start(controller) {
      // One huge piece would be compressed more slowly.
      for (let at = 0; at < bytes.byteLength; at += PIECE) {
        controller.enqueue(new Uint8Array(bytes, at, Math.min(PIECE, bytes.byteLength - at)));
      }
      controller.close();
    },
  });
  return new Response(source.pipeThrough(transform)).arrayBuffer();
}

export interface EncodedLabels {
  readonly dtype: LabelDtype;
  /** Gzipped. */
  readonly bytes: ArrayBuffer;
}

/** The smallest dtype that holds all labels, as gzipped bytes. */
export async function encodeLabels(flat: Uint32Array<ArrayBuffer>): Promise<EncodedLabels> {
  let highest = 0;
  for (let at = 0; at < flat.length; at++) highest = Math.max(highest, flat[at] ?? 0);
  const dtype = highest < 65_536 ? "uint16" : "uint32";
  const raw = dtype === "uint16" ? new Uint16Array(flat) : flat;
  return { dtype, bytes: await zip(raw.buffer) };
}

export async function decodeLabels({ dtype, bytes }: EncodedLabels): Promise<Uint32Array> {
  const raw = await unzip(bytes);
  return dtype === "uint16" ? new Uint32Array(new Uint16Array(raw)) : new Uint32Array(raw);
}
