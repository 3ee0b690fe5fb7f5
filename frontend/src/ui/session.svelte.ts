/** The signed-in person, for every page. */
import { isSignedOut, messageOf, onSignedOut } from "../api/client";
import { readMe, signIn, signOut } from "../api/session";
import type { Me } from "../api/types";

class Session {
  me = $state<Me | null>(null);
  /** False until the server has said whether somebody is signed in. */
  known = $state(false);
  error = $state<string | null>(null);

  constructor() {
    onSignedOut(() => {
      this.me = null;
    });
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
