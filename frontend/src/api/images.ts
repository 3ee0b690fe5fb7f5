/** Images of a data set and their upload. */
import { ApiError, addressOf, cookie, failureOf, getJson, sendJson } from "./client";
import type { ImageDetail, ImageItem, ImageStatus, ImportReport, Page, Split } from "./types";

export interface ImageFilter {
  split: Split | "";
  status: ImageStatus | "";
  search: string;
}

export const listImages = (
  datasetId: number,
  filter: ImageFilter,
  signal?: AbortSignal,
): Promise<Page<ImageItem>> =>
  getJson(`datasets/${datasetId}/images/`, { query: { ...filter }, signal });

export const readImage = (id: number, signal?: AbortSignal): Promise<ImageDetail> =>
  getJson(`images/${id}/`, { signal });

export const deleteImage = (id: number): Promise<null> => sendJson("DELETE", `images/${id}/`);

export interface UploadChoices {
  split: Split | "";
  culture: string;
  /** The folder of each file, in the order of the files: masks belong to the image beside them. */
  folders?: readonly string[];
}

/**
 * Uploads `files` in one request. XMLHttpRequest, because fetch does not tell how many bytes have
 * left: `onProgress` gets the share sent, 0 to 1.
 */
export function uploadImages(
  datasetId: number,
  files: File[],
  choices: UploadChoices,
  onProgress: (share: number) => void,
  signal: AbortSignal,
): Promise<ImportReport> {
  const form = new FormData();
  for (const file of files) form.append("files", file, file.name);
  for (const folder of choices.folders ?? []) form.append("folders", folder);
  if (choices.split) form.append("split", choices.split);
  if (choices.culture) form.append("culture", choices.culture);
  return new Promise((resolve, reject) => {
    const call = new XMLHttpRequest();
    call.open("POST", addressOf(`datasets/${datasetId}/images/`));
    call.setRequestHeader("X-CSRFToken", cookie("csrftoken"));
    call.setRequestHeader("Accept", "application/json");
    call.upload.onprogress = ({ loaded, total }) => {
      onProgress(total > 0 ? loaded / total : 0);
    };
    call.onload = () => {
      if (call.status === 201) resolve(JSON.parse(call.responseText) as ImportReport);
      else reject(failureOf(call.status, call.statusText, call.responseText));
    };
    call.onerror = () => {
      reject(new ApiError("The connection broke during the upload.", 0, "offline"));
    };
    call.onabort = () => {
      reject(new DOMException("The upload was stopped.", "AbortError"));
    };
    signal.addEventListener("abort", () => {
      call.abort();
    });
    call.send(form);
  });
}
