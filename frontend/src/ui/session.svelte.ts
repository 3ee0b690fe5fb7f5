/** The signed-in person, for every page. */
import { isSignedOut, messageOf, onSignedOut } from "../api/client";
import { readMe, signIn, signOut } from "../api/session";
import type { Me } from "../api/types";

class Session {
  me = $state<Me | null>(null);
  /** False until the server has said whether somebody is signed in. */
  known = $state(false);
  error = $state<string | null>(null);
  /** The sign-in has ended while somebody was at work: it can be renewed where they are. */
  expired = $state(false);
  /** Pages with work in them, which must not make way for the sign-in page. */
  #holders = 0;

  constructor() {
    onSignedOut(() => {
      if (this.#holders > 0 && this.me !== null) this.expired = true;
      else this.me = null;
    });
  }

  /** Stay on the page when the sign-in expires; returns the way out. */
  hold(): () => void {
    this.#holders++;
    return () => {
      this.#holders--;
      if (!this.expired || this.#holders > 0) return;
      this.expired = false;
      this.me = null;
    };
  }

  /**
   * The same person signs in again where they are; with `password` null they have done so in
   * another tab.
   */
  async renew(password: string | null): Promise<void> {
    const before = this.me?.username ?? "";
    const me = password === null ? await readMe() : await signIn(before, password);
    if (me.username !== before) {
      throw new Error(`You are signed in as ${me.username} now. This work belongs to ${before}.`);
    }
    this.me = me;
    this.expired = false;
  }

  async start(): Promise<void> {
    this.error = null;
    try {
      this.me = await readMe();
      this.known = true;
    } catch (error) {
      if (isSignedOut(error)) this.known = true;
      else this.error = messageOf(error);
    }
  }

  async enter(username: string, password: string): Promise<void> {
    this.me = await signIn(username, password);
    this.known = true;
  }

  async leave(): Promise<void> {
    await signOut();
    this.me = null;
  }
}

export const session = new Session();
