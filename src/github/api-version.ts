/** Newest first: the first that the host offers is used. */
const API_VERSIONS = ['2026-03-10', '2022-11-28'] as const;
/** After an answer that settles nothing the host is asked again, but not with every call. */
const ASK_AGAIN_MS = 60_000;

/** An answer to `GET /versions`. */
interface VersionsAnswer {
  readonly status: number;
  readonly bytes: Buffer;
}

/** The API version that one host is asked for. */
export interface ApiVersion {
  /**
   * The version to name in a call; null for a host that knows none (GHES before 3.9), or does not say. The first call
   * asks; those at the same time share its answer.
   * @throws what `ask` throws.
   */
  current(ask: () => Promise<VersionsAnswer>): Promise<string | null>;
  /** Has the host asked again, after it said that the version is no longer served. */
  forget(): void;
}

export function openApiVersion(now: () => Date): ApiVersion {
  let known: Promise<string | null> | null = null;
  let settledUntilMs = Number.POSITIVE_INFINITY;

  async function askAnew(ask: () => Promise<VersionsAnswer>): Promise<string | null> {
    const { status, bytes } = await ask();
    // A token that has run out, a rate limit, trouble of this one endpoint: the next question may do better, and calls without a
    // version are answered meanwhile.
    const saysNothing = status === 401 || status === 403 || status === 429 || status >= 500;
    if (saysNothing) settledUntilMs = now().getTime() + ASK_AGAIN_MS;
    return status === 200 ? newestKnown(bytes) : null;
  }

  return {
    current(ask) {
      if (now().getTime() >= settledUntilMs) known = null;
      if (known !== null) return known;
      settledUntilMs = Number.POSITIVE_INFINITY;
      const asked = askAnew(ask).catch((error: unknown) => {
        if (known === asked) known = null;
        throw error;
      });
      known = asked;
      return asked;
    },
    forget() {
      known = null;
    },
  };
}

function newestKnown(bytes: Buffer): string | null {
  let offered: unknown;
  try {
    offered = JSON.parse(bytes.toString('utf8'));
  } catch {
    return null;
  }
  return API_VERSIONS.find((known) => Array.isArray(offered) && offered.includes(known)) ?? null;
}
