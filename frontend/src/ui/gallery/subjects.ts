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

/** Places in a batch, as a share of its cells; and how many cells come between two of them. */
const PLACES_SHARE = 1 / 3;
const CELLS_BETWEEN = 2;

/**
 * Leases cells and places; `holding`: those at hand already, whose leases are renewed. Where places
 * cannot be had, the cells come all the same.
 */
export async function ask(
  datasetId: number,
  count: number,
  holding: readonly number[],
): Promise<Subject[]> {
  const [questions, places] = await Promise.all([
    askCells(datasetId, count, cellsOf(holding)),
    askPlaces(datasetId, Math.max(1, Math.floor(count * PLACES_SHARE)), placesOf(holding)).catch(
      (): Place[] => [],
    ),
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

export interface Answered extends AnsweredCells {
  /** Those that could not be sent though others could, and why. */
  readonly unsent: readonly Answer[];
  readonly error: unknown;
}

/**
 * As `answerCells`, of both: one after the other, for both may change the same image. With
 * `keepalive` the page goes away and nothing can be waited for.
 */
export async function answer(
  datasetId: number,
  answers: readonly Answer[],
  seconds: number,
  keepalive = false,
): Promise<Answered> {
  const share = (some: readonly unknown[]): number => (seconds * some.length) / answers.length;
  const cells = answers.filter(({ cell }) => cell > 0);
  const places = answers.filter(({ cell }) => cell < 0);
  const sendCells = async (): Promise<AnsweredCells> =>
    cells.length > 0 ? answerCells(datasetId, cells, share(cells), keepalive) : NONE;
  const sendPlaces = async (): Promise<AnsweredCells> =>
    places.length > 0 ? ofPlaces(datasetId, places, share(places), keepalive) : NONE;
  if (keepalive) return both(...(await Promise.all([sendCells(), sendPlaces()])));
  const done = await sendCells();
  try {
    return both(done, await sendPlaces());
  } catch (error) {
    // What was done with the cells must not be lost: it can be undone.
    if (cells.length === 0) throw error;
    return { ...both(done, NONE), unsent: places, error };
  }
}

const NONE: AnsweredCells = { revisions: [], answered: [], refused: [] };

async function ofPlaces(
  datasetId: number,
  answers: readonly Answer[],
  seconds: number,
  keepalive: boolean,
): Promise<AnsweredCells> {
  const named = answers.map(({ cell, ...said }) => ({ place: -cell, ...said }));
  const { revisions, answered, refused } = await answerPlaces(datasetId, named, seconds, keepalive);
  return {
    revisions,
    answered: answered.map(negative),
    refused: refused.map(({ place, message }) => ({ cell: -place, message })),
  };
}

const both = (one: AnsweredCells, other: AnsweredCells): Answered => ({
  revisions: [...one.revisions, ...other.revisions],
  answered: [...one.answered, ...other.answered],
  refused: [...one.refused, ...other.refused],
  unsent: [],
  error: null,
});

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
