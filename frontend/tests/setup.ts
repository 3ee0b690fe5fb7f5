/** For every test file. */
import { configure } from "@testing-library/svelte";

// A busy machine takes its time; what never comes still fails.
configure({ asyncUtilTimeout: 10_000 });
