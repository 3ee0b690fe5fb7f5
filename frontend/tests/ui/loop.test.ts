import { describe, expect, it } from "vitest";
import { loopState, may, runProgress, runSentence } from "../../src/ui/loop";
import { currentScore, progressParts } from "../../src/ui/progress";
import { dataset, evaluation, run, version } from "./rows";

const none = { segmenter: null, detector: null };

describe("loopState", () => {
  it("asks for images first", () => {
    const state = loopState(dataset({ images: 0 }, { versions: none }), []);
    expect(state).toMatchObject({ tone: "todo", page: "upload" });
  });
  it("tells the epoch and the time left of a training run, before anything else", () => {
    const state = loopState(dataset({ pending: 4 }), [run()]);
    expect(state).toEqual({
      tone: "busy",
      text: "Segmenter is training: epoch 3 of 10, 40 s left.",
      page: "training",
    });
  });
  it("names both models when both train", () => {
    const { text } = loopState(dataset(), [run(), run({ family: "detector", status: "queued" })]);
    expect(text).toContain("Segmenter is training");
    expect(text).toContain("Detector training waits for a free worker.");
  });
  it("sends to training when there are masks but no model, to the editor when there is neither", () => {
    expect(loopState(dataset({ annotated: 20 }, { versions: none }), []).page).toBe("training");
    expect(loopState(dataset({ annotated: 0 }, { versions: none }), []).page).toBe("correct");
  });
  it("counts the images that wait for the current pair", () => {
    const { text, tone } = loopState(dataset({ pending: 1 }), []);
    expect(tone).toBe("busy");
    expect(text).toBe("1 image waits for a prediction by segmenter-2 and detector-1.");
  });
  it("says how fast predictions come and how long they will take", () => {
    const { text } = loopState(dataset({ pending: 60, images_per_minute: 40 }), []);
    expect(text).toMatch(/detector-1\. At 40 a minute, 1 min 30 s left\.$/);
    const slow = loopState(dataset({ pending: 6, images_per_minute: 0.1 }), []);
    expect(slow.text).toMatch(/ At 6 an hour, 1 h left\.$/);
  });
  it("says when the models will train again, unless they never do by themselves", () => {
    expect(loopState(dataset({ queued: 1 }), []).text).toBe(
      "1 image waits for a correction. Both models train again after 200 newly corrected cells.",
    );
    const never = dataset({ queued: 3 }, { retrain_after_cells: 0 });
    expect(loopState(never, []).text).toBe("3 images wait for a correction.");
  });
  it("is calm when everything is annotated", () => {
    const state = loopState(dataset({ annotated: 10, queued: 0 }), []);
    expect(state).toMatchObject({ tone: "calm", page: "export" });
  });
});

describe("runSentence", () => {
  it("leaves out what is not known yet", () => {
    expect(runSentence(run({ epochs: 0, seconds_left: null }))).toBe(
      "Segmenter is training its first epoch.",
    );
  });
  it("names no total where minutes end the run: each guess of it is another", () => {
    const timed = run({ epoch: 3, epochs: 7, timed: true });
    expect(runSentence(timed)).toBe("Segmenter is training: epoch 3, 40 s left.");
    expect(runProgress(timed)).toEqual({ share: expect.closeTo(3 / 7), words: "3 epochs" });
  });
  it("tells the step of preparing and evaluating, with its time left", () => {
    const progress = { step: "reading images", done: 12, of: 60 };
    expect(runSentence(run({ status: "preparing", progress, seconds_left: 8.2 }))).toBe(
      "Segmenter training is preparing: reading images, 8 s left.",
    );
    const measuring = { step: "measuring segmenter-3", done: 0, of: 1 };
    const over = { status: "evaluating", progress: measuring, seconds_left: null } as const;
    expect(runSentence(run(over))).toBe("Segmenter is being evaluated: measuring segmenter-3.");
    expect(runSentence(run({ status: "preparing" }))).toContain("preparing its snapshot");
  });
  it("counts images while it prepares and evaluates, else epochs", () => {
    const progress = { step: "reading images", done: 1, of: 4 };
    expect(runProgress(run({ status: "preparing", progress, epochs: 0 }))).toEqual({
      share: 0.25,
      words: "1 of 4 images",
    });
    expect(runProgress(run())).toEqual({ share: 0.3, words: "3 epochs of 10" });
    expect(runProgress(run({ status: "preparing", epoch: 0, epochs: 0 }))).toEqual({
      share: 0,
      words: "0 epochs",
    });
  });
  it("gives the run's own message once it is over", () => {
    expect(runSentence(run({ status: "failed", message: "The loss became infinite." }))).toBe(
      "The loss became infinite.",
    );
    expect(runSentence(run({ status: "done" }))).toBe("Segmenter training is done.");
  });
});

describe("roles", () => {
  it("include the lesser ones", () => {
    expect(may("manager", "annotator")).toBe(true);
    expect(may("annotator", "manager")).toBe(false);
    expect(may("viewer", "viewer")).toBe(true);
  });
});

describe("progress", () => {
  it("shows the annotated, then those only predicted, and never more than the whole", () => {
    const shares = progressParts(dataset({ annotated: 2, predicted: 8 }).counts);
    expect(shares.map(({ share }) => share)).toEqual([0.2, 0, expect.closeTo(0.6)]);
    const parts = progressParts(dataset({ annotated: 2, in_parts: 3, predicted: 8 }).counts);
    expect(parts.map(({ share }) => share)).toEqual([0.2, 0.3, expect.closeTo(0.3)]);
    const imported = progressParts(dataset({ annotated: 10, predicted: 0 }).counts);
    expect(imported.map(({ share }) => share)).toEqual([1, 0, 0]);
    expect(progressParts(dataset({ images: 0 }).counts)).toEqual([]);
  });
  it("takes the score of the current version, not of the newest", () => {
    const versions = [
      version(2, [evaluation("h", "2026-02-02T00:00:00Z", { ap50: 0.6 })]),
      version(1, [evaluation("h", "2026-02-01T00:00:00Z", { ap50: 0.7 })]),
    ];
    expect(currentScore(versions, "segmenter-1")).toBe(0.7);
    expect(currentScore(versions, "segmenter-3")).toBeNull();
    expect(currentScore(versions, null)).toBeNull();
  });
});
