/** The few WebGL2 calls the renderer needs, with errors in words. */
import type { Box } from "../core/geometry";

export class RenderError extends Error {}

export type Gl = WebGL2RenderingContext;

export interface TextureFormat {
  readonly internal: number;
  readonly format: number;
  readonly type: number;
}

export function openContext(canvas: HTMLCanvasElement): Gl {
  const gl = canvas.getContext("webgl2", {
    antialias: false,
    alpha: false,
    depth: false,
    // Strokes redraw only the rectangle they changed.
    preserveDrawingBuffer: true,
    powerPreference: "high-performance",
  });
  if (gl === null) {
    throw new RenderError(
      "This browser offers no WebGL 2. Switch hardware acceleration on, or use a current Chromium or Firefox.",
    );
  }
  gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
  return gl;
}

/** To be asked once after much was loaded: asking makes the card finish first. */
export function failOnError(gl: Gl): void {
  const code = gl.getError();
  // A lost context comes back by itself and is loaded again.
  if (code === gl.NO_ERROR || gl.isContextLost()) return;
  throw new RenderError(
    code === gl.OUT_OF_MEMORY
      ? "The graphics card has too little free memory for this image. Close other tabs or programs that use it, then reload the page."
      : `The graphics card refused this image (WebGL error 0x${code.toString(16)}). Reload the page; if it happens again, try another browser.`,
  );
}

export function buildProgram(gl: Gl, vertex: string, fragment: string): WebGLProgram {
  const program = gl.createProgram();
  for (const [kind, source] of [
    [gl.VERTEX_SHADER, vertex],
    [gl.FRAGMENT_SHADER, fragment],
  ] as const) {
    const shader = gl.createShader(kind);
    if (shader === null) throw new RenderError("The graphics context was lost.");
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    if (gl.getShaderParameter(shader, gl.COMPILE_STATUS) === false && !gl.isContextLost()) {
      throw new RenderError(gl.getShaderInfoLog(shader) ?? "A shader does not compile.");
    }
    gl.attachShader(program, shader);
    gl.deleteShader(shader);
  }
  gl.linkProgram(program);
  if (gl.getProgramParameter(program, gl.LINK_STATUS) === false && !gl.isContextLost()) {
    throw new RenderError(gl.getProgramInfoLog(program) ?? "The shaders do not link.");
  }
  return program;
}

/** An immutable-size texture read texel by texel. */
export function createTexture(
  gl: Gl,
  { internal }: TextureFormat,
  width: number,
  height: number,
): WebGLTexture {
  const texture = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, texture);
  for (const side of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) {
    gl.texParameteri(gl.TEXTURE_2D, side, gl.NEAREST);
  }
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
  gl.texStorage2D(gl.TEXTURE_2D, 1, internal, width, height);
  return texture;
}

/** Write `pixels`, row by row, to a box of a texture (texel coordinates). */
export function writeTexture(
  gl: Gl,
  target: { texture: WebGLTexture; format: TextureFormat },
  box: Box,
  pixels: ArrayBufferView,
): void {
  gl.bindTexture(gl.TEXTURE_2D, target.texture);
  gl.texSubImage2D(
    gl.TEXTURE_2D,
    0,
    box.x0,
    box.y0,
    box.x1 - box.x0,
    box.y1 - box.y0,
    target.format.format,
    target.format.type,
    pixels,
  );
}

/** Say that the next upload reads a box out of a wider row-major image. */
export function readFrom(gl: Gl, rowLength: number, box: Box): void {
  gl.pixelStorei(gl.UNPACK_ROW_LENGTH, rowLength);
  gl.pixelStorei(gl.UNPACK_SKIP_PIXELS, box.x0);
  gl.pixelStorei(gl.UNPACK_SKIP_ROWS, box.y0);
}

export function readWhole(gl: Gl): void {
  readFrom(gl, 0, { x0: 0, y0: 0, x1: 0, y1: 0 });
}
