/** Short notes at the edge of the page, read out by screen readers, gone after a while. */

export interface Toast {
  id: number;
  text: string;
  tone: "good" | "bad";
}

const SHOWN_MS = { good: 5_000, bad: 10_000 } as const;
let lastId = 0;

export const toasts = $state<Toast[]>([]);

export function toast(text: string, tone: Toast["tone"] = "good"): void {
  lastId += 1;
  const id = lastId;
  toasts.push({ id, text, tone });
  setTimeout(() => {
    dismiss(id);
  }, SHOWN_MS[tone]);
}

export function dismiss(id: number): void {
  const index = toasts.findIndex((shown) => shown.id === id);
  if (index >= 0) toasts.splice(index, 1);
}
