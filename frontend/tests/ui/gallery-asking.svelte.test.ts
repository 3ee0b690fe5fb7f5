import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Box } from "../../src/core/geometry";
import { addressOf, AskingState } from "../../src/ui/gallery/asking.svelte";
import { json, stubFetch, type Call } from "../api/stubs";
import { place, question } from "./gallery";

const bodyOf = ({ body }: Call): Record<string, unknown> =>
  JSON.parse(body as string) as Record<string, unknown>;

describe("cells one is asked about", () => {
  let calls: Call[] = [];
  let refuse = false;
  let left = 60;
  let down = false;
  let places: number[] = [];
  let placesDown = false;

  function answer(call: Call): Response {
    if (down) return json({ message: "The server is away.", code: "unavailable" }, 503);
    if (call.address.includes("/places/")) return ofPlaces(call);
    const path = call.address.split("/cells/")[1];
    if (path === "next/") {
      const { count, holding } = bodyOf(call) as { count: number; holding: number[] };
      const from = Math.max(0, ...holding);
      const to = Math.min(left, from + count);
      const cells = Array.from({ length: to - from }, (_, step) => from + step + 1);
      return json({ questions: cells.map((cell) => question(cell)), lease_minutes: 30 });
    }
    if (path === "answers/") {
      const { answers } = bodyOf(call) as { answers: { cell: number }[] };
      const cells = answers.map(({ cell }) => cell);
      const revisions = [{ id: 500 + (cells[0] ?? 0), image: 1, revision: 1 }];
      if (!refuse) return json({ revisions, answered: cells, refused: [] });
      const refused = cells.map((cell) => ({ cell, message: "eve has answered already." }));
      return json({ revisions: [], answered: [], refused });
    }
    if (path === "undo/") return json({ revisions: [], unchanged: [], moved: [] });
    return new Response(null, { status: 204 });
  }

  function ofPlaces(call: Call): Response {
    if (placesDown) return json({ message: "The server is away.", code: "unavailable" }, 503);
    const path = call.address.split("/places/")[1];
    if (path === "next/") {
      const { holding } = bodyOf(call) as { holding: number[] };
      const fresh = places.filter((id) => !holding.includes(id));
      return json({ places: fresh.map((id) => place(id)), lease_minutes: 30 });
    }
    if (path === "answers/") {
      const { answers } = bodyOf(call) as { answers: { place: number }[] };
      const answered = answers.map(({ place: id }) => id);
      return json({
        revisions: [{ id: 900, image: 1, revision: 1 }],
        answered: answered.filter((id) => id !== 13),
        refused: answered
          .filter((id) => id === 13)
          .map((id) => ({ place: id, message: "A cell has been drawn there in the meantime." })),
      });
    }
    return new Response(null, { status: 204 });
  }

  const sent = (path: string): Call[] => calls.filter(({ address }) => address.endsWith(path));

  beforeEach(() => {
    vi.useFakeTimers();
    refuse = down = placesDown = false;
    left = 60;
    places = [];
    calls = stubFetch(answer);
    vi.stubGlobal("document", { cookie: "" });
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  async function started(): Promise<AskingState> {
    const asking = new AskingState(1);
    await asking.fetch();
    return asking;
  }

  it("come one after the other; the next are fetched before these are done", async () => {
    const asking = await started();
    expect(asking.current?.question.cell).toBe(1);
    for (let step = 0; step < 13; step++) asking.answer("accepted", null);
    expect(asking.current?.question.cell).toBe(14);
    await vi.advanceTimersByTimeAsync(10);
    expect(sent("/cells/next/").length).toBe(2);
    expect(asking.items.length).toBe(48);
    // Still the same one, though others came.
    expect(asking.current?.question.cell).toBe(14);
  });

  it("are answered some at a time, and after a while all the same", async () => {
    const asking = await started();
    for (let step = 0; step < 8; step++) asking.answer("accepted", null);
    await vi.advanceTimersByTimeAsync(10);
    expect(sent("/answers/").length).toBe(1);
    asking.answer("retyped", "N2a");
    await vi.advanceTimersByTimeAsync(1000);
    expect(sent("/answers/").length).toBe(1);
    await vi.advanceTimersByTimeAsync(6000);
    const last = bodyOf(sent("/answers/")[1] as Call);
    expect(last["answers"]).toEqual([{ cell: 9, verdict: "retyped", type: "N2a" }]);
    expect(asking.answered).toBe(9);
  });

  it("can be taken back before they are sent, one by one, without the server", async () => {
    const asking = await started();
    asking.answer("accepted", null);
    asking.answer("rejected", null);
    await asking.undo();
    expect(asking.current?.question.cell).toBe(2);
    expect(asking.current?.state).toBe("open");
    expect(asking.answered).toBe(1);
    expect(sent("/undo/")).toEqual([]);
  });

  it("that were sent are taken back with those sent together, and asked again", async () => {
    const asking = await started();
    asking.answer("accepted", null);
    asking.answer("rejected", null);
    await asking.flush();
    await asking.undo();
    expect(bodyOf(sent("/undo/")[0] as Call)).toEqual({
      revisions: [501],
      cells: [1, 2],
      places: [],
    });
    expect(asking.current?.question.cell).toBe(1);
    expect(asking.open.length).toBe(24);
    expect(asking.canUndo).toBe(false);
  });

  it("that were sent twice over are taken back one lot after the other", async () => {
    const asking = await started();
    asking.answer("accepted", null);
    await asking.flush();
    asking.answer("accepted", null);
    await asking.flush();
    await Promise.all([asking.undo(), asking.undo()]);
    expect(sent("/undo/").map((call) => bodyOf(call)["cells"])).toEqual([[2], [1]]);
    expect([asking.answered, asking.open.length]).toEqual([0, 24]);
  });

  it("whose answer is on its way are not asked about again", async () => {
    const asking = await started();
    for (let step = 0; step < 16; step++) asking.answer("accepted", null);
    // The eighth and the sixteenth answer send those before; the next cells are asked for at once.
    await vi.advanceTimersByTimeAsync(10);
    const holding = sent("/cells/next/").map((call) => bodyOf(call)["holding"] as number[]);
    expect(holding.length).toBe(2);
    expect(holding[1]).toEqual(expect.arrayContaining([1, 8, 9, 13, 24]));
    expect(asking.items.filter(({ state }) => state === "accepted").length).toBe(16);
  });

  it("come with places where one may be missing, answered and taken back among them", async () => {
    places = [11, 12, 13];
    const asking = await started();
    const told = asking.items.slice(0, 6).map(({ question: { cell } }) => cell);
    expect(told).toEqual([-11, 1, 2, -12, 3, 4]);
    const [first] = asking.items;
    expect(first && asking.cropOf(first)?.picture).toBe("place 11");
    asking.answer("retyped", "N2a");
    asking.answer("accepted", null);
    await asking.flush();
    expect(bodyOf(sent("/places/answers/")[0] as Call)["answers"]).toEqual([
      { place: 11, verdict: "retyped", type: "N2a" },
    ]);
    expect(bodyOf(sent("/cells/answers/")[0] as Call)["answers"]).toEqual([
      { cell: 1, verdict: "accepted" },
    ]);
    await asking.undo();
    expect(bodyOf(sent("/undo/")[0] as Call)).toEqual({
      revisions: [501, 900],
      cells: [1],
      places: [11],
    });
    expect(asking.current?.question.place?.place).toBe(11);
    expect([asking.answered, asking.current?.state]).toEqual([0, "open"]);
  });

  it("that could be sent can be undone though places could not be, and those are sent again", async () => {
    places = [11];
    const asking = await started();
    asking.answer("accepted", null);
    asking.answer("accepted", null);
    placesDown = true;
    await asking.flush();
    expect(asking.error).toContain("away");
    placesDown = false;
    await asking.retry();
    expect(asking.error).toBe(null);
    expect(sent("/cells/answers/").length).toBe(1);
    expect(sent("/places/answers/").length).toBe(2);
    await asking.undo();
    await asking.undo();
    expect(sent("/undo/").map((call) => bodyOf(call)["cells"])).toEqual([[], [1]]);
  });

  it("come without places where those cannot be had", async () => {
    placesDown = true;
    const asking = await started();
    expect([asking.open.length, asking.error]).toEqual([24, null]);
  });

  it("whose place somebody has drawn in the meantime are said to have come to nothing", async () => {
    places = [13];
    const asking = await started();
    asking.answer("accepted", null);
    await asking.flush();
    expect(asking.items[0]?.state).toBe("refused");
    expect(asking.answered).toBe(0);
    asking.leave();
    expect(sent("/places/release/")).toEqual([]);
  });

  it("of places are given back with the others", async () => {
    places = [11, 12];
    const asking = await started();
    asking.leave();
    expect(bodyOf(sent("/places/release/")[0] as Call)).toEqual({ places: [11, 12] });
  });

  it("that come when nobody is there any more are given back", async () => {
    const asking = new AskingState(1);
    const fetching = asking.fetch();
    asking.leave();
    await fetching;
    const { cells } = bodyOf(sent("/cells/release/")[0] as Call) as { cells: number[] };
    expect(cells.length).toBe(24);
    expect(asking.items).toEqual([]);
  });

  it("are asked for anew when the browser shows the page again", async () => {
    const asking = await started();
    asking.answer("accepted", null);
    asking.leave(true);
    asking.comeBack();
    await vi.advanceTimersByTimeAsync(10);
    expect(sent("/cells/next/").length).toBe(2);
    expect(asking.current?.state).toBe("open");
    expect(asking.items.map(({ state }) => state).slice(0, 2)).toEqual(["accepted", "open"]);
    asking.leave(true);
    expect(sent("/cells/release/").length).toBe(2);
  });

  it("are skipped without an answer and not asked again", async () => {
    const asking = await started();
    asking.skip();
    expect(asking.current?.question.cell).toBe(2);
    for (let step = 0; step < 12; step++) asking.answer("accepted", null);
    await vi.advanceTimersByTimeAsync(10);
    const { holding } = bodyOf(sent("/cells/next/")[1] as Call) as { holding: number[] };
    expect(holding).toContain(1);
  });

  it("get no type where the file name tells it", async () => {
    calls = stubFetch((call) =>
      call.address.endsWith("/cells/next/")
        ? json({ questions: [question(1, { asks_type: false })], lease_minutes: 30 })
        : answer(call),
    );
    const asking = await started();
    asking.answer("retyped", "N2a");
    expect(asking.current?.state).toBe("open");
    asking.answer("retyped", "HEK");
    expect(asking.current?.state).toBe("accepted");
    await asking.flush();
    const answers = bodyOf(sent("/cells/answers/")[0] as Call)["answers"];
    expect(answers).toEqual([{ cell: 1, verdict: "accepted" }]);
  });

  it("that somebody else has answered meanwhile are marked, and do not count", async () => {
    const asking = await started();
    refuse = true;
    asking.answer("accepted", null);
    await asking.flush();
    expect(asking.items[0]?.state).toBe("refused");
    expect(asking.answered).toBe(0);
    expect(asking.canUndo).toBe(false);
  });

  it("are kept while the server is away, and sent when it is back", async () => {
    const asking = await started();
    down = true;
    asking.answer("accepted", null);
    await asking.flush();
    expect(asking.error).toBe("The server is away.");
    expect(asking.unkept).toBe("1 answer could not be sent yet, and would be lost.");
    down = false;
    await asking.retry();
    expect(asking.error).toBeNull();
    expect(asking.unkept).toBeNull();
    const answers = sent("/answers/").map((call) => bodyOf(call)["answers"]);
    expect(answers).toEqual([
      [{ cell: 1, verdict: "accepted" }],
      [{ cell: 1, verdict: "accepted" }],
    ]);
  });

  it("end when there are no more", async () => {
    left = 2;
    const asking = await started();
    asking.answer("accepted", null);
    asking.answer("accepted", null);
    await vi.advanceTimersByTimeAsync(10);
    expect(asking.finished).toBe(true);
    expect(sent("/answers/").length).toBe(1);
  });

  it("that are drawn in the editor are not asked again, and done once submitted there", async () => {
    const asking = await started();
    asking.draw();
    expect([asking.items[0]?.state, asking.current?.question.cell]).toEqual(["in the editor", 2]);
    for (let step = 0; step < 13; step++) asking.answer("accepted", null);
    await vi.advanceTimersByTimeAsync(10);
    expect(bodyOf(sent("/cells/next/")[1] as Call)["holding"]).toContain(1);
    const told = { image: 1, regions: [{ x0: 0, y0: 0, x1: 9, y1: 9 }] };
    asking.mended({ ...told, addresses: [addressOf(question(2))] });
    expect(asking.items[1]?.state).toBe("accepted");
    asking.mended({ ...told, image: 2, addresses: [addressOf(question(1))] });
    expect(asking.items[0]?.state).toBe("in the editor");
    asking.mended({ ...told, addresses: [addressOf(question(1))] });
    expect(asking.items[0]?.state).toBe("mended");
    asking.leave();
    await vi.advanceTimersByTimeAsync(10);
    const { cells } = bodyOf(sent("/cells/release/")[0] as Call) as { cells: number[] };
    expect([cells.includes(1), cells.includes(2)]).toEqual([true, false]);
  });

  it("that lie in what one tab handed in are done, whichever tab they were opened in", async () => {
    places = [11];
    const asking = await started();
    asking.draw();
    asking.draw();
    asking.draw();
    const states = (): (string | undefined)[] => asking.items.slice(0, 3).map(({ state }) => state);
    const [beside, around] = [12, 13].map((x1) => ({ x0: 12, y0: 30, x1, y1: 31 })) as [Box, Box];
    const addresses = [1, 2].map((cell) => addressOf(question(cell)));
    asking.mended({ image: 1, regions: [beside], addresses });
    expect(states()).toEqual(["in the editor", "mended", "mended"]);
    asking.mended({ image: 1, regions: [around], addresses: [] });
    expect(states()).toEqual(["mended", "mended", "mended"]);
  });

  it("are all done where the whole image was handed in", async () => {
    places = [11];
    const asking = await started();
    asking.draw();
    asking.mended({ image: 1, regions: null, addresses: [] });
    expect(asking.items.slice(0, 2).map(({ state }) => state)).toEqual(["mended", "mended"]);
  });

  it("that were opened in the editor can be answered all the same", async () => {
    const asking = await started();
    asking.draw();
    asking.at = 0;
    asking.answer("accepted", null);
    expect([asking.items[0]?.state, asking.answered]).toEqual(["accepted", 1]);
  });

  it("are sent and given back when the page is left", async () => {
    const asking = await started();
    asking.answer("accepted", null);
    asking.leave(true);
    await vi.advanceTimersByTimeAsync(10);
    expect(sent("/answers/").length).toBe(1);
    const { cells } = bodyOf(sent("/cells/release/")[0] as Call) as { cells: number[] };
    expect(cells.length).toBe(23);
    expect(cells).not.toContain(1);
  });
});
