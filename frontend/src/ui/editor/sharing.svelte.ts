/** One tab of this browser has an image at a time: the others look on until they take it. */
import { Tabs, type Held, type Holder } from "../../api/tabs";

export class Sharing {
  /** The tab whose work is at stake while this one asks whether to go on here. */
  elsewhere = $state.raw<Held | null>(null);
  /** It is being taken from another tab, with what was done there. */
  busy = $state(false);
  private readonly tabs: Tabs;

  constructor(
    key: string,
    writer: string,
    private readonly holder: Holder,
  ) {
    this.tabs = new Tabs(key, writer);
  }

  /** Answer the other tabs until the returned function is called. */
  start(): () => void {
    return this.tabs.start(this.holder);
  }

  /** The other tab that has the image. */
  ask(): Promise<Held | null> {
    return this.tabs.holder();
  }

  /** Have the image here; what the other tab was at, null when there is none or it is frozen. */
  take(): Promise<Held | null> {
    return this.tabs.take();
  }
}
