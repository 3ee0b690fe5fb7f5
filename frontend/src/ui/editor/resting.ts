/** Resolves when the page has nothing to do, at the latest after so many milliseconds. */
export function resting(longest: number): Promise<void> {
  if (typeof requestIdleCallback === "undefined") return Promise.resolve();
  return new Promise((resolve) => {
    requestIdleCallback(
      () => {
        resolve();
      },
      { timeout: longest },
    );
  });
}
