import { gunzipSync, gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { decode, decodeLabels, encodeLabels } from "../../src/api/labels";

function answer(shape: string, dtype: string): Headers {
  return new Headers({ "X-Shape": shape, "X-Dtype": dtype });
}

function bytesOf(values: ArrayBufferView): ArrayBuffer {
  const { buffer, byteOffset, byteLength } = values;
  return buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer;
}

describe("labels on the wire", () => {
  it("come back as they were, in 16 bits while they fit", async () => {
    const flat = Uint32Array.from([0, 1, 65_535, 7]);
    const encoded = await encodeLabels(flat);
    expect(encoded.dtype).toBe("uint16");
    expect([...gunzipSync(new Uint8Array(encoded.bytes))]).toEqual([0, 0, 1, 0, 255, 255, 7, 0]);
    expect(await decodeLabels(encoded)).toEqual(flat);
  });

  it("take 32 bits from 65,536 on", async () => {
    const flat = Uint32Array.from([0, 65_536, 4_000_000_000]);
    const encoded = await encodeLabels(flat);
    expect(encoded.dtype).toBe("uint32");
    expect(await decodeLabels(encoded)).toEqual(flat);
  });

  it("are read with their shape, unzipped where the browser has not done it", async () => {
    const raw = Uint16Array.from([1, 2, 3, 4, 5, 6]);
    for (const body of [bytesOf(raw), bytesOf(gzipSync(new Uint8Array(raw.buffer)))]) {
      const found = await decode(body, answer("2, 3", "uint16"));
      expect(found.shape).toEqual([2, 3]);
      expect(found.values).toEqual(raw);
    }
  });

  it("that begin like gzip are taken as they are when their size is right", async () => {
    const raw = Uint16Array.from([0x8b1f, 8, 3]);
    expect((await decode(bytesOf(raw), answer("1,3", "uint16"))).values).toEqual(raw);
  });

  it("of a kind that no texture holds are read as floats", async () => {
    const found = await decode(bytesOf(Int16Array.from([-3, 300])), answer("1,2", "int16"));
    expect(found.values).toEqual(Float32Array.from([-3, 300]));
  });

  it("that do not fit their shape are refused with a sentence", async () => {
    const short = decode(bytesOf(Uint16Array.from([1, 2, 3])), answer("2,2", "uint16"));
    await expect(short).rejects.toThrow("3 pixels where 2 × 2 were expected");
    const unknown = decode(new ArrayBuffer(4), answer("2,2", "complex64"));
    await expect(unknown).rejects.toThrow("unknown kind");
  });
});
