// The import rules of the house: main → ui → tools | render | api → core.
import js from "@eslint/js";
import { defineConfig } from "eslint/config";
import svelte from "eslint-plugin-svelte";
import globals from "globals";
import ts from "typescript-eslint";
import svelteConfig from "./svelte.config.js";

/** Forbid files under src/<folder> to import from any of the other folders of src. */
function imports(folder, forbidden) {
  const inFolder = (name) => ({
    regex: `^(\\.\\./)+(src/)?${name}(/|$)`,
    message: `src/${folder} must not import src/${name}.`,
  });
  return {
    files: [`src/${folder}/**/*.{ts,svelte}`],
    rules: {
      "@typescript-eslint/no-restricted-imports": ["error", { patterns: forbidden.map(inFolder) }],
    },
  };
}

export default defineConfig(
  { ignores: ["dist/", "node_modules/", "src/api/schema.d.ts"] },
  js.configs.recommended,
  ...ts.configs.strict,
  ...svelte.configs.recommended,
  {
    languageOptions: { globals: { ...globals.browser } },
    rules: {
      "max-lines": ["error", 400],
      "max-params": ["error", 6],
      eqeqeq: ["error", "smart"],
      "no-console": "error",
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/no-non-null-assertion": "error",
    },
  },
  {
    files: ["src/**/*.ts"],
    extends: [...ts.configs.strictTypeCheckedOnly],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      "max-lines-per-function": ["error", 40],
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
    },
  },
  {
    files: ["**/*.svelte", "**/*.svelte.ts"],
    languageOptions: {
      parserOptions: {
        projectService: true,
        extraFileExtensions: [".svelte"],
        parser: ts.parser,
        svelteConfig,
      },
    },
    rules: {
      "max-lines-per-function": ["error", 40],
      // Not one of ours is a literal path typed by hand: links come from router.ts.
      "svelte/no-navigation-without-resolve": "off",
      "@typescript-eslint/no-floating-promises": "error",
      "@typescript-eslint/no-misused-promises": "error",
    },
  },
  imports("ui", ["main"]),
  imports("tools", ["main", "ui", "render", "api"]),
  imports("render", ["main", "ui", "tools", "api"]),
  imports("api", ["main", "ui", "tools", "render"]),
  imports("core", ["main", "ui", "tools", "render", "api"]),
  {
    files: ["src/core/**/*.ts"],
    rules: {
      "no-restricted-globals": [
        "error",
        ...["document", "window", "fetch", "navigator", "localStorage", "indexedDB"].map(
          (name) => ({
            name,
            message: "src/core knows neither the DOM nor the network.",
          }),
        ),
      ],
    },
  },
  { files: ["*.{js,ts}", "tests/**"], languageOptions: { globals: { ...globals.node } } },
);
