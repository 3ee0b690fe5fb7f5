/** What a tool shows while it works, in image coordinates; drawn by the renderer. */
import type { Box, Point } from "./geometry";

export type Tone = "add" | "remove" | "select";

export type OverlayShape =
  | { readonly kind: "ring"; readonly centre: Point; readonly radius: number; readonly tone: Tone }
  | {
      readonly kind: "path";
      readonly points: readonly Point[];
      readonly closed: boolean;
      readonly vertices: boolean;
      readonly tone: Tone;
    }
  | { readonly kind: "box"; readonly box: Box; readonly tone: Tone };
