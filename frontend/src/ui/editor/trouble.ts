/** Why work was not handed in, and what can be done about it. */
import { ApiError, messageOf } from "../../api/client";
import type { Lease } from "./lease.svelte";

export type Trouble =
  | { readonly kind: "stale"; readonly message: string }
  | { readonly kind: "lease"; readonly message: string }
  | { readonly kind: "failed"; readonly message: string };

export function troubleOf(error: unknown, lease: Lease): Trouble {
  const message = messageOf(error);
  if (error instanceof ApiError && error.status === 412) return { kind: "stale", message };
  const refused = error instanceof ApiError && (error.status === 409 || error.status === 404);
  if (refused && lease.held) return { kind: "lease", message };
  return { kind: "failed", message };
}
