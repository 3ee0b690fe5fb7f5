/** What corrections refer to and never change: the image's pixels and the model's masks. */
import type { MaskDocument } from "./document";
import type { Pixels } from "./intensity";
import { brightnessOf, type Intensity } from "./landscape";

export interface Reference {
  /** Null when no channel shows the cytoplasm. */
  readonly cytoplasm: Intensity | null;
  /** The cytoplasm channel, else all channels together; null without an image. */
  readonly brightness: Intensity | null;
  /** The nucleus channel, where another shows the cytoplasm. */
  readonly nuclei: Intensity | null;
  /** What the model predicted, beside whatever revision is being corrected. */
  readonly model: MaskDocument | null;
}

export const NO_REFERENCE: Reference = {
  cytoplasm: null,
  brightness: null,
  nuclei: null,
  model: null,
};

export function referenceOf(
  image: {
    readonly width: number;
    readonly height: number;
    readonly channels: readonly Pixels[];
    readonly roles: readonly string[];
  },
  model: MaskDocument | null,
): Reference {
  const { width, height, channels, roles } = image;
  const channelOf = (role: string): Intensity | null => {
    const values = channels[roles.indexOf(role)];
    return values === undefined ? null : { width, height, values };
  };
  const cytoplasm = channelOf("cytoplasm");
  return {
    cytoplasm,
    brightness: cytoplasm ?? brightnessOf(channels, image),
    nuclei: cytoplasm === null ? null : channelOf("nucleus"),
    model,
  };
}
