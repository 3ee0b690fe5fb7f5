/** Unit tests: plain Node by default; a file that needs a DOM says `// @vitest-environment jsdom`. */
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { svelteTesting } from "@testing-library/svelte/vite";
import { defineConfig } from "vitest/config";

export default defineConfig({
  plugins: [svelte(), svelteTesting()],
  test: {
    include: ["tests/**/*.test.ts"],
    environment: "node",
    maxWorkers: 2,
    setupFiles: ["tests/setup.ts"],
    testTimeout: 20_000,
  },
});
