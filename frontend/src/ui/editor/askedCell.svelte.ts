/**
 * The one cell, or place of a missing one, that somebody was asked about in the gallery and came
 * here to draw. Nobody looked at the rest of the image: only what is changed, and that cell, is
 * handed in as complete.
 */
import type { QueueItem } from "../../api/types";
import type { Command } from "../../core/commands";
import { withRegion } from "../../core/completeness";
import { cellsOf, type MaskDocument } from "../../core/document";
import { grow, type Box } from "../../core/geometry";
import { untouched, type Disagreement } from "../../core/merge";
import type { OverlayShape } from "../../core/overlay";
import type { EditorState } from "../../core/state";
import { RegionsStep } from "../../core/steps";
import { MOST_REGIONS, withCells } from "../../core/surroundings";
import { fit, type Camera, type Size } from "../../render/camera";
import type { Mended } from "../mended";
import type { Asked } from "../router";
import { answeredBy, pointOf } from "./answered";
import { regionsToSend, type AskedRegion } from "./asked.svelte";
import { cameWith, mineOf, withLabel, type Came } from "./mine";
import { boxIou, boxOf, isWhole, SAME_BOX_IOU, type About, type Opened } from "./opening";

/** px around it that its frame keeps away. */
const AWAY = 3;
/** Of a place, where no prediction tells how large cells are. */
const USUAL_DIAMETER = 20;
const FULL =
  "The image has as many complete regions as it may have. Switch Whole image on, correct all of it and submit that.";

/** An image opened for a question. Whoever has it from the queue hands in what the queue asks. */
export function openedAbout(
  opened: Opened,
  asked: Asked | null,
  item: QueueItem | null,
  look = false,
): Opened {
  if (asked === null) return opened;
  const partly = item === null && !look && !isWhole(opened);
  const about = { asked, ...placeOf(opened, asked), partly };
  if (!partly) return { ...opened, about };
  const { doc } = opened;
  return { ...opened, about, doc: { ...doc, regions: doc.regions ?? [] } };
}

function placeOf(opened: Opened, asked: Asked): Pick<About, "label" | "box"> {
  if ("place" in asked) {
    const { x, y } = asked.place;
    const half = (opened.prediction?.diameter ?? USUAL_DIAMETER) / 2;
    return { label: null, box: grow({ x0: x, y0: y, x1: x, y1: y }, half) };
  }
  const { cell: wanted, prediction } = asked;
  const same = opened.prediction?.id === prediction;
  const found = same ? opened.predicted.find(([, { label }]) => label === wanted) : undefined;
  if (found === undefined) return { label: null, box: null };
  const [number, cell] = found;
  const box = boxOf(cell.bbox);
  const label = cellLike(opened.doc, number, box);
  return { label, box: (label === null ? null : opened.doc.geometry.get(label)?.box) ?? box };
}

/** The cell in a box, be it of another number by now. */
function cellLike(doc: MaskDocument, number: number, box: Box): number | null {
  const like = [...cellsOf(doc)]
    .map((cell) => ({ label: cell.label, iou: boxIou(cell.box, box) }))
    .filter(({ iou }) => iou >= SAME_BOX_IOU);
  if (like.some(({ label }) => label === number)) return number;
  return like.sort((a, b) => b.iou - a.iou)[0]?.label ?? null;
}

/** There may be thousands of them: each cell that was answered for is several. */
function newRegions(before: readonly Box[], now: readonly Box[]): Box[] {
  if (before === now) return [];
  const cornersOf = ({ x0, y0, x1, y1 }: Box): string => `${x0} ${y0} ${x1} ${y1}`;
  const known: ReadonlySet<string> = new Set(before.map(cornersOf));
  return now.filter((box) => !known.has(cornersOf(box)));
}

/** What this needs of the editor. */
interface Host {
  readonly opened: Opened;
  readonly asked: AskedRegion;
  readonly settled: EditorState;
}

export class AskedCell {
  /** What was handed in last, and what of it is complete; null once that was told. */
  sent: (Pick<MaskDocument, "regions"> & { readonly doc: MaskDocument }) | null = null;
  /** What I drew, changed or took away; what was taken from somebody else's revision is theirs. */
  readonly changed = $derived.by(() => mineOf(this.before, this.host.settled.doc, this.came));
  /** The cells that are handed in as checked. */
  readonly checked = $derived.by(() => withLabel(this.changed, this.about?.label));
  /** The revision that the work was merged with: what is complete there stays so. */
  private merged = $state.raw<MaskDocument | null>(null);
  private came = $state.raw<Came | null>(null);
  /** As the image was opened, in the tiles of the work at hand. */
  private shared: MaskDocument | null = null;

  constructor(private readonly host: Host) {}

  /** By it changes are told, also after a merge: the other revision's are not mine. */
  private get before(): MaskDocument {
    return this.shared ?? this.host.opened.doc;
  }

  /** `doc` was read anew, be it as a draft: comparing with it costs only what was changed. */
  share(doc: MaskDocument): void {
    const { before } = this;
    this.shared = { ...before, labels: before.labels.sharing(doc.labels) };
  }

  /** The work is `mine` and what was taken of `theirs` in one now. */
  noteMerge(mine: MaskDocument, theirs: MaskDocument, taken: readonly Disagreement[]): void {
    const { before, came, host } = this;
    const { doc } = host.settled;
    this.came = cameWith([mine, doc], mineOf(before, mine, came), taken, came);
    this.merged = theirs;
  }

  /** Where theirs is the answer unless somebody says otherwise: what was not changed here. */
  leftToThem(theirs: MaskDocument, found: readonly Disagreement[]): readonly Disagreement[] {
    if (!this.partly) return [];
    const versions = { before: this.before, mine: this.host.settled.doc, theirs };
    return untouched(found, this.changed, versions);
  }

  get about(): About | null {
    return this.host.opened.about ?? null;
  }

  /** Only what was changed is handed in as complete; not where *Whole image* was switched on. */
  get partly(): boolean {
    return this.about?.partly === true && this.host.settled.doc.regions !== null;
  }

  /** There is something to say though nothing was changed: that the cell is well drawn. */
  get confirms(): boolean {
    return this.partly && (this.about?.label != null || this.changed.size > 0);
  }

  /** What is asked about, in a few words. */
  get words(): string {
    const { about } = this;
    if (about === null) return "";
    if ("place" in about.asked) return "a place where a cell may be missing";
    return `cell ${about.label ?? about.asked.cell}`;
  }

  /**
   * What is handed in as complete, and whether that is only what was asked about and changed.
   * Throws where the image may not have as many regions.
   */
  toSend(doc: MaskDocument): { regions: MaskDocument["regions"]; inPassing: boolean } {
    const { host, merged } = this;
    if (host.opened.about?.partly !== true || doc.regions === null) {
      return { regions: regionsToSend(host.opened, doc), inPassing: false };
    }
    // What somebody answered for meanwhile stays complete, be it the whole image.
    if (merged?.regions === null) return { regions: null, inPassing: false };
    const before = (merged?.regions ?? []).reduce(withRegion, doc.regions);
    const around = withCells(before, this.checked, this.before, doc);
    const point = pointOf(host.opened, doc, this.checked);
    const regions = point === null ? around : withRegion(around, point);
    if (regions.length > MOST_REGIONS) throw new Error(FULL);
    return { regions, inPassing: true };
  }

  /** Restored work may be of a time when all of the image was meant. */
  get mark(): Command {
    return (state, dispatch) => {
      if (this.about?.partly !== true) return this.host.asked.mark(state, dispatch);
      if (state.doc.regions !== null) return false;
      const step = new RegionsStep(null, this.host.opened.doc.regions);
      dispatch?.({ kind: "edit", name: "Mark regions instead", steps: [step] });
      return true;
    };
  }

  /** The camera that shows it with its neighbours, else the region that is asked about. */
  camera(view: Size): Camera | null {
    const box = this.about?.box ?? null;
    if (box === null) return this.host.asked.camera(view);
    return fit(grow(box, Math.max(box.x1 - box.x0, box.y1 - box.y0)), view);
  }

  /**
   * Its frame, and what was marked in this sitting. The rest is not dimmed then: what lies around a
   * cell tells where it ends.
   */
  shapes(doc: MaskDocument): OverlayShape[] {
    const { about, host } = this;
    if (about === null) return host.asked.shapes(doc);
    const drawn = newRegions(host.opened.doc.regions ?? [], doc.regions ?? []);
    const around = about.partly
      ? drawn.map((box): OverlayShape => ({ kind: "box", box, tone: "add" }))
      : host.asked.shapes(doc);
    const now = about.label === null ? undefined : doc.geometry.get(about.label);
    const box = now?.box ?? about.box;
    return box === null ? around : [...around, { kind: "corners", box: grow(box, AWAY) }];
  }

  /** What the latest submit has answered of what the gallery asks; null: nothing was asked here. */
  takeAnswered(): Mended | null {
    const { about, host, sent } = this;
    this.sent = null;
    if (about === null || sent === null) return null;
    return answeredBy(host.opened, sent.doc, sent.regions);
  }
}
