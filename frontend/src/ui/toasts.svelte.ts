/** Short notes at the edge of the page, read out by screen readers, gone after a while. */

export interface Toast {
  id: number;
  text: string;
  tone: "good" | "bad";
}

const SHOWN_MS: Record<Toast["tone"], number> = { good: 5_000, bad: 10_000 };
/** What was expected is read at a glance. */
export const GLANCE = 2_000;
let lastId = 0;

export const toasts = $state<Toast[]>([]);

export function toast(text: string, tone: Toast["tone"] = "good", shown = SHOWN_MS[tone]): void {
  lastId += 1;
  const id = lastId;
  toasts.push({ id, text, tone });
  setTimeout(() => {
    dismiss(id);
  }, shown);
}

export function dismiss(id: number): void {
  const index = toasts.findIndex((shown) => shown.id === id);
  if (index >= 0) toasts.splice(index, 1);
}
