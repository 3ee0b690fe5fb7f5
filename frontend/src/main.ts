/** The browser's entry: mounts the app into the page. */
import { mount } from "svelte";
import App from "./ui/App.svelte";
import "./ui/theme.css";
import "./ui/base.css";

const target = document.getElementById("app");
if (!target) throw new Error("The page has no #app element to mount into.");
mount(App, { target });
