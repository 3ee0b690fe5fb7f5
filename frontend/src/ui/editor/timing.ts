/**
 * Script times for `benchmarks/editor`, kept as performance measures. Off, and free, unless the
 * page's storage asks for them.
 */
const on = typeof localStorage !== "undefined" && localStorage.getItem("cytoloop:timing") === "on";

/** Do `work`; when times are asked for, leave a measure called `cytoloop:<name>`. */
export function timed<T>(name: string, work: () => T): T {
  if (!on) return work();
  const start = performance.now();
  try {
    return work();
  } finally {
    performance.measure(`cytoloop:${name}`, { start, end: performance.now() });
  }
}
