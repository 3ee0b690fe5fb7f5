/**
 * Draws the image and its labels with WebGL 2. Channels stay at full bit depth on the card; the
 * label image goes there as 32-bit integers, of which an edit uploads the changed tiles only.
 * Outlines and fills are computed per pixel, so the number of cells costs nothing.
 */
import { intersect, uniteAll, type Box } from "../core/geometry";
import type { Pixels } from "../core/intensity";
import type { LabelImage } from "../core/labelImage";
import type { Camera, Size } from "./camera";
import {
  buildProgram,
  createTexture,
  failOnError,
  openContext,
  readFrom,
  readWhole,
  writeTexture,
  type Gl,
  type TextureFormat,
} from "./gl";
import { LOOKUP_WIDTH } from "./lookup";
import { pagesOf, type Page } from "./pages";
import type { ChannelView, OverlayView } from "./settings";
import { fragmentShader, MOST_CHANNELS, VERTEX } from "./shaders";
import { Uniforms } from "./uniforms";

export interface RasterImage {
  readonly width: number;
  readonly height: number;
  /** One row-major plane per channel, all of one kind. */
  readonly channels: readonly Pixels[];
}

export interface Frame {
  readonly camera: Camera;
  readonly channels: readonly ChannelView[];
  readonly overlay: OverlayView;
  readonly hover: number;
  /** What of the image the selected cells are in; null: none is. */
  readonly selected: Box | null;
  /** Redraw this box of the image only (all else is unchanged since the last frame). */
  readonly only?: Box | null;
}

interface LoadedPage extends Page {
  readonly channels: readonly WebGLTexture[];
  readonly labels: WebGLTexture;
}

const OUTLINE_WIDTH = 1.8;
/** Pages stay this small even where the card takes more: memory is asked for in smaller lots. */
const LARGEST_PAGE = 8192;

export class Renderer {
  private readonly gl: Gl;
  private readonly largestPage: number;
  private program: WebGLProgram | null = null;
  /** The fragment shader that the program was built with. */
  private shader = "";
  /** The card was asked since the image was loaded, and has it. */
  private has = false;
  private uniforms: Uniforms | null = null;
  private pages: LoadedPage[] = [];
  private lookup: WebGLTexture | null = null;
  private lookupRows = 0;
  private image: RasterImage | null = null;
  private labels: LabelImage | null = null;
  private view: Size = { width: 1, height: 1 };
  private ratio = 1;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    largestPage = LARGEST_PAGE,
  ) {
    this.gl = openContext(canvas);
    const limit = this.gl.getParameter(this.gl.MAX_TEXTURE_SIZE) as number;
    this.largestPage = Math.min(largestPage, limit);
  }

  /** CSS size of the canvas and device pixels per CSS pixel. */
  resize(view: Size, ratio: number): void {
    this.view = view;
    this.ratio = ratio;
    const width = Math.max(1, Math.round(view.width * ratio));
    const height = Math.max(1, Math.round(view.height * ratio));
    if (this.canvas.width !== width) this.canvas.width = width;
    if (this.canvas.height !== height) this.canvas.height = height;
  }

  setImage(image: RasterImage): void {
    const { gl } = this;
    this.release();
    this.image = { ...image, channels: image.channels.slice(0, MOST_CHANNELS) };
    const count = this.image.channels.length;
    const format = channelFormat(gl, this.image.channels[0]);
    const integer = !(this.image.channels[0] instanceof Float32Array);
    this.build(fragmentShader(integer, count));
    for (const page of pagesOf(image.width, image.height, this.largestPage)) {
      this.pages.push(this.loadPage(page, this.image, format));
    }
    this.labels = null;
    this.has = false;
  }

  /** Throws a RenderError where the card refused the image. Asking makes the card finish first. */
  check(): void {
    try {
      failOnError(this.gl);
      this.has = true;
    } catch (error) {
      this.release();
      throw error;
    }
  }

  /** Fit for another image: no error is left that would seem to be that image's. */
  get sound(): boolean {
    return this.has && !this.gl.isContextLost();
  }

  /** Show these labels; returns the changed part of the image, or null when nothing changed. */
  setLabels(labels: LabelImage): Box | null {
    const earlier = this.labels;
    this.labels = labels;
    const changed = earlier === null ? [labels.box] : labels.changedSince(earlier);
    for (const page of this.pages) {
      for (const box of changed) this.uploadLabels(page, labels, box);
    }
    return uniteAll(changed);
  }

  /** Colours and flags of all labels, see `lookupTable`. */
  setLookup(table: Uint8Array<ArrayBuffer>): void {
    const { gl } = this;
    const rows = table.length / (LOOKUP_WIDTH * 4);
    const format = { internal: gl.RGBA8, format: gl.RGBA, type: gl.UNSIGNED_BYTE };
    if (this.lookup === null || rows !== this.lookupRows) {
      gl.deleteTexture(this.lookup);
      this.lookup = createTexture(gl, format, LOOKUP_WIDTH, rows);
      this.lookupRows = rows;
    }
    const box = { x0: 0, y0: 0, x1: LOOKUP_WIDTH, y1: rows };
    writeTexture(gl, { texture: this.lookup, format }, box, table);
  }

  draw(frame: Frame): void {
    const { gl, program, uniforms } = this;
    const area = this.scissor(frame);
    if (area === null) return;
    gl.enable(gl.SCISSOR_TEST);
    gl.scissor(area.x0, area.y0, area.x1 - area.x0, area.y1 - area.y0);
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    this.wipe();
    if (program === null || uniforms === null || this.lookup === null) return;
    gl.useProgram(program);
    uniforms.setFrame(frame, { view: this.view, ratio: this.ratio, outline: OUTLINE_WIDTH });
    for (const page of this.pages) this.drawPage(page, uniforms);
  }

  /** The browser took the context away. */
  get lost(): boolean {
    return this.gl.isContextLost();
  }

  /** No image any more: its memory goes back to the card, and the canvas is empty. */
  clear(): void {
    const { gl } = this;
    this.release();
    this.image = null;
    gl.deleteTexture(this.lookup);
    this.lookup = null;
    gl.disable(gl.SCISSOR_TEST);
    this.wipe();
  }

  /** Give everything back to the card. */
  dispose(): void {
    this.clear();
    this.gl.deleteProgram(this.program);
    this.program = null;
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }

  private wipe(): void {
    const { gl } = this;
    gl.clearColor(0.028, 0.04, 0.045, 1);
    gl.clear(gl.COLOR_BUFFER_BIT);
  }

  private build(shader: string): void {
    if (this.program !== null && shader === this.shader) return;
    const { gl } = this;
    gl.deleteProgram(this.program);
    this.program = null;
    this.program = buildProgram(gl, VERTEX, shader);
    this.uniforms = new Uniforms(gl, this.program);
    this.shader = shader;
  }

  private drawPage(page: LoadedPage, uniforms: Uniforms): void {
    const { gl } = this;
    page.channels.forEach((texture, unit) => {
      gl.activeTexture(gl.TEXTURE0 + unit);
      gl.bindTexture(gl.TEXTURE_2D, texture);
    });
    gl.activeTexture(gl.TEXTURE0 + MOST_CHANNELS);
    gl.bindTexture(gl.TEXTURE_2D, page.labels);
    gl.activeTexture(gl.TEXTURE0 + MOST_CHANNELS + 1);
    gl.bindTexture(gl.TEXTURE_2D, this.lookup);
    uniforms.setPage(page);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
  }

  /** The device rectangle to redraw (origin lower left), or null when none of it is in view. */
  private scissor({ only, camera }: Frame): Box | null {
    const whole = { x0: 0, y0: 0, x1: this.canvas.width, y1: this.canvas.height };
    if (only === undefined || only === null) return whole;
    const scale = camera.scale * this.ratio;
    const left = whole.x1 / 2 + (only.x0 - camera.centre.x) * scale;
    const right = whole.x1 / 2 + (only.x1 - camera.centre.x) * scale;
    const top = whole.y1 / 2 - (only.y0 - camera.centre.y) * scale;
    const bottom = whole.y1 / 2 - (only.y1 - camera.centre.y) * scale;
    // A few pixels more: outlines of the neighbours change as well.
    const reach = 3 * this.ratio + scale;
    return intersect(
      {
        x0: Math.floor(left - reach),
        y0: Math.floor(bottom - reach),
        x1: Math.ceil(right + reach),
        y1: Math.ceil(top + reach),
      },
      whole,
    );
  }

  private loadPage(page: Page, image: RasterImage, format: TextureFormat): LoadedPage {
    const { gl } = this;
    const width = page.held.x1 - page.held.x0;
    const height = page.held.y1 - page.held.y0;
    const whole = { x0: 0, y0: 0, x1: width, y1: height };
    const channels = image.channels.map((pixels) => {
      const texture = createTexture(gl, format, width, height);
      readFrom(gl, image.width, page.held);
      writeTexture(gl, { texture, format }, whole, pixels);
      readWhole(gl);
      return texture;
    });
    return { ...page, channels, labels: createTexture(gl, labelFormat(gl), width, height) };
  }

  private uploadLabels(page: LoadedPage, labels: LabelImage, changed: Box): void {
    const part = intersect(page.held, changed);
    if (part === null) return;
    const { x0, y0 } = page.held;
    const texels = { x0: part.x0 - x0, y0: part.y0 - y0, x1: part.x1 - x0, y1: part.y1 - y0 };
    const target = { texture: page.labels, format: labelFormat(this.gl) };
    writeTexture(this.gl, target, texels, labels.read(part));
  }

  private release(): void {
    const { gl } = this;
    for (const { channels, labels } of this.pages) {
      for (const texture of [...channels, labels]) gl.deleteTexture(texture);
    }
    this.pages = [];
  }
}

function labelFormat(gl: Gl): TextureFormat {
  return { internal: gl.R32UI, format: gl.RED_INTEGER, type: gl.UNSIGNED_INT };
}

function channelFormat(gl: Gl, pixels: Pixels | undefined): TextureFormat {
  if (pixels instanceof Uint8Array) {
    return { internal: gl.R8UI, format: gl.RED_INTEGER, type: gl.UNSIGNED_BYTE };
  }
  if (pixels instanceof Uint16Array) {
    return { internal: gl.R16UI, format: gl.RED_INTEGER, type: gl.UNSIGNED_SHORT };
  }
  return { internal: gl.R32F, format: gl.RED, type: gl.FLOAT };
}
