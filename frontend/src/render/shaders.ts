/** One program draws a page: channels through their contrast, then fill and outline of the cells. */

export const VERTEX = `#version 300 es
uniform vec4 u_page;      // x0 y0 x1 y1 of the page, image pixels
uniform vec4 u_view;      // image point in the middle of the view, clip units per image pixel
out vec2 v_at;
void main() {
  vec2 corner = vec2(gl_VertexID & 1, gl_VertexID >> 1);
  v_at = mix(u_page.xy, u_page.zw, corner);
  gl_Position = vec4((v_at - u_view.xy) * u_view.zw, 0.0, 1.0);
}`;

export const MOST_CHANNELS = 4;

/** `integer`: the channel textures hold unsigned integers, else floats. */
export function fragmentShader(integer: boolean, channels: number): string {
  const sampler = integer ? "usampler2D" : "sampler2D";
  const indices = Array.from({ length: channels }, (_, index) => index);
  return `#version 300 es
precision highp float;
precision highp int;
precision highp usampler2D;
precision highp sampler2D;
${indices.map((index) => `uniform ${sampler} u_channel${index};`).join("\n")}
uniform vec4 u_window[${channels}];  // black, 1 / (white - black), gamma, visible
uniform vec3 u_tint[${channels}];
${LABELS}
vec3 intensities(vec2 at) {
  ivec2 texel = inPage(at);
  vec3 sum = vec3(0.0);
${indices.map((index) => channelTerm(index)).join("\n")}
  return sum;
}
${MAIN}`;
}

function channelTerm(index: number): string {
  return `  if (u_window[${index}].w > 0.0) {
    float value = (float(texelFetch(u_channel${index}, texel, 0).r) - u_window[${index}].x) * u_window[${index}].y;
    value = clamp(value, 0.0, 1.0);
    // Mostly 1, and a power is the dearest part of a picture.
    if (u_window[${index}].z != 1.0) value = pow(value, u_window[${index}].z);
    sum += value * u_tint[${index}];
  }`;
}

const LABELS = `
uniform usampler2D u_labels;
uniform sampler2D u_lookup;
uniform ivec2 u_origin;   // image pixel of texel (0, 0)
uniform ivec2 u_last;     // last texel of the page's textures
uniform float u_scale;    // device pixels per image pixel
uniform float u_outline;  // width in device pixels, 0: none
uniform float u_fill;     // opacity, 0: none
uniform uint u_hover;
uniform vec4 u_selected;  // x0 y0 x1 y1 around the selected cells, image pixels
in vec2 v_at;
out vec4 o_colour;

ivec2 inPage(vec2 at) {
  return clamp(ivec2(floor(at)) - u_origin, ivec2(0), u_last);
}
uint labelAt(vec2 at) {
  return texelFetch(u_labels, inPage(at), 0).r;
}
vec4 lookup(uint label) {
  return texelFetch(u_lookup, ivec2(int(label & 1023u), int(label >> 10)), 0);
}
bool selectedAt(vec2 at, uint label) {
  uint other = labelAt(at);
  return other != label && other != 0u && (int(lookup(other).a * 255.0 + 0.5) & 2) != 0;
}
// Outside of a selected cell, and near it.
bool nearSelected(vec2 at, uint label, float reach) {
  float aslant = reach * 0.7;
  return selectedAt(at + vec2(reach, 0.0), label) || selectedAt(at - vec2(reach, 0.0), label)
      || selectedAt(at + vec2(0.0, reach), label) || selectedAt(at - vec2(0.0, reach), label)
      || selectedAt(at + vec2(aslant, aslant), label) || selectedAt(at - vec2(aslant, aslant), label)
      || selectedAt(at + vec2(aslant, -aslant), label) || selectedAt(at + vec2(-aslant, aslant), label);
}
bool onEdge(vec2 at, uint label, float reach) {
  return labelAt(at + vec2(reach, 0.0)) != label || labelAt(at - vec2(reach, 0.0)) != label
      || labelAt(at + vec2(0.0, reach)) != label || labelAt(at - vec2(0.0, reach)) != label;
}
`;

const MAIN = `
// When several image pixels share a screen pixel, average a few of them: no shimmering.
vec3 picture() {
  int count = clamp(int(ceil(1.0 / u_scale - 0.2)), 1, 3);
  if (count == 1) return intensities(v_at);
  vec3 sum = vec3(0.0);
  for (int j = 0; j < count; j++) {
    for (int i = 0; i < count; i++) {
      vec2 offset = (vec2(i, j) + 0.5) / float(count) - 0.5;
      sum += intensities(v_at + offset / u_scale);
    }
  }
  return sum / float(count * count);
}

void main() {
  vec3 colour = min(picture(), vec3(1.0));
  uint label = u_fill > 0.0 || u_outline > 0.0 ? labelAt(v_at) : 0u;
  if (label != 0u) {
    vec4 entry = lookup(label);
    int flags = int(entry.a * 255.0 + 0.5);
    bool selected = (flags & 2) != 0;
    bool hovered = label == u_hover;
    float lift = (selected ? 0.14 : 0.0) + (hovered ? 0.14 : 0.0);
    colour = mix(colour, entry.rgb, (flags & 1) != 0 ? min(u_fill + lift, 1.0) : 0.0);
    if (u_outline > 0.0 && !selected && onEdge(v_at, label, u_outline / u_scale)) {
      // Who gave the type: the model draws dashes, the file name dots, a person an unbroken line.
      float along = gl_FragCoord.x + gl_FragCoord.y;
      bool gap = ((flags & 4) != 0 && mod(along, 11.0) > 6.5)
          || ((flags & 8) != 0 && mod(along, 5.0) > 2.2);
      vec3 line = entry.rgb;
      colour = mix(colour, line, gap ? 0.25 : 0.95);
    }
  }
  // Outside the cell: a neurite of two pixels is not hidden by its own outline.
  float white = max(u_outline, 1.0) * (u_scale < 2.0 ? 1.0 : 1.5) / u_scale;
  bool shown = (u_fill > 0.0 || u_outline > 0.0)
      && all(greaterThanEqual(v_at, u_selected.xy - white)) && all(lessThan(v_at, u_selected.zw + white));
  if (shown && nearSelected(v_at, label, white)) colour = vec3(1.0);
  // A dark rim outside lifts outlines off bright cytoplasm.
  else if (label == 0u && u_outline > 0.0 && onEdge(v_at, 0u, u_outline * 0.7 / u_scale)) colour *= 0.45;
  o_colour = vec4(colour, 1.0);
}`;
