import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { openEvents, type EventSourceLike } from "../../src/api/events";
import { watchRun } from "../../src/api/runs";

type Listener = (event: MessageEvent<string>) => void;

class FakeSource implements EventSourceLike {
  static made: FakeSource[] = [];
  readyState = 1;
  closed = false;
  readonly #listeners = new Map<string, Listener>();

  constructor(readonly address: string) {
    FakeSource.made.push(this);
  }
  addEventListener(type: string, listener: Listener): void {
    this.#listeners.set(type, listener);
  }
  close(): void {
    this.closed = true;
  }
  say(type: string, data = ""): void {
    this.#listeners.get(type)?.({ data } as MessageEvent<string>);
  }
  breakOff(readyState: number): void {
    this.readyState = readyState;
    this.say("error");
  }
}

const last = (): FakeSource => {
  const source = FakeSource.made.at(-1);
  if (!source) throw new Error("nothing was opened");
  return source;
};

beforeEach(() => {
  vi.useFakeTimers();
  FakeSource.made = [];
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("openEvents", () => {
  const open = (onEvent: (data: string) => void): (() => void) =>
    openEvents("training-runs/1/events/", "run", onEvent, (address) => new FakeSource(address));

  it("hands over the events of its name until it is stopped", () => {
    const heard: string[] = [];
    const stop = open((data) => heard.push(data));
    last().say("run", "1");
    last().say("other", "2");
    stop();
    last().say("run", "3");
    expect(heard).toEqual(["1"]);
    expect(last().closed).toBe(true);
    expect(last().address).toBe("/api/v1/training-runs/1/events/");
  });
  it("leaves a polite close to the browser and opens anew after a refusal", () => {
    open(() => undefined);
    last().breakOff(0);
    vi.advanceTimersByTime(60_000);
    expect(FakeSource.made).toHaveLength(1);
    last().breakOff(2);
    vi.advanceTimersByTime(2_000);
    expect(FakeSource.made).toHaveLength(2);
  });
  it("waits longer after each refusal, and briefly again once events came", () => {
    open(() => undefined);
    last().breakOff(2);
    vi.advanceTimersByTime(2_000);
    last().breakOff(2);
    vi.advanceTimersByTime(2_000);
    expect(FakeSource.made).toHaveLength(2);
    vi.advanceTimersByTime(3_000);
    expect(FakeSource.made).toHaveLength(3);
    last().say("run", "x");
    last().breakOff(2);
    vi.advanceTimersByTime(2_000);
    expect(FakeSource.made).toHaveLength(4);
  });
  it("does not come back after it was stopped", () => {
    const stop = open(() => undefined);
    last().breakOff(2);
    stop();
    vi.advanceTimersByTime(60_000);
    expect(FakeSource.made).toHaveLength(1);
  });
});

describe("watchRun", () => {
  it("closes by itself when the run is over", () => {
    vi.stubGlobal("EventSource", FakeSource);
    const seen: string[] = [];
    watchRun(4, ({ status }) => seen.push(status));
    last().say("run", JSON.stringify({ id: 4, status: "training" }));
    expect(last().closed).toBe(false);
    last().say("run", JSON.stringify({ id: 4, status: "done" }));
    expect(last().closed).toBe(true);
    expect(seen).toEqual(["training", "done"]);
  });
});
