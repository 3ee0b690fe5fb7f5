import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { AskingState } from "../../src/ui/gallery/asking.svelte";
import { json, stubFetch, type Call } from "../api/stubs";
import { question } from "./gallery";

const bodyOf = ({ body }: Call): Record<string, unknown> =>
  JSON.parse(body as string) as Record<string, unknown>;

describe("cells one is asked about", () => {
  let calls: Call[] = [];
  let refuse = false;
  let left = 60;
  let down = false;

  function answer(call: Call): Response {
    if (down) return json({ message: "The server is away.", code: "unavailable" }, 503);
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

  const sent = (path: string): Call[] => calls.filter(({ address }) => address.endsWith(path));

  beforeEach(() => {
    vi.useFakeTimers();
    refuse = down = false;
    left = 60;
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
    expect(sent("/next/").length).toBe(2);
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
    expect(bodyOf(sent("/undo/")[0] as Call)).toEqual({ revisions: [501], cells: [1, 2] });
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
    const holding = sent("/next/").map((call) => bodyOf(call)["holding"] as number[]);
    expect(holding.length).toBe(2);
    expect(holding[1]).toEqual(expect.arrayContaining([1, 8, 9, 13, 24]));
    expect(asking.items.filter(({ state }) => state === "accepted").length).toBe(16);
  });

  it("that come when nobody is there any more are given back", async () => {
    const asking = new AskingState(1);
    const fetching = asking.fetch();
    asking.leave();
    await fetching;
    const { cells } = bodyOf(sent("/release/")[0] as Call) as { cells: number[] };
    expect(cells.length).toBe(24);
    expect(asking.items).toEqual([]);
  });

  it("are asked for anew when the browser shows the page again", async () => {
    const asking = await started();
    asking.answer("accepted", null);
    asking.leave(true);
    asking.comeBack();
    await vi.advanceTimersByTimeAsync(10);
    expect(sent("/next/").length).toBe(2);
    expect(asking.current?.state).toBe("open");
    expect(asking.items.map(({ state }) => state).slice(0, 2)).toEqual(["accepted", "open"]);
    asking.leave(true);
    expect(sent("/release/").length).toBe(2);
  });

  it("are skipped without an answer and not asked again", async () => {
    const asking = await started();
    asking.skip();
    expect(asking.current?.question.cell).toBe(2);
    for (let step = 0; step < 12; step++) asking.answer("accepted", null);
    await vi.advanceTimersByTimeAsync(10);
    const { holding } = bodyOf(sent("/next/")[1] as Call) as { holding: number[] };
    expect(holding).toContain(1);
  });

  it("get no type where the file name tells it", async () => {
    calls = stubFetch((call) =>
      call.address.endsWith("/next/")
        ? json({ questions: [question(1, { asks_type: false })], lease_minutes: 30 })
        : answer(call),
    );
    const asking = await started();
    asking.answer("retyped", "N2a");
    expect(asking.current?.state).toBe("open");
    asking.answer("retyped", "HEK");
    expect(asking.current?.state).toBe("accepted");
    await asking.flush();
    const answers = bodyOf(sent("/answers/")[0] as Call)["answers"];
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

  it("are sent and given back when the page is left", async () => {
    const asking = await started();
    asking.answer("accepted", null);
    asking.leave(true);
    await vi.advanceTimersByTimeAsync(10);
    expect(sent("/answers/").length).toBe(1);
    const { cells } = bodyOf(sent("/release/")[0] as Call) as { cells: number[] };
    expect(cells.length).toBe(23);
    expect(cells).not.toContain(1);
  });
});
