/** One open image: the core's state as runes, the tools, and how the image is looked at. */
import { messageOf } from "../../api/client";
import { cellAt } from "../../api/flows";
import { redo, select, undo, type Command } from "../../core/commands";
import { differenceOf } from "../../core/diff";
import { boxOfCells, type MaskDocument } from "../../core/document";
import type { Box, Point, Span } from "../../core/geometry";
import { autoContrast, type Contrast } from "../../core/intensity";
import { referenceOf } from "../../core/reference";
import {
  openState,
  transact,
  type Dispatch,
  type EditorState,
  type Transaction,
} from "../../core/state";
import { clamped, fit, panned, zoomed, type Camera, type Size } from "../../render/camera";
import { broughtIn } from "./bringing";
import {
  channelColour,
  drawnChannels,
  type ChannelView,
  type OverlayView,
  type Palette,
  type Rgb,
} from "../../render/settings";
import { createTools } from "../../tools";
import type { ToolContext, ToolName } from "../../tools/tool";
import { toast } from "../toasts.svelte";
import { AskedRegion } from "./asked.svelte";
import { AskedCell } from "./askedCell.svelte";
import { cultureType, typeColours, type Opened } from "./opening";
import { keepPreferences, readPreferences } from "./preferences";
import { Pointing } from "./pointing.svelte";
import { Reviewing } from "./review.svelte";
import { timed } from "./timing";
import { firstPaintType } from "./typing";

/** Masks shown in place of those of the document as it was when they came. */
export interface Preview {
  readonly base: MaskDocument;
  readonly doc: MaskDocument;
}

export const PREVIEWING = "Apply or reset the thresholds first.";
const EDITS: ReadonlySet<Transaction["kind"]> = new Set(["edit", "undo", "redo"]);

export class Editor {
  state = $state.raw() as EditorState;
  /** The state at the last moment when no gesture was under way; panels read this one. */
  settled = $state.raw() as EditorState;
  /** As long as it is shown nothing can be changed; it is no part of the state. */
  preview = $state.raw<Preview | null>(null);
  /** Something was tried that the preview does not allow. */
  refused = $state(false);
  tool = $state<ToolName>("brush");
  channels = $state.raw<ChannelView[]>([]);
  overlay = $state.raw() as OverlayView;
  palette = $state<Palette>("fluorescence");
  /** One channel alone is shown in grey. */
  greyAlone = $state(true);
  /** Colours say what was changed in the model's cells. */
  comparing = $state(false);
  view = $state.raw<Size>({ width: 1, height: 1 });
  camera = $state.raw<Camera>({ centre: { x: 0, y: 0 }, scale: 1 });
  /** Image point under the pointer; null outside the view. */
  pointer = $state.raw<Point | null>(null);
  /** Rises when a tool changed what it shows. */
  toolVersion = $state(0);

  readonly tools = createTools();
  readonly asked = new AskedRegion(this);
  readonly askedCell = new AskedCell(this);
  readonly reviewing = new Reviewing(this);
  readonly pointing = new Pointing();
  readonly typeColours: ReadonlyMap<string, Rgb> = $derived.by(() =>
    typeColours(this.opened.dataset, this.palette),
  );
  readonly drawn = $derived.by(() => drawnChannels(this.channels, this.greyAlone));
  readonly previewing = $derived.by(
    () => this.preview !== null && this.preview.base === this.state.doc,
  );
  /** What is drawn: the state, with the previewed masks in it. */
  readonly shown = $derived.by(() =>
    this.previewing && this.preview !== null
      ? { ...this.state, doc: this.preview.doc }
      : this.state,
  );
  readonly difference = $derived.by(() => {
    const { doc, reference } = this.previewing ? this.shown : this.settled;
    return this.comparing && reference.model !== null ? differenceOf(doc, reference.model) : null;
  });
  /** What lies over the image whatever the tool. */
  readonly backdrop = $derived.by(() => {
    const asked = this.askedCell.shapes(this.state.doc);
    const shapes = [...asked, ...this.reviewing.ticks, ...this.pointing.shapes];
    if (this.difference === null) return shapes;
    const { formerSpans, removedSpans } = this.difference;
    shapes.push({ kind: "area", spans: formerSpans, change: "former" });
    shapes.push({ kind: "area", spans: removedSpans, change: "removed" });
    return shapes;
  });
  /** Per channel, sorted sample of its values. */
  readonly samples: readonly Float32Array[];
  readonly hover = $derived.by(() => {
    if (this.pointer === null) return 0;
    return this.shown.doc.labels.at(Math.floor(this.pointer.x), Math.floor(this.pointer.y));
  });
  readonly context: ToolContext;
  /** Why not to change anything just now is asked here; whoever has a reason says so. */
  locked: () => boolean = () => false;
  /** What ended by itself, and when, for an Enter that was meant for it and comes too late. */
  ended: { readonly what: string; readonly at: number } | null = null;
  private laidDown: ToolName | null = null;
  private fitted = false;

  constructor(
    readonly opened: Opened,
    /** This person may look, not annotate. */
    readonly viewOnly: boolean,
  ) {
    const { dataset, doc, evidence, image, raster, roles } = opened;
    const preferences = readPreferences(dataset.id);
    const culture = cultureType(image, dataset);
    const brushMeta =
      culture === null
        ? ({ type: null, source: "" } as const)
        : ({ type: culture, source: "file_name" } as const);
    const { diameter } = preferences;
    const paintType = firstPaintType(dataset, culture, preferences.type);
    const reference = referenceOf({ ...raster, roles }, opened.model);
    this.state = openState(doc, evidence, { brushMeta, paintType, diameter }, reference);
    this.settled = this.state;
    this.overlay = preferences.overlay;
    this.palette = preferences.palette;
    this.greyAlone = preferences.greyAlone;
    this.samples = opened.samples;
    this.channels = opened.roles.map((role, index) => ({
      role,
      visible: preferences.channels[role]?.visible ?? true,
      gamma: preferences.channels[role]?.exponent ?? 1,
      contrast: preferences.channels[role]?.contrast ?? this.autoContrastOf(index),
      colour: channelColour(role, index, opened.roles.length, this.palette),
    }));
    this.context = this.makeContext();
    if (opened.about?.label != null) this.run(select([opened.about.label]));
    if (viewOnly) this.tool = "select";
  }

  /** Nothing can be changed, for good or until the reason is gone. */
  get readOnly(): boolean {
    return this.viewOnly || this.locked();
  }

  readonly dispatch = (transaction: Transaction): void => {
    // What was begun before may end: half a stroke is no harm, an open one would be.
    if (EDITS.has(transaction.kind) && (this.readOnly || this.refuse())) return;
    const allowed = this.asked.allowed(transaction);
    if (allowed === null) return;
    this.state = transact(this.state, allowed);
    if (this.state.history.open === null) this.settled = this.state;
    this.reviewing.noticed(transaction);
    if (transaction.kind !== "set") return;
    const { diameter, paintType } = transaction.options;
    this.givenType = paintType ?? this.givenType;
    if (diameter !== undefined || paintType !== undefined) this.keep();
  };

  private givenType: string | null = null;

  /** Keys and buttons do not get between the parts of a gesture: its undo would not fit any more. */
  private readonly command: Dispatch = (transaction) => {
    if (this.state.history.open === null || !EDITS.has(transaction.kind))
      this.dispatch(transaction);
  };

  run(command: Command): boolean {
    return timed("command", () => command(this.state, this.command));
  }

  can(command: Command): boolean {
    return !this.readOnly && !this.previewing && command(this.settled);
  }

  /** Show masks that are not applied; null: those of the document again. */
  show(preview: Preview | null): void {
    this.preview = preview;
    this.refused = false;
  }

  /** True, and said once, while a preview is shown: what is done must be seen. */
  refuse(): boolean {
    if (!this.previewing) return false;
    if (!this.refused) toast(PREVIEWING);
    this.refused = true;
    return true;
  }

  /** In a gesture made of clicks the last of them, else the last edit. */
  undo(): void {
    if (!this.withinGesture("undo")) this.run(undo);
  }

  redo(): void {
    if (!this.withinGesture("redo")) this.run(redo);
  }

  /** A tool holds points, which undo and redo are for. */
  get holdsPoints(): boolean {
    const tool = this.tools[this.tool];
    return tool.busy && tool.undo !== undefined;
  }

  private withinGesture(way: "undo" | "redo"): boolean {
    const took = this.tools[this.tool][way]?.() ?? false;
    if (took) this.toolVersion++;
    return took;
  }

  chooseTool(name: ToolName): void {
    this.cancelGesture();
    this.tool = name;
    this.laidDown = null;
  }

  /** Take a tool up for a moment; the one in hand is remembered. */
  borrowTool(name: ToolName): void {
    const { tool } = this;
    this.chooseTool(name);
    this.laidDown = tool;
  }

  /** Take up again what was laid down for a borrowed tool. */
  returnTool(): void {
    if (this.laidDown !== null) this.chooseTool(this.laidDown);
  }

  /** Give up what the tools are doing; true when there was something. */
  cancelGesture(): boolean {
    const busy = Object.values(this.tools).filter((tool) => tool.busy);
    for (const tool of busy) tool.cancel(this.context);
    if (busy.length > 0) this.toolVersion++;
    return busy.length > 0;
  }

  // --- looking -------------------------------------------------------------------------------

  resize(view: Size): void {
    this.view = view;
    if (!this.fitted && view.width > 1) {
      this.fitted = true;
      this.showAsked();
    }
  }

  /** The cell or the region that is asked about, else the whole image. */
  showAsked(): void {
    this.camera = this.askedCell.camera(this.view) ?? fit(this.box, this.view);
  }

  fitImage(): void {
    this.camera = fit(this.state.doc.labels.box, this.view);
  }

  /** One image pixel per CSS pixel, around what is in the middle. */
  actualSize(): void {
    this.moveTo({ ...this.camera, scale: 1 });
  }

  zoomBy(factor: number, screen?: Point): void {
    const at = screen ?? { x: this.view.width / 2, y: this.view.height / 2 };
    this.moveTo(zoomed(this.camera, this.view, at, factor));
  }

  panBy(dx: number, dy: number): void {
    this.moveTo(panned(this.camera, dx, dy));
  }

  moveTo(camera: Camera): void {
    this.camera = clamped(camera, this.view, this.opened.raster);
  }

  /** Bring the selected cells to the middle, of a size to be judged at; `usual` is no enlargement. */
  centreOnSelection(usual = this.camera.scale): void {
    const box = boxOfCells(this.state.doc, this.state.selection);
    if (box === null) return;
    const { camera, view } = this;
    this.moveTo(broughtIn(box, { camera, view, usual, image: this.opened.raster }));
  }

  // --- channels and overlay ------------------------------------------------------------------

  autoContrastOf(channel: number): Contrast {
    return autoContrast(this.samples[channel] ?? new Float32Array());
  }

  setChannel(index: number, change: Partial<ChannelView>): void {
    this.channels = this.channels.map((channel, at) =>
      at === index ? { ...channel, ...change } : channel,
    );
    this.keep();
  }

  toggleChannel(index: number): void {
    const channel = this.channels[index];
    if (channel) this.setChannel(index, { visible: !channel.visible });
  }

  /** Channel `index` alone; all of them when it was alone already. */
  showOnly(index: number): void {
    if (this.channels[index] === undefined) return;
    const alone = this.channels.every(({ visible }, at) => visible === (at === index));
    this.channels = this.channels.map((channel, at) => ({
      ...channel,
      visible: alone || at === index,
    }));
    this.keep();
  }

  setPalette(palette: Palette): void {
    this.palette = palette;
    this.channels = this.channels.map((channel, index, all) => ({
      ...channel,
      colour: channelColour(channel.role, index, all.length, palette),
    }));
    this.keep();
  }

  setGreyAlone(greyAlone: boolean): void {
    this.greyAlone = greyAlone;
    this.keep();
  }

  /** Show what was changed in the model's cells, or no longer; false where no model saw them. */
  compare(comparing = !this.comparing): boolean {
    this.comparing = comparing && this.settled.reference.model !== null;
    return this.comparing === comparing;
  }

  setOverlay(change: Partial<OverlayView>): void {
    this.overlay = { ...this.overlay, ...change };
    this.keep();
  }

  keep(): void {
    const channels = Object.fromEntries(
      this.channels.map(({ role, visible, gamma, contrast }, index) => {
        const auto = this.autoContrastOf(index);
        const own = contrast.black !== auto.black || contrast.white !== auto.white;
        return [role, { visible, exponent: gamma, ...(own ? { contrast } : {}) }];
      }),
    );
    const { palette, overlay, greyAlone } = this;
    const { diameter } = this.state.options;
    const { id } = this.opened.dataset;
    // What a person gave last, not what this image's brush began with.
    const type = this.givenType ?? readPreferences(id).type;
    keepPreferences(id, { palette, overlay, greyAlone, channels, diameter, type });
  }

  get box(): Box {
    return this.state.doc.labels.box;
  }

  private makeContext(): ToolContext {
    const current = (): EditorState => this.state;
    const scale = (): number => this.camera.scale;
    return {
      get state() {
        return current();
      },
      get scale() {
        return scale();
      },
      dispatch: this.dispatch,
      pan: (dx, dy) => {
        this.panBy(dx, dy);
      },
      say: (text) => {
        toast(text);
      },
      refresh: () => {
        this.toolVersion++;
      },
      ended: (what) => {
        this.ended = { what, at: performance.now() };
      },
      ...(this.readOnly ? {} : { services: { cellAt: (pixel) => this.segmentedAt(pixel) } }),
    };
  }

  private async segmentedAt(pixel: Point): Promise<Span[] | null> {
    try {
      return await cellAt(this.opened.image.id, pixel);
    } catch (error) {
      toast(messageOf(error), "bad");
      return null;
    }
  }
}
