/** What lies over the image, in image coordinates; drawn by the renderer. */
import type { Box, Point, Span } from "./geometry";

export type Tone = "add" | "remove" | "select";

export type OverlayShape =
  | {
      readonly kind: "ring";
      readonly centre: Point;
      readonly radius: number;
      readonly tone: Tone;
      /** In the colour of this cell type and with its name; null: no type. */
      readonly type?: string | null;
    }
  | {
      readonly kind: "path";
      readonly points: readonly Point[];
      readonly closed: boolean;
      readonly vertices: boolean;
      readonly tone: Tone;
      /** The first corner is lifted out: a click there closes the path. */
      readonly closing?: boolean;
    }
  /** A seed that was clicked: as large at any zoom. */
  | { readonly kind: "seed"; readonly at: Point }
  | { readonly kind: "box"; readonly box: Box; readonly tone: Tone }
  /** To be clicked: as large at any zoom. */
  | { readonly kind: "cross"; readonly at: Point; readonly tone: Tone }
  /** A cell that was decided in a review: as large at any zoom. */
  | { readonly kind: "tick"; readonly at: Point; readonly tone: Tone }
  /** The corners of a frame around what somebody was asked about: what it holds stays in sight. */
  | { readonly kind: "corners"; readonly box: Box }
  /** All of an image but its complete regions, or the one asked about, is dimmed. */
  | {
      readonly kind: "dimmed";
      readonly image: Box;
      readonly regions: readonly Box[];
      readonly asked?: Box;
    }
  /** Pixels of the model that the correction no longer has. */
  | {
      readonly kind: "area";
      readonly spans: readonly Span[];
      readonly change: "removed" | "former";
    };
