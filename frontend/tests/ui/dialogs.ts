/** jsdom knows <dialog> but not how to open one. */
import { vi } from "vitest";

export function stubDialogs(): void {
  HTMLDialogElement.prototype.showModal = vi.fn(function (this: HTMLDialogElement) {
    this.open = true;
    const fields = [...this.querySelectorAll<HTMLElement>("input, button")];
    (fields.find(({ autofocus }) => autofocus) ?? fields[0])?.focus();
  });
  HTMLDialogElement.prototype.close = vi.fn(function (this: HTMLDialogElement) {
    this.open = false;
    this.dispatchEvent(new Event("close"));
  });
}

/** Escape, as a browser tells a modal dialog. True when the dialog may close. */
export function escape(dialog: HTMLElement): boolean {
  return dialog.dispatchEvent(new Event("cancel", { cancelable: true }));
}
