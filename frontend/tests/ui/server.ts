/** A server that keeps one person's draft of image 7, can be gone, and can forget who they are. */
import { vi } from "vitest";
import { json } from "../api/stubs";

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly etag: string | null;
  readonly form: FormData;
}

interface Kept {
  readonly document: {
    base: number;
    prediction: number | null;
    saved_at: string;
    replaces?: string | null;
    work: { writer?: string };
  };
  readonly labels: ArrayBuffer;
  readonly dtype: string;
}

export class FakeServer {
  down = false;
  /** Only drafts cannot be had. */
  unavailable = false;
  signedOut = false;
  draft: Kept | null = null;
  /** How often a draft was sent. */
  puts = 0;
  /** Everything but drafts: what was asked, and what to answer. */
  asked: Asked[] = [];
  answers: (Response | Promise<Response>)[] = [];
  private readonly shape = "1,5";

  constructor() {
    vi.stubGlobal("fetch", (path: string, init: RequestInit) => this.answer(path, init));
  }

  get work(): { cells: { label: number }[]; edits: number } | undefined {
    return this.draft?.document.work as never;
  }

  private async answer(path: string, init: RequestInit): Promise<Response> {
    const method = init.method ?? "GET";
    if (this.down) throw new TypeError("Failed to fetch");
    const isDraft = path.includes("/draft/");
    if (isDraft && method === "PUT") this.puts++;
    if (this.signedOut) return json({ message: "Sign in.", code: "not_authenticated" }, 403);
    if (isDraft && this.unavailable) return json({ message: "The storage is down." }, 503);
    if (isDraft) return this.answerDraft(method, path, init.body as FormData);
    const etag = new Headers(init.headers).get("If-Match");
    this.asked.push({ method, path, etag, form: init.body as FormData });
    const answer = await this.answers.shift();
    if (answer === undefined) throw new TypeError("Failed to fetch");
    // What was submitted is a draft no longer.
    if (answer.status === 201) this.draft = null;
    return answer;
  }

  private async answerDraft(method: string, path: string, form: FormData): Promise<Response> {
    if (method === "DELETE") {
      this.draft = null;
      return new Response(null, { status: 204 });
    }
    if (method === "PUT") {
      const document = JSON.parse(form.get("document") as string) as Kept["document"];
      const { dtype } = document as unknown as { dtype: string };
      if (this.refuses(document)) return json({ message: "Saved elsewhere." }, 409);
      const labels = await readBlob(form.get("labels") as Blob);
      this.draft = { document, dtype, labels };
    }
    if (this.draft === null) return json({ message: "You have no draft." }, 404);
    const { document, labels, dtype } = this.draft;
    if (!path.endsWith("/labels/")) return json({ image: 7, ...document });
    const headers = { "X-Shape": this.shape, "X-Dtype": dtype, "X-Saved-At": document.saved_at };
    return new Response(labels, { headers });
  }

  private refuses({ saved_at, replaces, work }: Kept["document"]): boolean {
    if (this.draft === null) return false;
    const known = this.draft.document;
    const at = Date.parse(known.saved_at);
    const own = known.work.writer === work.writer;
    const unseen = replaces !== undefined && Date.parse(replaces ?? "") !== at;
    return (!own && unseen) || at > Date.parse(saved_at);
  }
}

/** jsdom's Blob cannot give its bytes in every version. */
function readBlob(blob: Blob): Promise<ArrayBuffer> {
  return new Promise((resolve) => {
    const reader = new FileReader();
    reader.onload = () => {
      resolve(reader.result as ArrayBuffer);
    };
    reader.readAsArrayBuffer(blob);
  });
}
