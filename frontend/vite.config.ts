/** Build and dev server. The built assets are served by Django under /static/app/. */
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

const backend = process.env["BACKEND"] ?? "http://127.0.0.1:8000";

export default defineConfig(({ command }) => ({
  base: command === "build" ? "/static/app/" : "/",
  plugins: [svelte()],
  build: { outDir: "dist", target: "es2022", sourcemap: false, emptyOutDir: true },
  server: { proxy: { "/api": backend, "/admin": backend, "/health": backend } },
}));
