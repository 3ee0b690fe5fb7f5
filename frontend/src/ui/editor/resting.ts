/**
 * Resolves when the page has nothing to do, at the latest after so many milliseconds; at once when
 * `hurry` is aborted.
 */
export function resting(longest: number, hurry?: AbortSignal): Promise<void> {
  if (typeof requestIdleCallback === "undefined" || hurry?.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      cancelIdleCallback(wait);
      hurry?.removeEventListener("abort", done);
      resolve();
    };
    const wait = requestIdleCallback(done, { timeout: longest });
    hurry?.addEventListener("abort", done);
  });
}
