/** The images before and after one in its data set. */
import { getAll } from "../../api/client";
import type { ImageItem } from "../../api/types";
import type { Opened } from "./opening";

const MOST = 5000;
/** The largest page that the server gives: as few requests as can be. */
const PAGE = 500;

/** The id of the next (1) or previous (-1) image; null at the end of the list. */
export async function neighbourOf(opened: Opened, direction: 1 | -1): Promise<number | null> {
  const path = `datasets/${opened.dataset.id}/images/`;
  const images = await getAll<ImageItem>(path, { query: { limit: PAGE } }, MOST);
  const at = images.findIndex(({ id }) => id === opened.image.id);
  return at === -1 ? null : (images[at + direction]?.id ?? null);
}
