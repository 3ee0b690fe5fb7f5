/** The images before and after one in its data set. */
import { getJson } from "../../api/client";
import type { Neighbours } from "../../api/types";
import type { Opened } from "./opening";

/** The id of the next (1) or previous (-1) image; null at the end of the list. */
export async function neighbourOf(opened: Opened, direction: 1 | -1): Promise<number | null> {
  const { previous, next } = await getJson<Neighbours>(`images/${opened.image.id}/neighbours/`);
  return direction === 1 ? next : previous;
}
