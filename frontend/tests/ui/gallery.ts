/** Lists of cells and questions as the API gives them, for the gallery's tests. */
import type { Gallery, Place, Question } from "../../src/api/types";

/** `perImage` cells of each of `images` images, HEK and N2a in turn, uncertainty falling. */
export function gallery(images: number, perImage: number, over: Partial<Gallery> = {}): Gallery {
  const rows = Array.from({ length: images * perImage }, (_, at) => at);
  return {
    types: ["HEK", "N2a"],
    images: Array.from({ length: images }, (_, at) => ({
      id: at + 1,
      name: `image${at + 1}.tif`,
      split: "train",
      culture: "mixed",
      revision: 0,
      prediction: 100 + at,
    })),
    image: rows.map((at) => Math.floor(at / perImage)),
    label: rows.map((at) => (at % perImage) + 1),
    type: rows.map((at) => at % 2),
    uncertainty: rows.map((at) => Math.max(-1, 900 - at)),
    answered: rows.map(() => 0),
    left_off: 0,
    looks: "",
    ...over,
  };
}

export function place(id: number, over: Partial<Place> = {}): Place {
  return {
    place: id,
    image: 1,
    name: "image1.tif",
    prediction: 100,
    x: 12.4,
    y: 30.5,
    cells: 0.6,
    type: null,
    asks_type: true,
    spans: [[30, 10, 14]],
    crop: { picture: `place ${id}`, outline: "M1 1Z", side: 40 },
    ...over,
  };
}

export function question(cell: number, over: Partial<Question> = {}): Question {
  return {
    cell,
    image: 1,
    name: "image1.tif",
    prediction: 100,
    label: cell,
    type: "HEK",
    asks_type: true,
    score: 0.8,
    probabilities: { HEK: 0.6, N2a: 0.4 },
    uncertainty: 0.7,
    terms: { border: 0.6 },
    seen_by: "both",
    committee: true,
    ...over,
  };
}
