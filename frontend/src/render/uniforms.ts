/** Settings and camera as the shader's uniforms. */
import type { Box } from "../core/geometry";
import type { Camera, Size } from "./camera";
import type { Gl } from "./gl";
import type { Page } from "./pages";
import type { ChannelView, OverlayView } from "./settings";
import { MOST_CHANNELS } from "./shaders";

interface FrameView {
  readonly camera: Camera;
  readonly channels: readonly ChannelView[];
  readonly overlay: OverlayView;
  readonly hover: number;
  readonly selected: Box | null;
}

interface Target {
  readonly view: Size;
  readonly ratio: number;
  /** Outline width in CSS pixels. */
  readonly outline: number;
}

/** Far from every image. */
const NOWHERE: Box = { x0: -1e6, y0: -1e6, x1: -1e6, y1: -1e6 };

export class Uniforms {
  private readonly places = new Map<string, WebGLUniformLocation | null>();

  constructor(
    private readonly gl: Gl,
    private readonly program: WebGLProgram,
  ) {}

  setFrame({ camera, channels, overlay, hover, selected }: FrameView, target: Target): void {
    const { gl } = this;
    const { view, ratio, outline } = target;
    const { x, y } = camera.centre;
    const perPixel = [(2 * camera.scale) / view.width, (-2 * camera.scale) / view.height] as const;
    gl.uniform4f(this.at("u_view"), x, y, ...perPixel);
    gl.uniform1f(this.at("u_scale"), camera.scale * ratio);
    const lines = overlay.shown && overlay.outlines;
    gl.uniform1f(this.at("u_outline"), lines ? outline * ratio : 0);
    gl.uniform1f(this.at("u_fill"), overlay.shown && overlay.fill ? overlay.opacity : 0);
    gl.uniform1ui(this.at("u_hover"), hover);
    const { x0, y0, x1, y1 } = selected ?? NOWHERE;
    gl.uniform4f(this.at("u_selected"), x0, y0, x1, y1);
    this.setChannels(channels);
    gl.uniform1i(this.at("u_labels"), MOST_CHANNELS);
    gl.uniform1i(this.at("u_lookup"), MOST_CHANNELS + 1);
  }

  setPage({ inside, held }: Page): void {
    const { gl } = this;
    gl.uniform4f(this.at("u_page"), inside.x0, inside.y0, inside.x1, inside.y1);
    gl.uniform2i(this.at("u_origin"), held.x0, held.y0);
    gl.uniform2i(this.at("u_last"), held.x1 - held.x0 - 1, held.y1 - held.y0 - 1);
  }

  private setChannels(channels: readonly ChannelView[]): void {
    const { gl } = this;
    channels.slice(0, MOST_CHANNELS).forEach(({ contrast, gamma, visible, colour }, index) => {
      const range = Math.max(contrast.white - contrast.black, 1e-6);
      const shown = visible ? 1 : 0;
      gl.uniform1i(this.at(`u_channel${index}`), index);
      gl.uniform4f(this.at(`u_window[${index}]`), contrast.black, 1 / range, gamma, shown);
      gl.uniform3f(this.at(`u_tint[${index}]`), ...colour);
    });
  }

  private at(name: string): WebGLUniformLocation | null {
    let place = this.places.get(name);
    if (place === undefined) {
      place = this.gl.getUniformLocation(this.program, name);
      this.places.set(name, place);
    }
    return place;
  }
}
