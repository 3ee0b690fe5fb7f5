/** Channels mixed to a picture without the graphics card, for small ones such as the map. */
import type { ChannelView } from "./settings";

/** RGBA, four bytes per pixel, of row-major planes shown as the renderer shows them. */
export function composite(
  planes: readonly Float32Array[],
  channels: readonly ChannelView[],
): Uint8ClampedArray<ArrayBuffer> {
  const count = planes[0]?.length ?? 0;
  const picture = new Uint8ClampedArray(count * 4);
  for (let at = 3; at < picture.length; at += 4) picture[at] = 255;
  planes.forEach((plane, index) => {
    const channel = channels[index];
    if (channel?.visible) add(picture, plane, channel);
  });
  return picture;
}

function add(
  picture: Uint8ClampedArray,
  plane: Float32Array,
  { contrast, gamma, colour }: ChannelView,
): void {
  const range = Math.max(contrast.white - contrast.black, 1e-6);
  for (let index = 0; index < plane.length; index++) {
    const share = ((plane[index] as number) - contrast.black) / range;
    const value = 255 * Math.min(1, Math.max(0, share)) ** gamma;
    for (let part = 0; part < 3; part++) {
      const at = index * 4 + part;
      picture[at] = (picture[at] as number) + value * (colour[part] as number);
    }
  }
}
