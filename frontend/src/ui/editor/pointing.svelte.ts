/** Rings that blink around what somebody looks for, and are gone after a while. */
import type { Box } from "../../core/geometry";
import type { OverlayShape } from "../../core/overlay";

const BLINK = 280;
/** Off and on again so often; then it stays for a while. */
const TURNS = 3;
const STAYS = 2_500;
/** Around what is pointed at, in image pixels. */
const ROOM = 2;

export class Pointing {
  private rings = $state.raw<readonly OverlayShape[]>([]);
  private visible = $state(false);
  private timers: ReturnType<typeof setTimeout>[] = [];

  get shapes(): readonly OverlayShape[] {
    return this.visible ? this.rings : [];
  }

  at(boxes: readonly Box[]): void {
    for (const timer of this.timers) clearTimeout(timer);
    this.rings = boxes.map(({ x0, y0, x1, y1 }) => ({
      kind: "ring",
      centre: { x: (x0 + x1) / 2, y: (y0 + y1) / 2 },
      radius: Math.hypot(x1 - x0, y1 - y0) / 2 + ROOM,
      tone: "remove",
    }));
    this.visible = true;
    const turns = Array.from({ length: 2 * TURNS }, (_, turn) => (turn + 1) * BLINK);
    this.timers = [...turns, 2 * TURNS * BLINK + STAYS].map((after, turn) =>
      setTimeout(() => {
        this.visible = turn % 2 === 1;
      }, after),
    );
  }
}
