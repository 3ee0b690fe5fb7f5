/**
 * The editor on drawn arrays, without a server: `npx vite` and open
 * /tests/harness/index.html?size=1024&cells=1000. Not shipped.
 */
import { mount } from "svelte";
import "../../src/ui/base.css";
import "../../src/ui/theme.css";
import Harness from "./Harness.svelte";
import { answerFrom } from "./server";

const asked = new URLSearchParams(location.search);
const server = answerFrom({
  size: Number(asked.get("size") ?? 512),
  cells: Number(asked.get("cells") ?? 180),
});
window.fetch = (input, init) => server(input instanceof Request ? input.url : String(input), init);

const target = document.getElementById("app");
if (target) mount(Harness, { target, props: { alone: asked.has("alone") } });
