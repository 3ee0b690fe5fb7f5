/** Puts the editor's present state on the two canvases, once per frame and only what changed. */
import type { Difference } from "../../core/diff";
import { boxOfCells } from "../../core/document";
import { grow, uniteAll, type Box } from "../../core/geometry";
import type { OverlayShape } from "../../core/overlay";
import type { EditorState } from "../../core/state";
import type { Camera, Size } from "../../render/camera";
import { lookupTable, recoloured } from "../../render/lookup";
import { drawOverlay } from "../../render/overlay";
import type { RasterImage, Renderer } from "../../render/renderer";
import type { ChannelView, OverlayView, Rgb } from "../../render/settings";
import { resting } from "./resting";
import { timed } from "./timing";

/** At the latest after so many milliseconds is the card asked whether it has the image. */
const CHECK = 2_000;

/** Everything a frame is drawn from. */
export interface Scene {
  readonly state: EditorState;
  readonly camera: Camera;
  readonly view: Size;
  readonly channels: readonly ChannelView[];
  readonly overlay: OverlayView;
  readonly typeColours: ReadonlyMap<string, Rgb>;
  /** What the correction changed, where that is shown. */
  readonly difference: Difference | null;
  readonly hover: number;
  readonly shapes: readonly OverlayShape[];
}

export class Painter {
  private scene: Scene | null = null;
  private frame: number | null = null;
  private stopped = false;
  private lookedUp: readonly unknown[] = [];
  private shown: readonly unknown[] = [];
  private table = new Uint8Array(0);
  private hovered = 0;

  constructor(
    private readonly renderer: Renderer,
    private readonly above: HTMLCanvasElement,
    raster: RasterImage,
    refused: (error: unknown) => void,
  ) {
    renderer.setImage(raster);
    void this.check(refused);
  }

  /** Draw this scene with the next frame, unless a newer one comes before. */
  show(scene: Scene): void {
    this.scene = scene;
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      if (this.scene !== null) this.paint(this.scene);
    });
  }

  /** After the first frame: nobody should wait for it until the card has answered. */
  private async check(refused: (error: unknown) => void): Promise<void> {
    await resting(CHECK);
    if (this.stopped) return;
    try {
      this.renderer.check();
    } catch (error) {
      refused(error);
    }
  }

  stop(): void {
    this.stopped = true;
    if (this.frame !== null) cancelAnimationFrame(this.frame);
  }

  private paint(scene: Scene): void {
    const { renderer } = this;
    const ratio = window.devicePixelRatio;
    const { state, camera, channels, overlay, view, hover, shapes } = scene;
    renderer.resize(view, ratio);
    const changes = timed("upload", () => [
      renderer.setLabels(state.doc.labels),
      this.updateLookup(scene),
    ]);
    const pointed = this.hovered === hover ? [] : [this.hovered, hover];
    this.hovered = hover;
    const shown = [camera, channels, overlay, view, ratio];
    const moved = shown.some((value, index) => value !== this.shown[index]);
    this.shown = shown;
    const only = uniteAll([...changes, boxOfCells(state.doc, pointed)]);
    const selected = boxOfCells(state.doc, state.selection);
    const frame = { camera, channels, overlay, hover, selected };
    if (moved) renderer.draw(frame);
    else if (only !== null) renderer.draw({ ...frame, only: grow(only, 2) });
    const { typeColours } = scene;
    drawOverlay(this.above, { camera, view, ratio, shapes, typeColours });
  }

  /** The box of the cells that look otherwise from now on; null: none does. */
  private updateLookup({ state, overlay, typeColours, difference }: Scene): Box | null {
    const { doc, selection, evidence } = state;
    const { colourBy } = overlay;
    const inputs = [doc.meta, doc.highest, selection, evidence, colourBy, typeColours, difference];
    if (inputs.every((value, index) => value === this.lookedUp[index])) return null;
    this.lookedUp = inputs;
    const table = lookupTable({ doc, selection, evidence, typeColours, colourBy, difference });
    this.renderer.setLookup(table);
    const labels = recoloured(this.table, table);
    this.table = table;
    return boxOfCells(doc, labels);
  }
}
