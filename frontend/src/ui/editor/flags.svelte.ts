/** What somebody wants the managers to look at on the image at hand. */
import { openFlags, raiseFlag, resolveFlag } from "../../api/flags";
import type { Flag } from "../../api/types";

export class ImageFlags {
  /** Those not resolved yet, the newest first. */
  open = $state.raw<readonly Flag[]>([]);

  constructor(
    readonly image: { readonly id: number; readonly name: string },
    private readonly datasetId: number,
  ) {}

  /** Failing is not said: nobody asked for it. */
  async load(): Promise<void> {
    try {
      const found = await openFlags(this.datasetId, undefined, this.image.id);
      this.open = found;
    } catch {
      // The image is shown without them.
    }
  }

  async raise(note: string): Promise<void> {
    const raised = await raiseFlag(this.image.id, note);
    this.open = [raised, ...this.open.filter(({ id }) => id !== raised.id)];
  }

  async resolve(flag: Flag): Promise<void> {
    await resolveFlag(flag.id);
    this.open = this.open.filter(({ id }) => id !== flag.id);
  }
}
