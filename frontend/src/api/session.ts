/** Who is signed in. */
import { getJson, sendJson } from "./client";
import type { Me } from "./types";

/** The signed-in person; rejects with a signed-out ApiError when there is none. */
export const readMe = (signal?: AbortSignal): Promise<Me> => getJson("me/", { signal });

export const signIn = (username: string, password: string): Promise<Me> =>
  sendJson("POST", "auth/session/", { username, password });

export const signOut = (): Promise<null> => sendJson("DELETE", "auth/session/");
