import { describe, expect, it } from "vitest";
import { ApiError } from "../../src/api/client";
import type { ImportReport } from "../../src/api/types";
import {
  addReports,
  batchFiles,
  countNames,
  emptyReport,
  stemOf,
  wantedFiles,
} from "../../src/ui/upload";
import { Uploader } from "../../src/ui/uploader.svelte";
import { parsed } from "./rows";

const file = (name: string, size = 10): File => new File(["x".repeat(size)], name);
const names = (files: readonly { name: string }[]): string[] => files.map(({ name }) => name);

describe("stemOf", () => {
  it.each([
    ["HEK_b1_f1.tif", "HEK_b1_f1"],
    ["HEK_b1_f1_masks.png", "HEK_b1_f1"],
    ["HEK_b1_f1_cp_masks.png", "HEK_b1_f1"],
    ["HEK_b1_f1_seg.npy", "HEK_b1_f1"],
    ["HEK_b1_f1_types.csv", "HEK_b1_f1"],
    ["HEK_b1_f1_img.tif", "HEK_b1_f1"],
    ["HEK_b1_f1_img_cp_masks.tif", "HEK_b1_f1"],
    ["HEK_b1_f1_MASKS.TIF", "HEK_b1_f1"],
    ["a.b.ome.tiff", "a.b"],
    ["masks.tif", "masks"],
  ])("of %s is %s", (name, stem) => {
    expect(stemOf(name)).toBe(stem);
  });
});

describe("countNames", () => {
  it("counts kinds, splits, cultures and images without a type", () => {
    const counts = countNames([
      parsed("a.tif"),
      parsed("b.tif", { culture: "mixed", split: "test" }),
      parsed("c.tif", { culture: "", type: "" }),
      parsed("a_masks.tif", { kind: "labels" }),
      parsed("a_types.csv", { kind: "types" }),
      parsed("x.txt", { kind: "ignored", culture: null }),
    ]);
    expect(counts).toEqual({
      images: 3,
      labels: 1,
      types: 1,
      ignored: 1,
      untyped: 1,
      bySplit: { train: 2, test: 1 },
      byCulture: { HEK: 1, mixed: 1 },
    });
  });
});

describe("batchFiles", () => {
  it("never parts an image from its masks and types", () => {
    const pairs = Array.from({ length: 30 }, (_, i) => [`f${i}.tif`, `f${i}_masks.tif`]).flat();
    // Sorted as a folder may be: masks far from their images.
    const batches = batchFiles([...pairs].sort().map((name) => file(name)));
    expect(batches.length).toBeGreaterThan(1);
    for (const batch of batches) {
      expect(batch.length).toBeLessThanOrEqual(20);
      const inBatch = names(batch);
      for (const name of inBatch) {
        expect(inBatch).toContain(`${stemOf(name)}_masks.tif`);
        expect(inBatch).toContain(`${stemOf(name)}.tif`);
      }
    }
    expect(batches.flat()).toHaveLength(60);
  });
  it("pairs masks with the image in their own folder, and sends masks without one last", () => {
    const at = (folder: string, name: string) => ({ name, size: 10, folder });
    const folders = ["A", "B", "C"].flatMap((folder) =>
      Array.from({ length: 8 }, (_, i) => [at(folder, `f${i}_masks.tif`), at(folder, `f${i}.tif`)]),
    );
    const files = [at("masks", "g_masks.tif"), ...folders.flat(), at("raw", "g.tif")];
    const batches = batchFiles(files, ({ folder }) => folder);
    for (const batch of batches.slice(0, -1)) expect(batch).toHaveLength(20);
    for (const batch of batches) {
      const inBatch = batch.map(({ folder, name }) => `${folder}/${stemOf(name)}`);
      const paired = inBatch.filter((key) => !/^(raw|masks)/.test(key));
      for (const key of paired) expect(paired.filter((each) => each === key)).toHaveLength(2);
    }
    expect(names(batches.flat()).slice(-2)).toEqual(["g.tif", "g_masks.tif"]);
  });
  it("limits the bytes of a portion but sends a single huge file all the same", () => {
    const huge = (name: string) => ({ name, size: 50_000_000 });
    const batches = batchFiles([huge("a.tif"), huge("b.tif"), { name: "c.tif", size: 9e8 }]);
    expect(batches.map(names)).toEqual([["a.tif"], ["b.tif"], ["c.tif"]]);
  });
  it("makes no portion of nothing", () => {
    expect(batchFiles([])).toEqual([]);
  });
});

describe("wantedFiles", () => {
  it("leaves out what the server would ignore", () => {
    const files = [file("a.tif"), file("notes.txt")];
    const preview = [parsed("a.tif"), parsed("notes.txt", { kind: "ignored" })];
    expect(names(wantedFiles(files, preview))).toEqual(["a.tif"]);
  });
});

describe("Uploader", () => {
  const choices = { split: "", culture: "" } as const;
  const many = Array.from({ length: 45 }, (_, i) => file(`f${i}.tif`));
  const imports = (files: File[]): ImportReport => ({
    ...emptyReport(),
    imported: files.map(({ name }, id) => ({ id, name })),
  });

  it("says of each file which folder it was picked from", async () => {
    const picked = (path: string): File => {
      const made = file(path.split("/").at(-1) ?? "");
      Object.defineProperty(made, "webkitRelativePath", { value: path });
      return made;
    };
    const sent: (readonly string[] | undefined)[] = [];
    const uploader = new Uploader((_files, { folders }) => {
      sent.push(folders);
      return Promise.reject(new ApiError("No.", 413, "bad_input"));
    });
    await uploader.run([picked("day/A/f.tif"), picked("day/B/f.tif"), file("g.tif")], choices);
    expect(sent).toEqual([["day/A", "day/B", ""]]);
    const failed = uploader.report.failed.map((row) => row.file);
    expect(failed).toEqual(["day/A/f.tif", "day/B/f.tif", "g.tif"]);
  });
  it("adds up the reports of all portions and the bytes sent", async () => {
    const shares: number[] = [];
    const uploader = new Uploader((files, _choices, onProgress) => {
      onProgress(0.5);
      shares.push(uploader.share);
      return Promise.resolve(imports(files));
    });
    await uploader.run(many, choices);
    expect(uploader.state).toBe("done");
    expect(uploader.report.imported).toHaveLength(45);
    expect(uploader.unsent).toEqual([]);
    expect(uploader.share).toBe(1);
    expect(shares).toEqual([10 / 45, 30 / 45, 42.5 / 45].map((share) => expect.closeTo(share)));
  });
  it("reports a refused portion file by file and goes on", async () => {
    let call = 0;
    const uploader = new Uploader((files) => {
      call += 1;
      if (call === 1) return Promise.reject(new ApiError("Too large.", 413, "bad_input"));
      return Promise.resolve(imports(files));
    });
    await uploader.run(many, choices);
    expect(uploader.report.failed).toHaveLength(20);
    expect(uploader.report.failed[0]).toEqual({ file: "f0.tif", message: "Too large." });
    expect(uploader.report.imported).toHaveLength(25);
    expect(uploader.error).toBeNull();
  });
  it("stops at a broken line and keeps what was not sent for another try", async () => {
    let online = false;
    let call = 0;
    const uploader = new Uploader((files) => {
      call += 1;
      if (call === 2 && !online) return Promise.reject(new ApiError("Broken.", 0, "offline"));
      return Promise.resolve(imports(files));
    });
    await uploader.run(many, choices);
    expect(uploader.error).toBe("Broken.");
    expect(uploader.unsent).toHaveLength(25);
    expect(uploader.report.imported).toHaveLength(20);
    online = true;
    await uploader.run([...uploader.unsent], choices);
    expect(uploader.unsent).toEqual([]);
    expect(uploader.error).toBeNull();
  });
});

describe("addReports", () => {
  it("adds every part", () => {
    const one: ImportReport = {
      imported: [{ id: 1, name: "a" }],
      duplicates: [{ file: "b", image: 1 }],
      revisions: 1,
      failed: [{ file: "c", message: "m" }],
      notes: ["n"],
    };
    const two = addReports(one, one);
    expect(two.imported).toHaveLength(2);
    expect(two.duplicates).toHaveLength(2);
    expect(two.revisions).toBe(2);
    expect(two.failed).toHaveLength(2);
    expect(two.notes).toEqual(["n", "n"]);
  });
});
