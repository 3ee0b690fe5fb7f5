/** The images before and after one in its data set. */
import { getAll } from "../../api/client";
import type { ImageItem } from "../../api/types";
import type { Opened } from "./opening";

const MOST = 5000;

/** The id of the next (1) or previous (-1) image; null at the end of the list. */
export async function neighbourOf(opened: Opened, direction: 1 | -1): Promise<number | null> {
  const images = await getAll<ImageItem>(`datasets/${opened.dataset.id}/images/`, {}, MOST);
  const at = images.findIndex(({ id }) => id === opened.image.id);
  return at === -1 ? null : (images[at + direction]?.id ?? null);
}
