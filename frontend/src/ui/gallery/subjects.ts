/**
 * What one person is asked about: cells, and among them places where one seems to be missing. One
 * list of numbers tells both: a cell's is its id, a place's the id of its question, negative.
 */
import {
  answerCells,
  askCells,
  releaseCells,
  undoCells,
  type Answer,
  type Crop,
} from "../../api/cells";
import { answerPlaces, askPlaces, releasePlaces } from "../../api/places";
import type { AnsweredCells, ChangedCells, Place, Question } from "../../api/types";

export type Subject = Question & { readonly place?: Place & { readonly crop: Crop } };

/** A batch is of so many places at most for each cell of it, and one comes after so many cells. */
const PLACES_SHARE = 1 / 3;
const CELLS_BETWEEN = 2;

/** Leases cells and places; `holding`: those at hand already, whose leases are renewed. */
export async function ask(
  datasetId: number,
  count: number,
  holding: readonly number[],
): Promise<Subject[]> {
  const [questions, places] = await Promise.all([
    askCells(datasetId, count, cellsOf(holding)),
    askPlaces(datasetId, Math.max(1, Math.floor(count * PLACES_SHARE)), placesOf(holding)),
  ]);
  return mixed(questions, places.map(subjectOf));
}

/** Both in their own order, the surest place first. */
function mixed(cells: readonly Subject[], places: readonly Subject[]): Subject[] {
  const found: Subject[] = [];
  const rest = [...cells];
  for (const place of places) found.push(place, ...rest.splice(0, CELLS_BETWEEN));
  return [...found, ...rest];
}

function subjectOf(place: Place): Subject {
  const { image, name, prediction, type, asks_type, cells } = place;
  return {
    cell: -place.place,
    image,
    name,
    prediction,
    label: 0,
    type,
    asks_type,
    score: Math.min(1, cells),
    probabilities: {},
    uncertainty: Math.min(1, cells),
    terms: {},
    seen_by: "",
    committee: false,
    place,
  };
}

/** As `answerCells`, of both. */
export async function answer(
  datasetId: number,
  answers: readonly Answer[],
  seconds: number,
  keepalive = false,
): Promise<AnsweredCells> {
  const share = (some: readonly unknown[]): number => (seconds * some.length) / answers.length;
  const cells = answers.filter(({ cell }) => cell > 0);
  const places = answers.filter(({ cell }) => cell < 0);
  const [ofCells, ofPlaces] = await Promise.all([
    cells.length > 0 ? answerCells(datasetId, cells, share(cells), keepalive) : null,
    places.length > 0
      ? answerPlaces(
          datasetId,
          places.map(({ cell, ...said }) => ({ place: -cell, ...said })),
          share(places),
          keepalive,
        )
      : null,
  ]);
  return {
    revisions: [...(ofCells?.revisions ?? []), ...(ofPlaces?.revisions ?? [])],
    answered: [...(ofCells?.answered ?? []), ...(ofPlaces?.answered ?? []).map(negative)],
    refused: [
      ...(ofCells?.refused ?? []),
      ...(ofPlaces?.refused ?? []).map(({ place, message }) => ({ cell: -place, message })),
    ],
  };
}

export const undo = (
  datasetId: number,
  revisions: readonly number[],
  subjects: readonly number[],
): Promise<ChangedCells> => undoCells(datasetId, revisions, cellsOf(subjects), placesOf(subjects));

/** Lets others be asked. */
export async function release(
  datasetId: number,
  subjects: readonly number[],
  keepalive = false,
): Promise<void> {
  const cells = cellsOf(subjects);
  const places = placesOf(subjects);
  await Promise.all([
    cells.length > 0 ? releaseCells(datasetId, cells, keepalive) : null,
    places.length > 0 ? releasePlaces(datasetId, places, keepalive) : null,
  ]);
}

const negative = (id: number): number => -id;
const cellsOf = (ids: readonly number[]): number[] => ids.filter((id) => id > 0);
const placesOf = (ids: readonly number[]): number[] => ids.filter((id) => id < 0).map(negative);
